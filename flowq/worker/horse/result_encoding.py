"""Encoding of a callable's return value into the bytes that are stored.

Results of flows are JSON and nothing but JSON, because other jobs, other languages and expressions read them: tuples become lists,
dates become ISO text, everything else that JSON does not know is refused with its place. Plain queue jobs are pickled.
"""

from __future__ import annotations

import json
import math

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

_MAX_DEPTH: Final = 100
_MAX_DIGITS: Final = 4000  # CPython refuses to write integers of more than 4,300
_encode = json.JSONEncoder(ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")).encode


class InvalidResultError(Exception):
    """The job returned something that cannot be its result; the message says what and where."""


def to_json(value: object, limit: int) -> bytes:
    """Return compact UTF-8 JSON.

    Raises:
        InvalidResultError: a value outside of JSON, NaN or infinity, keys that are not text, depth over 100, more than `limit` bytes.
    """
    data = _encode(_plain(value, "result", 0)).encode()
    return within(data, limit)


def to_bytes(value: object, limit: int, serializer: Any = None) -> bytes:
    """Return the serialized value; without a serializer, pickled.

    Raises:
        InvalidResultError: it cannot be serialized or is larger than `limit` bytes.
    """
    import pickle

    try:
        data = pickle.dumps(value, protocol=5) if serializer is None else serializer.dumps(value)
    except Exception as error:  # a user's __reduce__ may raise anything
        raise unserializable(value, "pickled" if serializer is None else "serialized", error) from error
    return within(data.encode() if isinstance(data, str) else data, limit)


def unserializable(value: object, verb: str, error: Exception) -> InvalidResultError:
    """Return the error of a value that its serializer has refused."""
    return InvalidResultError(f"the return value, a {type(value).__name__}, cannot be {verb}: {error}")


def within(data: bytes, limit: int) -> bytes:
    """Return the data.

    Raises:
        InvalidResultError: there is more than allowed.
    """
    if len(data) > limit:
        raise InvalidResultError(
            f"the result has {len(data):,} bytes, the limit is {limit:,}: write it to a file and return the file's name"
        )
    return data


def _plain(value: object, place: str, depth: int) -> object:
    """Return `value` in the types of JSON; `place` says where it is, for the message."""
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return _text(value, place)
    if isinstance(value, int):
        if abs(value) >= 10**_MAX_DIGITS:
            raise InvalidResultError(f"{place} is an integer of more than {_MAX_DIGITS} digits")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidResultError(f"{place} is {value}, which JSON does not have: return null or text in its place")
        return float(value)
    if depth >= _MAX_DEPTH:
        raise InvalidResultError(f"{place[:80]}… is nested deeper than {_MAX_DEPTH} levels (or contains itself)")
    if isinstance(value, dict):
        return {_key(key, place): _plain(item, f"{place}.{key}", depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, f"{place}[{index}]", depth + 1) for index, item in enumerate(value)]
    return _converted(value, place)


def _converted(value: object, place: str) -> object:
    # By name, so that `datetime` is not imported where it is not used; datetime is a subclass of date.
    if any(kind.__module__ == "datetime" and kind.__name__ in {"date", "time"} for kind in type(value).__mro__):
        return value.isoformat()  # type: ignore[attr-defined]
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    raise InvalidResultError(
        f"{place} is a {name}; results of a flow's jobs are JSON: null, booleans, numbers, text, lists and maps (also tuples and dates)"
    )


def _key(key: object, place: str) -> str:
    if not isinstance(key, str):
        raise InvalidResultError(f"{place} has the key {key!r}, a {type(key).__name__}: keys of a map must be text")
    return _text(key, place)


def _text(value: str, place: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidResultError(f"{place} is text that is not valid Unicode (a lone surrogate at {error.start})") from error
    return str.__str__(value)  # of a subclass (an enum) the text itself
