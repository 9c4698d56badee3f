"""The functions of the language: one table of signatures, help texts and implementations.

All are pure: the same arguments give the same value. A function whose result may be larger than its arguments checks the size first.
"""

import datetime as dt
import difflib
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from flowq.durations import parse_duration
from flowq.exceptions import UsageError
from flowq.expr.errors import AbsentError, EvalError
from flowq.expr.nodes import Json

MAX_TEXT: Final = 8 * 1024 * 1024  # characters of a string that an expression may create
MAX_ITEMS: Final = 100_000  # items of a list that an expression may create

_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([0-9]{1,4})\}|\{|\}")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?")
_DIGITS: Final = 60  # characters of a number; its value is finite then
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class FunctionSignature:
    """A function of the language.

    Attributes:
        usage: an example call, for help texts.
        parameters: for each parameter, the types that it accepts.
        result: the type of the result.
        apply: the implementation; gets arguments of accepted types, raises `EvalError`.
        required: the number of required arguments.
        repeats: whether the last parameter may be repeated.
    """

    usage: str
    parameters: tuple[tuple[str, ...], ...]
    result: str
    apply: Callable[..., Json]
    required: int
    repeats: bool = False

    def fits(self, count: int) -> bool:
        """Return whether it can be called with that many arguments."""
        return count >= self.required and (self.repeats or count <= len(self.parameters))

    def counts(self) -> str:
        """Return the number of arguments it takes, in words."""
        most = "or more" if self.repeats else f"to {len(self.parameters)}" if self.required < len(self.parameters) else ""
        plural = "" if self.required == 1 and not most else "s"
        return f"{self.required} {most} argument{plural}".replace("  ", " ")

    def parameter(self, position: int) -> tuple[str, ...]:
        """Return the types that the argument at this position may have."""
        return self.parameters[min(position, len(self.parameters) - 1)]


_OF_OTHERS: Final = {"success": "success", "always": "done", "failure": "failure", "cancelled": "done", "canceled": "done"}


def function_help(name: str) -> str:
    """Return the help line for an unknown function."""
    if name == "hash_files":
        return "the files of `cache: {inputs: […]}` are hashed on the worker; there is no function for it"
    if name in _OF_OTHERS:
        return f"whether a job waits for success is said in `depends_on`: {{job: {_OF_OTHERS[name]}}}"
    close = difflib.get_close_matches(name, FUNCTIONS, n=1)
    return f"did you mean {close[0]}()?" if close else "known are " + ", ".join(FUNCTIONS)


# -- strings ------------------------------------------------------------------------------------------------------------------


def text_of(value: Json) -> str:
    """Return a value as it appears inside a string: strings unchanged, everything else as JSON."""
    return value if isinstance(value, str) else to_json(value)


def to_json(value: Json) -> str:
    """Return compact JSON."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    _check_text(len(text))
    return text


def _check_text(size: int) -> None:
    if size > MAX_TEXT:
        raise EvalError(f"the text would have {size:,} characters, {MAX_TEXT:,} are allowed")


def _join(items: list[Json], separator: str = ",") -> str:
    texts = [text_of(item) for item in items]
    _check_text(sum(map(len, texts)) + len(separator) * len(texts))
    return separator.join(texts)


def _split(text: str, separator: str) -> list[Json]:
    if not separator:
        raise EvalError("split() needs a separator, found an empty string")
    if text.count(separator) >= MAX_ITEMS:
        raise EvalError(f"split() would give more than {MAX_ITEMS:,} items")
    return list(text.split(separator))


def _to_number(value: Json) -> Json:
    if isinstance(value, str):
        text = value.strip()
        if len(text) > _DIGITS or not _DECIMAL.fullmatch(text):
            raise EvalError(f"number() got text that is not a number: {text[:60]!r}")
        return float(text) if set(text) & set(".eE") else int(text)
    return value


def _from_json(text: str) -> Json:
    try:
        value = json.loads(text, parse_constant=_no_constant)
        if "\\ud" in text.lower():
            json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate raises a UnicodeError, which is a ValueError
    except ValueError as error:
        raise EvalError(f"from_json() got text that is not JSON: {str(error)[:200]}") from error
    except RecursionError as error:
        raise EvalError("from_json() got JSON that is nested too deeply") from error
    return value


def _no_constant(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")


def _format(template: str, *values: Json) -> str:
    texts = [text_of(value) for value in values]
    size = 0
    parts: list[str] = []
    end = 0
    for match in _PLACEHOLDER.finditer(template):
        parts.append(template[end : match.start()])
        parts.append(_placeholder(match, texts))
        size += len(parts[-1])
        _check_text(size)
        end = match.end()
    parts.append(template[end:])
    return "".join(parts)


def _placeholder(match: re.Match[str], texts: list[str]) -> str:
    found = match[0]
    if found in ("{{", "}}"):
        return found[0]
    if match[1] is None:
        raise EvalError(f"format() found a single {found}: write {found * 2} for the character itself")
    position = int(match[1])
    if position >= len(texts):
        raise EvalError(f"format() has {{{position}}} but only {len(texts)} value{'s' * (len(texts) != 1)}, counted from 0")
    return texts[position]


# -- lists, maps, numbers -----------------------------------------------------------------------------------------------------


def _contains(container: Json, item: Json) -> bool:
    return contains(item, container)


def contains(item: Json, container: Json) -> bool:
    """Return whether a list has an item, a map a key, or a string a substring."""
    if isinstance(container, list):
        return any(same(item, other) for other in container)
    if not isinstance(item, str):
        raise EvalError("a map has string keys and a string has string parts: look for a string")
    return item in container


def same(left: Json, right: Json) -> bool:
    """Return whether two values are equal: the same type and value, `1 == 1.0` but not `1 == true`."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(value, right[key]) for key, value in left.items())
    return bool(left == right)


def _extreme(name: str, pick: Callable[[list[Json]], Json]) -> Callable[..., Json]:
    def apply(*values: Json) -> Json:
        items = values[0] if len(values) == 1 and isinstance(values[0], list) else list(values)
        if not items:
            raise AbsentError(f"{name}() of an empty list has no value: give it one with ??")
        if not (all(map(_is_number, items)) or all(isinstance(item, str) for item in items)):
            raise EvalError(f"{name}() needs only numbers or only strings")
        return pick(items)

    return apply


def _is_number(value: Json) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _sum(items: list[Json]) -> Json:
    if not all(map(_is_number, items)):
        raise EvalError("sum() needs a list of numbers")
    try:
        total = sum(items)
    except OverflowError as error:
        raise EvalError("sum() is too large a number") from error
    if isinstance(total, float) and not math.isfinite(total):
        raise EvalError("sum() is too large a number")
    return total


def _range(start: Json, stop: Json = None, step: Json = 1) -> list[Json]:
    if stop is None:
        start, stop = 0, start
    if not all(isinstance(item, int) for item in (start, stop, step)) or step == 0:
        raise EvalError("range() needs whole numbers and a step other than 0")
    numbers = range(start, stop, step)
    if numbers and abs(stop - start) > abs(step) * MAX_ITEMS:  # len() of a huge range overflows
        raise EvalError(f"range() may give {MAX_ITEMS:,} items")
    return list(numbers)


def _date_add(date: str, amount: Json) -> str:
    negative = amount.startswith("-") if isinstance(amount, str) else amount < 0
    try:
        seconds = parse_duration(amount[1:] if isinstance(amount, str) and negative else amount if not negative else -amount)
        delta = dt.timedelta(seconds=-seconds if negative else seconds)
        if _DATE.fullmatch(date):
            if delta.seconds or delta.microseconds:
                raise EvalError(f"date_add() adds whole days to a date, found {amount}: use a datetime for hours")
            return (dt.date.fromisoformat(date) + delta).isoformat()
        return (dt.datetime.fromisoformat(date) + delta).isoformat()
    except (UsageError, ValueError, OverflowError) as error:
        raise EvalError(f"date_add() cannot add {amount!r} to {date!r}: {error}") from error


_TEXT = ("string",)
_LIST = ("list",)
_NUMBER = ("number",)
_ANY = ("any",)
_SIZED = ("string", "list", "map")

FUNCTIONS: Final[dict[str, FunctionSignature]] = {
    "len": FunctionSignature("len(x): items of a list, keys of a map, characters of a string", (_SIZED,), "number", len, 1),
    "contains": FunctionSignature("contains(list|map|string, item)", (_SIZED, _ANY), "boolean", _contains, 2),
    "starts_with": FunctionSignature("starts_with(string, start)", (_TEXT, _TEXT), "boolean", str.startswith, 2),
    "ends_with": FunctionSignature("ends_with(string, end)", (_TEXT, _TEXT), "boolean", str.endswith, 2),
    "join": FunctionSignature("join(list, separator = ',')", (_LIST, _TEXT), "string", _join, 1),
    "split": FunctionSignature("split(string, separator)", (_TEXT, _TEXT), "list", _split, 2),
    "lower": FunctionSignature("lower(string)", (_TEXT,), "string", str.lower, 1),
    "upper": FunctionSignature("upper(string)", (_TEXT,), "string", str.upper, 1),
    "trim": FunctionSignature("trim(string)", (_TEXT,), "string", str.strip, 1),
    "to_json": FunctionSignature("to_json(x)", (_ANY,), "string", to_json, 1),
    "from_json": FunctionSignature("from_json(string)", (_TEXT,), "any", _from_json, 1),
    "number": FunctionSignature("number(string): '3' is 3", (("string", "number"),), "number", _to_number, 1),
    "keys": FunctionSignature("keys(map)", (("map",),), "list", list, 1),
    "values": FunctionSignature("values(map)", (("map",),), "list", lambda value: list(value.values()), 1),
    "min": FunctionSignature("min(list) or min(a, b, …)", (_ANY,), "any", _extreme("min", min), 1, repeats=True),
    "max": FunctionSignature("max(list) or max(a, b, …)", (_ANY,), "any", _extreme("max", max), 1, repeats=True),
    "sum": FunctionSignature("sum(list)", (_LIST,), "number", _sum, 1),
    "range": FunctionSignature("range(stop) or range(start, stop, step = 1)", (_NUMBER, _NUMBER, _NUMBER), "list", _range, 1),
    "format": FunctionSignature("format('{0} of {1}', a, b)", (_TEXT, _ANY), "string", _format, 1, repeats=True),
    "date_add": FunctionSignature(
        "date_add(date, '1d') or date_add(datetime, '-90m')", (_TEXT, ("string", "number")), "string", _date_add, 2
    ),
}
