"""The check of one expression: its names, then its types."""

from collections.abc import Mapping
from typing import Final

from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.expressions.names import Known, check_names
from flowq.compiler.expressions.sites import ExpressionSite
from flowq.compiler.syntax.source import Report
from flowq.expr.types import Type, infer, output_help

_WANTED: Final = {
    "boolean": ("if", "compare it, such as x == 'yes' or len(x) > 0"),
    "list": ("foreach", "the result of a job that gives a list, or keys(map), values(map), range(n)"),
}


def check_site(site: ExpressionSite, known: Known, scope: Mapping[str, Type], report: Report) -> bool:
    """Report what is wrong with an expression; return whether all its names are right. Types are checked only then.

    Args:
        site: the expression.
        known: the names that exist there.
        scope: the types of these names.
        report: gets the problems.
    """
    if not check_names(site, known, report):
        return False
    found, problems = infer(site.expression, scope)
    for problem in problems:
        code = Code.FUNCTION if problem.unknown_function else Code.UNKNOWN_NAME if problem.unknown_name else Code.TYPE
        report.add(code, site.span(report, problem.start, problem.end), problem.message, problem.help)
    if site.wanted and not problems and found.kind not in (site.wanted, "any"):
        span = site.span(report, 0, len(site.expression.source))
        key, hint = _WANTED[site.wanted]
        hint = output_help(site.expression.source, site.wanted) if found.output else hint
        report.add(Code.TYPE, span, f"`{key}` needs a {site.wanted}, this is a {found}", hint)
    return True
