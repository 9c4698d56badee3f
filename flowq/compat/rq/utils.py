"""`rq.utils`: what packages take from it, on top of flowq's own helpers.

RQ documents none of it. Each function does what its name and the packages that call it promise; helpers that only RQ's own machinery
has a use for are left out.
"""

import json
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from flowq.dotted_names import load_class, resolve
from flowq.durations import parse_duration
from flowq.job import Job
from flowq.jobs.call import Call
from flowq.queue import Queue
from flowq.worker.worker import Worker

NOT_JSON_SERIALIZABLE: Final = "<not JSON serializable>"
_TIME: Final = "%Y-%m-%dT%H:%M:%S.%fZ"

now = partial(datetime.now, UTC)


def as_text(v: bytes | str) -> str:
    """Return a text of the server, which may be bytes, as `str`.

    Raises:
        ValueError: it is neither.
    """
    match v:
        case str():
            return v
        case bytes():
            return str(v, "utf-8")
    raise ValueError(f"expected bytes or text, found {type(v).__name__}")


def decode_redis_hash(h: Mapping[bytes | str, Any], *, decode_values: bool = False) -> dict[str, Any]:
    """Return a hash of the server with its fields, and if wanted its values, as `str`."""
    values = map(as_text, h.values()) if decode_values else h.values()
    return dict(zip(map(as_text, h), values, strict=True))


def safe_json_dumps(value: Any) -> str:
    """Return a value as JSON; a fixed text in place of one that has no JSON form."""
    with suppress(TypeError, ValueError):
        return json.dumps(value)
    return NOT_JSON_SERIALIZABLE


def get_version(connection: Any) -> tuple[int, int, int]:
    """Return major, minor and patch of the version of a client's server."""
    major, minor, patch, *_ = *map(int, connection.info("server")["redis_version"].split(".")), 0, 0
    return major, minor, patch


# -- times --------------------------------------------------------------------------------------------------------------------


def current_timestamp() -> int:
    """Return the whole seconds since 1970."""
    return int(time.time())


def utcformat(dt: datetime) -> str:
    """Return a time in UTC in the form that RQ stores."""
    return dt.strftime(_TIME)


def utcparse(string: str) -> datetime:
    """Return the time that RQ has stored; one without a zone is in UTC."""
    moment = datetime.fromisoformat(string)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def str_to_date(date_str: bytes | str) -> datetime:
    """Return the time in a field of the server.

    Raises:
        ValueError: it is no time.
    """
    return utcparse(as_text(date_str))


def parse_timeout(timeout: float | str | None) -> int | None:
    """Return a duration ("1h30m", or seconds) in whole seconds, None if there is none.

    Raises:
        TimeoutFormatError: it is no duration.
    """
    if timeout is None:
        return None
    return int(parse_duration(timeout, never=True))


# -- functions, classes, queues -----------------------------------------------------------------------------------------------


def import_attribute(name: str) -> Any:
    """Return what has this dotted name; without a dot, the builtin.

    Raises:
        ValueError: nothing has it.
    """
    try:
        return resolve(name)
    except ImportError as error:
        raise ValueError(f"Invalid attribute name: {name}: {error}") from error


import_worker_class = partial(load_class, base=Worker)
import_job_class = partial(load_class, base=Job)
import_queue_class = partial(load_class, base=Queue)


def backend_class(holder: Any, default_name: str, override: Any = None) -> Any:
    """Return the class that was chosen in place of an attribute of `holder`, given as such or by its name; else that attribute."""
    chosen = getattr(holder, default_name) if override is None else override
    return import_attribute(chosen) if isinstance(chosen, str) else chosen


def get_call_string(
    func_name: str | None,
    args: Iterable[Any],
    kwargs: Mapping[str, Any],
    max_length: int | None = None,  # noqa: ARG001 - descriptions of flowq's jobs are short in any case
) -> str | None:
    """Return a call as flowq's descriptions write it, with long arguments shortened; None without a function."""
    return None if func_name is None else str(Call(func_name, tuple(args), kwargs))


def ensure_job_list(obj: Any) -> list[Any]:
    """Return the jobs or ids of an argument that may be one of them or several."""
    return [obj] if isinstance(obj, (str, Job)) or not isinstance(obj, Iterable) else [*obj]


def parse_names(queues_or_names: Iterable[Queue | str]) -> list[str]:
    """Return the names of queues that are given as such or by name."""
    return [item if isinstance(item, str) else item.name for item in queues_or_names]


def get_connection_from_queues(queues_or_names: Iterable[Queue | str]) -> Any:
    """Return the client of the first queue among them; None if all are names."""
    for queue in queues_or_names:
        if isinstance(queue, Queue):
            return queue.connection
    return None
