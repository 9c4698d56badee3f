"""The help of FQ406: a fallback that, written in the place of the name, is an expression that has a value."""

import re
from typing import Final

from flowq.compiler.expressions.sites import ExpressionSite
from flowq.expr import Reference
from flowq.expr.defaults import default_for

_BREAKING: Final = re.compile(r"[\[\]{},]")  # what ends a text without quotes in `{…}` and `[…]`


def fallback_help(site: ExpressionSite, reference: Reference, instead: str = "", otherwise: str = "null") -> str:
    """Return the help line for a name that may have no value.

    Args:
        site: the expression.
        reference: the name in it.
        instead: the value to suggest; by default one of the type that is needed there.
        otherwise: where any type will do.
    """
    source = site.expression.source
    value = instead or default_for(site.expression, reference, site.wanted)
    value = otherwise if value == "null" else value
    whole = reference.start == 0 and reference.end == len(source)
    if site.scalar.style == "'":
        value = value.replace("'", '"')  # a quote in it would have to be doubled
    fix = f"{source[reference.start : reference.end]} ?? {value}"
    quoted = ", and put the whole expression in quotes" if site.scalar.style == "" and _BREAKING.search(value) else ""
    return f"give a fallback: {fix if whole else f'({fix})'}{quoted}"
