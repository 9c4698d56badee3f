"""`rq.utils`: the helpers that packages take from RQ."""

import calendar
import inspect
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from flowq.dotted_names import resolve
from flowq.durations import parse_duration
from flowq.queue import Queue

_T = TypeVar("_T")

NOT_JSON_SERIALIZABLE: Final = "<not JSON serializable>"
_FORMAT: Final = "%Y-%m-%dT%H:%M:%S.%fZ"

# -- texts and values of Redis ------------------------------------------------------------------------------------------------


def as_text(v: bytes | str) -> str:
    """Return bytes as text, and text as it is.

    Raises:
        ValueError: neither of the two.
    """
    if isinstance(v, (bytes, str)):
        return v.decode() if isinstance(v, bytes) else v
    raise ValueError(f"expected bytes or text, found {type(v).__name__}")


def decode_redis_hash(h: Mapping[bytes | str, Any], *, decode_values: bool = False) -> dict[str, Any]:
    """Return a hash with its names as text, with `decode_values` its values as well."""
    return {as_text(name): as_text(value) if decode_values else value for name, value in h.items()}


def safe_json_dumps(value: Any) -> str:
    """Return a value as JSON, or `NOT_JSON_SERIALIZABLE`."""
    try:
        return json.dumps(value)
    except (TypeError, ValueError):
        return NOT_JSON_SERIALIZABLE


def parse_composite_key(composite_key: str) -> tuple[str, str]:
    """Return the ids of a job and of its execution of `<job>:<execution>`; no execution gives an empty text."""
    job_id, _, execution_id = composite_key.partition(":")
    return job_id, execution_id


def get_version(connection: Any) -> tuple[int, ...]:
    """Return the version of the server as three numbers."""
    numbers = [int(part) for part in str(connection.info("server")["redis_version"]).split(".")[:3]]
    return (*numbers, *([0] * (3 - len(numbers))))


# -- times --------------------------------------------------------------------------------------------------------------------


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


def current_timestamp() -> int:
    """Return the seconds since 1970."""
    return calendar.timegm(now().utctimetuple())


def utcformat(dt: datetime) -> str:
    """Return a time in UTC as text."""
    return dt.strftime(_FORMAT)


def utcparse(string: str) -> datetime:
    """Return the time of such a text; fractions of a second may be missing."""
    found = datetime.fromisoformat(string)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def str_to_date(date_str: bytes | str) -> datetime:
    """Return the time of such a text, or of its bytes.

    Raises:
        ValueError: it is empty.
    """
    if not date_str:
        raise ValueError("expected a time, found an empty text")
    return utcparse(as_text(date_str))


def parse_timeout(timeout: float | str | None) -> int | None:
    """Return the whole seconds of a duration; None is None.

    Raises:
        TimeoutFormatError: not a duration.
    """
    return None if timeout is None else int(parse_duration(timeout, never=True))


# -- functions and classes ----------------------------------------------------------------------------------------------------


def import_attribute(name: str) -> Any:
    """Return the object of a dotted name.

    Raises:
        ValueError: there is none.
    """
    try:
        return resolve(name if "." in name else f"builtins.{name}")
    except ImportError as error:
        raise ValueError(f"Invalid attribute name: {name}: {error}") from error


import_worker_class = import_job_class = import_queue_class = import_attribute


def backend_class(holder: Any, default_name: str, override: Any = None) -> Any:
    """Return a class that was given as it is or by its dotted name; None is the attribute `default_name` of `holder`."""
    if override is None:
        return getattr(holder, default_name)
    return import_attribute(override) if isinstance(override, str) else override


def resolve_function_reference(func: Any) -> tuple[Any, str]:
    """Return the object whose method a callable is, or None, and its name.

    Raises:
        TypeError: neither a callable nor a name.
    """
    if isinstance(func, str):
        return None, func
    if inspect.ismethod(func):
        return func.__self__, func.__name__
    if inspect.isfunction(func) or inspect.isbuiltin(func):
        return None, f"{func.__module__}.{func.__qualname__}"
    if callable(func) and not inspect.isclass(func):
        return func, "__call__"
    raise TypeError(f"expected a callable or a name, found {func!r}")


def get_call_string(
    func_name: str | None, args: Iterable[Any], kwargs: Mapping[str, Any], max_length: int | None = None
) -> str | None:
    """Return a call as text, each argument shortened to `max_length` characters; None without a function."""
    if func_name is None:
        return None
    positional = [truncate_long_string(repr(value), max_length) for value in args]
    named = sorted(f"{name}={truncate_long_string(repr(value), max_length)}" for name, value in kwargs.items())
    return f"{func_name}({', '.join([*positional, *named])})"


def truncate_long_string(data: str, max_length: int | None = None) -> str:
    """Return the text, cut off after `max_length` characters."""
    return data if max_length is None or len(data) <= max_length else f"{data[:max_length]}..."


# -- lists --------------------------------------------------------------------------------------------------------------------


def compact(lst: Iterable[_T | None]) -> list[_T]:
    """Return the values that are not None."""
    return [item for item in lst if item is not None]


def is_nonstring_iterable(obj: Any) -> bool:
    """Return whether it is an iterable, but not a text."""
    return isinstance(obj, Iterable) and not isinstance(obj, str)


def ensure_job_list(obj: Any) -> list[Any]:
    """Return a list of what was given, one value or several."""
    return list(obj) if is_nonstring_iterable(obj) else [obj]


def ceildiv(a: int, b: int) -> int:
    """Return the quotient, rounded up."""
    return -(-a // b)


def split_list(a_list: Sequence[_T], segment_size: int) -> Iterator[Sequence[_T]]:
    """Yield parts of a list of at most that size."""
    for start in range(0, len(a_list), segment_size):
        yield a_list[start : start + segment_size]


def parse_names(queues_or_names: Iterable[Any]) -> list[str]:
    """Return the names of queues, which are given as names or queues."""
    return [item.name if isinstance(item, Queue) else str(item) for item in queues_or_names]


def get_connection_from_queues(queues_or_names: Iterable[Any]) -> Any:
    """Return the client of the first queue that is not a mere name, None if there is none."""
    return next((item.connection for item in queues_or_names if isinstance(item, Queue)), None)
