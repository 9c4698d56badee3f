"""The types of parameters: the strings and JSON values they accept, and the rules for values.

A string (`-p n=3`) is converted to the declared type; a value from YAML or Python must have it. Dates, datetimes and durations stay
strings in expressions and callables.
"""

import datetime as dt
import json
import math
import re
import warnings
from collections.abc import Callable
from typing import Final

from flowq.compiler.diagnostics.suggestions import listing
from flowq.compiler.syntax.nodes import Json
from flowq.durations import format_duration, parse_duration
from flowq.exceptions import UsageError

MAX_MATCHED: Final = 256  # characters of a string that a pattern is matched with: bounds the time of a slow pattern
_QUANTIFIER = re.compile(r"[*+]|\{[0-9]*,[0-9]*\}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATETIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?")
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,3})?")


class ParamProblem(ValueError):
    """A value that does not fit; `help` says how to write it."""

    def __init__(self, message: str, help: str = "") -> None:  # noqa: A002 - the rendered word
        super().__init__(message)
        self.help = help


def convert(kind: str, value: Json) -> Json:
    """Return a value converted to the type `kind`.

    Raises:
        ParamProblem: it is not a value of that type.
    """
    converted = _CONVERT[kind](value)
    try:
        json.dumps(converted, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        raise ParamProblem(
            "the value cannot be stored as JSON", "use strings of valid Unicode, numbers, booleans, lists and maps"
        ) from None
    return converted


def check_rules(value: Json, enum: tuple[Json, ...], minimum: Json, maximum: Json, pattern: str) -> list[ParamProblem]:
    """Return the rules that a converted value violates."""
    broken: list[ParamProblem] = []
    if enum and not any(type(value) is type(item) and value == item for item in enum):
        broken.append(ParamProblem(f"{_shown(value)} is not allowed", f"legal are {listing(map(_shown, enum), 30)}"))
    low, high, own = _comparable(minimum), _comparable(maximum), _comparable(value)
    if low is not None and own is not None and own < low:
        broken.append(ParamProblem(f"{_shown(value)} is below the minimum {_shown(minimum)}"))
    if high is not None and own is not None and own > high:
        broken.append(ParamProblem(f"{_shown(value)} is above the maximum {_shown(maximum)}"))
    if pattern and isinstance(value, str):
        if len(value) > MAX_MATCHED:
            broken.append(ParamProblem(f"a string with a pattern may have {MAX_MATCHED} characters, this has {len(value)}"))
        elif not compile_pattern(pattern).fullmatch(value):
            broken.append(ParamProblem(f"{_shown(value)} does not match the pattern {pattern}"))
    return broken


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Return a compiled pattern; refuse patterns with exponential time.

    Python's engine backtracks. Without nested repetitions and back-references, with at most three open repetitions and at most
    `MAX_MATCHED` characters, the worst case is a few million steps.

    Raises:
        ParamProblem: not a regular expression, or one that could be too slow.
    """
    if "(?" in pattern.replace("(?:", "") or re.search(r"\\[1-9]", pattern):
        raise ParamProblem("a pattern may not use look-around, flags or back-references", "use groups as (…) or (?:…) only")
    if len(_QUANTIFIER.findall(pattern)) > 3 or re.search(r"\)\s*([*+]|\{)", pattern):
        raise ParamProblem(
            "a pattern may have three repetitions, and none of a group", "use character classes, such as [a-z0-9-]+"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # hide warnings about syntax that later versions of Python read differently
            return re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ParamProblem(f"the pattern is not a regular expression: {error}") from error


def _comparable(value: Json) -> Json:
    """Return a comparable value: numbers unchanged, dates as moments, durations as seconds."""
    if value is None or isinstance(value, (int, float)):
        return value
    if not isinstance(value, str):
        return None
    try:
        if _DATE.fullmatch(value) or _DATETIME.fullmatch(value):
            moment = dt.datetime.fromisoformat(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()
        return parse_duration(value)
    except (UsageError, ValueError, OverflowError):  # a string that only looks like one
        return None


def _shown(value: Json) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=repr)
    return (text if len(text) <= 60 else text[:57] + "...") or "''"


def _found(value: Json) -> str:
    if value is None:
        return "null"
    kind = {bool: "the boolean", str: "the text", dict: "a map", list: "a list"}.get(type(value), "the number")
    return kind if isinstance(value, (dict, list)) else f"{kind} {_shown(value)}"


def _string(value: Json) -> str:
    if not isinstance(value, str):
        raise ParamProblem(
            f"expected a string, found {_found(value)}", "put it in quotes" if not isinstance(value, (dict, list)) else ""
        )
    if "\0" in value:
        raise ParamProblem("a string may not have NUL characters")
    return value


def _number(value: Json) -> int | float:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = int(value) if _INTEGER.fullmatch(value) else float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ParamProblem(f"expected a number, found {_found(value)}")
    return value


def _integer(value: Json) -> int:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ParamProblem(f"expected a whole number, found {_found(value)}")
    return value


def _boolean(value: Json) -> bool:
    if value in ("true", "false"):
        return bool(value == "true")
    if not isinstance(value, bool):
        raise ParamProblem(f"expected true or false, found {_found(value)}")
    return value


def _date(value: Json) -> str:
    return _moment(value, _DATE, "a date such as 2026-01-31")


def _datetime(value: Json) -> str:
    return _moment(value, _DATETIME, "a datetime such as 2026-01-31T06:00:00Z")


def _moment(value: Json, form: re.Pattern[str], expected: str) -> str:
    if not isinstance(value, str) or not form.fullmatch(value):
        raise ParamProblem(f"expected {expected}, found {_found(value)}")
    try:
        dt.datetime.fromisoformat(value)
    except ValueError as error:
        raise ParamProblem(f"expected {expected}, found {_found(value)}: there is no such day or time") from error
    return value


def _duration(value: Json) -> str:
    try:
        seconds = parse_duration(value)
    except UsageError as error:
        raise ParamProblem(str(error)) from error
    return value if isinstance(value, str) else format_duration(seconds)


def _from_json(value: Json, kind: type, name: str, example: str) -> Json:
    if isinstance(value, str):
        try:
            value = json.loads(value, parse_constant=_refuse)
        except (ValueError, RecursionError):
            raise ParamProblem(f"expected {name} as JSON, found {_found(value)}", f"write it as {example}") from None
    if not isinstance(value, kind):
        raise ParamProblem(f"expected {name}, found {_found(value)}", f"write it as {example}")
    return value


def _refuse(name: str) -> Json:
    raise ValueError(name)


def _list(value: Json) -> list[Json]:
    found: list[Json] = _from_json(value, list, "a list", '\'["a", "b"]\'')
    return found


def _map(value: Json) -> dict[str, Json]:
    found: dict[str, Json] = _from_json(value, dict, "a map", "'{\"a\": 1}'")
    return found


_CONVERT: Final[dict[str, Callable[[Json], Json]]] = {
    "string": _string,
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
    "date": _date,
    "datetime": _datetime,
    "duration": _duration,
    "list": _list,
    "map": _map,
}
