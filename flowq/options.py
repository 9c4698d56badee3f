"""The options of a plain job, parsed once into one frozen record.

`enqueue(f, *args, **kwargs)` mixes options and arguments in one call; they are told apart here and nowhere else. From here on
a job's options travel as one `JobOptions`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from flowq import defaults
from flowq.callbacks import Callback
from flowq.dependency import Dependency
from flowq.durations import NEVER, milliseconds, parse_duration
from flowq.exceptions import UsageError
from flowq.repeat import Repeat
from flowq.retry import Retry

_NAMES: Final[tuple[str, ...]] = (
    *("timeout", "result_ttl", "ttl", "failure_ttl", "depends_on", "at_front", "description", "meta", "retry", "unique"),
    *("on_success", "on_failure", "on_stopped", "repeat"),
)
_UNSUPPORTED: Final = ("rate_limit", "webhooks")  # options of RQ that must not end up as arguments of the function
_CALLBACKS: Final = ("on_success", "on_failure", "on_stopped")


@dataclass(frozen=True, slots=True)
class JobOptions:
    """How a plain job is to be treated. Times in seconds; `flowq.durations.NEVER` (-1) is "no limit" or "for ever"."""

    id: str | None = None
    timeout: float | None = None  # None: the queue's default
    result_ttl: float | None = None  # None: the worker's default
    ttl: float | None = None  # None: waits for ever
    failure_ttl: float = defaults.FAILURE_TTL
    depends_on: tuple[Dependency, ...] = ()
    at_front: bool = False
    description: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    retry: Retry | None = None
    repeat: Repeat | None = None
    unique: bool = False
    on_success: Callback | None = None
    on_failure: Callback | None = None
    on_stopped: Callback | None = None

    @property
    def edges(self) -> list[tuple[str, str]]:
        """The ids of the jobs this one waits for, each with the condition on its end."""
        return [edge for dependency in self.depends_on for edge in dependency.edges]

    @property
    def front(self) -> bool:
        """Whether the job goes to the front of its queue."""
        return self.at_front or any(dependency.enqueue_at_front for dependency in self.depends_on)

    def fields(self, default_timeout: float) -> dict[str, str | bytes | int]:
        """Return what the store keeps of them; times in milliseconds there, the timeout in seconds."""
        out: dict[str, str | bytes | int] = {"timeout": repr(default_timeout if self.timeout is None else self.timeout)}
        for name, seconds in (("result_ttl", self.result_ttl), ("failure_ttl", self.failure_ttl), ("ttl", self.ttl)):
            if seconds is not None and not (name == "ttl" and seconds == NEVER):
                out[name] = milliseconds(seconds)
        if self.description is not None:
            out["description"] = self.description
        if self.retry is not None:
            waits = ",".join(str(int(item * 1000)) for item in self.retry.intervals)
            out["retry"] = f"{self.retry.max}|{waits}|0|{1 if self.retry.enqueue_at_front else 0}"
        if self.repeat is not None:
            out["repeat"] = self.repeat.stored()
        for name in _CALLBACKS:
            callback: Callback | None = getattr(self, name)
            if callback is not None:
                out[name] = callback.stored()
        return out


def split_call(
    args: Sequence[Any], kwargs: Mapping[str, Any], *, id_name: str = "job_id", timeout_name: str = "job_timeout"
) -> tuple[tuple[Any, ...], dict[str, Any], JobOptions]:
    """Tell the options in a call from the arguments of the function.

    Args:
        args: positional arguments of the call after the function.
        kwargs: keyword arguments of the call.
        id_name: what the job's id is called here (`job_id` at enqueue, `id` at create).
        timeout_name: what the timeout is called here (`job_timeout` at enqueue, `timeout` at create; both accept either).

    Returns:
        The function's positional and keyword arguments, and the options. `args=` and `kwargs=` give the function's arguments
        whole, so that one named like an option can be passed.

    Raises:
        UsageError: an option's value is not what it should be, or both forms of arguments were used.
    """
    rest = dict(kwargs)
    given = {name: rest.pop(name) for name in _NAMES if name in rest}
    for name in (id_name, timeout_name):
        if name in rest:
            given["id" if name == id_name else "timeout"] = rest.pop(name)
    for name in _UNSUPPORTED:
        if rest.pop(name, None) is not None:
            raise UsageError(f"the option {name}= is not supported by this version of flowq")
    if "args" not in rest and "kwargs" not in rest:
        return tuple(args), rest, parse_options(given)
    if args:
        raise UsageError("give the function's arguments either after it or with args=…, kwargs=…, not both")
    explicit = rest.pop("args", None)
    named = rest.pop("kwargs", None) or {}
    if rest:
        raise UsageError(f"unexpected options next to args=… and kwargs=…: {', '.join(sorted(rest))}")
    return as_arguments(explicit), dict(named), parse_options(given)


def as_arguments(value: Any) -> tuple[Any, ...]:
    """Return positional arguments: a tuple or list as it is, None as none, anything else as one argument."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def parse_options(given: Mapping[str, Any]) -> JobOptions:
    """Check the options and bring them into one form.

    Raises:
        UsageError: with the option's name.
    """
    values: dict[str, Any] = {}
    for name, value in given.items():
        if value is None:
            continue
        try:
            values[name] = _PARSERS[name](value) if name in _PARSERS else value
        except UsageError as error:
            raise type(error)(f"{name}={value!r}: {error}") from error
    return JobOptions(**values)


def _duration(value: Any) -> float:
    return parse_duration(value, never=True)


def _retry(value: Any) -> Retry:
    if isinstance(value, bool) or not isinstance(value, (int, Retry)):
        raise UsageError("expected a flowq.Retry or a number of retries")
    return value if isinstance(value, Retry) else Retry(max=value)


def _job_id(value: Any) -> str:
    if not isinstance(value, str) or not value or any(character in value for character in "|\n\r\0"):
        raise UsageError("expected a text without '|' and line breaks")
    return value


def _dependencies(value: Any) -> tuple[Dependency, ...]:
    items = value if isinstance(value, (list, tuple)) else [value]
    found = tuple(item if isinstance(item, Dependency) else Dependency(item) for item in items)
    for dependency in found:
        for job in dependency.ids:
            _job_id(job)
    return found


def _repeat(value: Any) -> Repeat:
    if isinstance(value, bool) or not isinstance(value, (int, Repeat)):
        raise UsageError("expected a flowq.Repeat or a number of repetitions")
    return value if isinstance(value, Repeat) else Repeat(times=value)


_PARSERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "id": _job_id,
    "timeout": _duration,
    "result_ttl": _duration,
    "ttl": _duration,
    "failure_ttl": _duration,
    "retry": _retry,
    "depends_on": _dependencies,
    "at_front": bool,
    "unique": bool,
    "meta": dict,
    "repeat": _repeat,
    "on_success": Callback.of,
    "on_failure": Callback.of,
    "on_stopped": Callback.of,
}
