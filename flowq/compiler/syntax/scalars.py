"""The values of unquoted scalars: YAML 1.2's core schema without values that JSON cannot hold.

So `on`, `no`, `12:30` and `2026-01-31` are strings, `0o17` and `0x1f` are numbers; `.inf` and `.nan` are refused.
"""

import math
import re
from typing import Final

from flowq.compiler.syntax.nodes import Json

_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEAN: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_FIRST: Final = frozenset("0123456789+-.~nNtTfF")

MAX_DIGITS: Final = 19  # digits of a whole number
MAX_NUMBER: Final = 40  # characters of a number

TAGS: Final = {
    "tag:yaml.org,2002:str": "string",
    "tag:yaml.org,2002:int": "int",
    "tag:yaml.org,2002:float": "float",
    "tag:yaml.org,2002:bool": "boolean",
    "tag:yaml.org,2002:null": "null",
}


class ScalarError(ValueError):
    """A scalar without a value: a number that JSON cannot hold, or text that does not fit its tag."""


def resolve(text: str) -> Json:
    """Return the value of an unquoted scalar.

    Raises:
        ScalarError: it is a number that JSON cannot hold.
    """
    if text and text[0] not in _FIRST:
        return text
    if text in _NULL:
        return None
    if text in _BOOLEAN:
        return _BOOLEAN[text]
    if _INT.fullmatch(text):
        return _int(text)
    if _FLOAT.fullmatch(text):
        return _float(text)
    if _SPECIAL.fullmatch(text):
        raise ScalarError(f"{text} is not a number that can be used: put it in quotes if text is meant")
    return text


def resolve_tagged(text: str, kind: str) -> Json:
    """Return the value of a scalar with one of `TAGS`.

    Raises:
        ScalarError: the text is not of that kind.
    """
    if kind == "string":
        return text
    value = resolve(text)
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    found = (
        "null"
        if value is None
        else "boolean"
        if isinstance(value, bool)
        else "int"
        if isinstance(value, int)
        else "float"
        if isinstance(value, float)
        else "string"
    )
    if found != kind:
        raise ScalarError(f"{text[:40]!r} is not a value of the tag !!{ {'boolean': 'bool'}.get(kind, kind) }")
    return value


def _int(text: str) -> int:
    if len(text.lstrip("+-0xo")) > MAX_DIGITS:
        raise ScalarError(f"a whole number may have {MAX_DIGITS} digits, this has {len(text.lstrip('+-'))}")
    return int(text, 0) if text.startswith(("0o", "0x")) else int(text)


def _float(text: str) -> float:
    if len(text) > MAX_NUMBER:
        raise ScalarError(f"a number may have {MAX_NUMBER} characters, this has {len(text)}")
    value = float(text)
    if not math.isfinite(value):
        raise ScalarError(f"the number {text} is too large")
    return value
