"""The options of a plain job, parsed once into one frozen record.

`enqueue(f, *args, **kwargs)` mixes options and arguments in one call; they are told apart here and nowhere else. From here on
a job's options travel as one `JobOptions`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final

from flowq import defaults
from flowq.callbacks import Callback
from flowq.dependency import Dependency
from flowq.durations import NEVER, from_milliseconds, milliseconds, parse_duration
from flowq.exceptions import UsageError
from flowq.rate_limit import RateLimit
from flowq.repeat import Repeat
from flowq.retry import Retry
from flowq.states import RAN
from flowq.webhook import Webhook

# What `enqueue` takes out of a call, and its name here. `timeout` is not among them: it may well be an argument of the function.
_AT_ENQUEUE: Final[Mapping[str, str]] = {
    "job_id": "id",
    "job_timeout": "timeout",
    **{name: name for name in ("result_ttl", "ttl", "failure_ttl", "depends_on", "at_front", "description", "meta", "unique")},
    **{name: name for name in ("retry", "repeat", "on_success", "on_failure", "on_stopped", "rate_limit", "webhooks")},
}
_CALLBACKS: Final = ("on_success", "on_failure", "on_stopped")


@dataclass(frozen=True, slots=True)
class JobOptions:
    """How a plain job is to be treated. Times in seconds; `flowq.durations.NEVER` (-1) is "no limit" or "no expiry"."""

    id: str | None = None
    timeout: float | None = None  # None: the queue's default
    result_ttl: float | None = None  # None: the worker's default
    ttl: float | None = None  # None: no limit
    failure_ttl: float = defaults.FAILURE_TTL
    depends_on: tuple[Dependency, ...] = ()
    at_front: bool = False
    description: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    retry: Retry | None = None
    repeat: Repeat | None = None
    unique: bool = False
    rate_limit: RateLimit | None = None
    group_id: str | None = None
    coming: int = 0  # of a group: jobs of the same request that follow this one; -1 of each of those
    on_success: Callback | None = None
    on_failure: Callback | None = None
    on_stopped: Callback | None = None
    webhooks: tuple[Webhook, ...] = ()

    @property
    def edges(self) -> list[tuple[str, str]]:
        """The ids of the jobs this one waits for, each with the condition on its end."""
        return [edge for dependency in self.depends_on for edge in dependency.edges]

    @property
    def front(self) -> bool:
        """Whether the job goes to the front of its queue."""
        return self.at_front or any(dependency.enqueue_at_front for dependency in self.depends_on)

    def fields(self) -> dict[str, str | bytes | int]:
        """Return what the store keeps of them; times in milliseconds there."""
        out: dict[str, str | bytes | int] = {} if self.timeout is None else {"timeout": milliseconds(self.timeout)}
        for name, seconds in (("result_ttl", self.result_ttl), ("failure_ttl", self.failure_ttl), ("ttl", self.ttl)):
            if seconds is not None and not (name == "ttl" and seconds == NEVER):
                out[name] = milliseconds(seconds)
        if self.description is not None:
            out["description"] = self.description
        if self.retry is not None:
            out["retry"] = self.retry.stored()
        if self.rate_limit is not None:
            out |= self.rate_limit.fields()
        if self.repeat is not None:
            out["repeat"] = self.repeat.stored()
        if self.webhooks:
            out["webhooks"] = "\n".join(webhook.stored() for webhook in self.webhooks)
        for name in _CALLBACKS:
            callback: Callback | None = getattr(self, name)
            if callback is not None:
                out[name] = callback.stored()
        return out

    @classmethod
    def restored(cls, fields: Mapping[str, str], edges: Sequence[tuple[str, str]] = ()) -> "JobOptions":
        """Return them from what the store keeps of a job, and the edges to those it depends on."""
        return cls(
            timeout=_restored_seconds(fields.get("timeout")),
            result_ttl=_restored_seconds(fields.get("result_ttl")),
            ttl=_restored_seconds(fields.get("ttl")),
            failure_ttl=_restored_seconds(fields.get("failure_ttl"), default=defaults.FAILURE_TTL),
            depends_on=tuple(Dependency(job, allow_failure=condition == RAN) for job, condition in edges),
            at_front=fields.get("front") == "1",
            description=fields.get("description"),
            retry=Retry.restored(fields.get("retry")),
            rate_limit=RateLimit.restored(fields.get("semaphores"), fields.get("rate_limit")),
            group_id=fields.get("group_id"),
            repeat=Repeat.restored(fields.get("repeat")),
            on_success=Callback.restored(fields.get("on_success")),
            on_failure=Callback.restored(fields.get("on_failure")),
            on_stopped=Callback.restored(fields.get("on_stopped")),
            webhooks=Webhook.restored(fields.get("webhooks")),
        )


def _restored_seconds(stored: str | None, default: Any = None) -> Any:
    return default if stored is None else from_milliseconds(stored)


def split_call(args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any], JobOptions]:
    """Tell the options in a call of `enqueue` from the arguments of the function.

    Args:
        args: positional arguments of the call after the function.
        kwargs: keyword arguments of the call.

    Returns:
        The function's positional and keyword arguments, and the options. `args=` and `kwargs=` give the function's arguments
        whole, so that one named like an option can be passed.

    Raises:
        UsageError: an option's value is not what it should be, or both forms of arguments were used.
    """
    rest = dict(kwargs)
    given = {option: rest.pop(name) for name, option in _AT_ENQUEUE.items() if name in rest}
    if "args" not in rest and "kwargs" not in rest:
        return tuple(args), rest, parse_options(given)
    if args:
        raise UsageError("give the function's arguments either after it or with args=…, kwargs=…, not both")
    explicit = rest.pop("args", None)
    named = as_keywords(rest.pop("kwargs", None))
    if rest:
        raise UsageError(f"unexpected options next to args=… and kwargs=…: {', '.join(sorted(rest))}")
    return as_arguments(explicit), named, parse_options(given)


def as_arguments(value: Any) -> tuple[Any, ...]:
    """Return positional arguments: a tuple or list as it is, None as none, anything else as one argument."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def as_keywords(value: Any) -> dict[str, Any]:
    """Return keyword arguments; None is none.

    Raises:
        UsageError: not a mapping.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise UsageError(f"expected a mapping of keyword arguments, found kwargs={value!r}")
    return dict(value)


def bind_options(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options among the parameters of a function, by the names that they have here.

    The functions whose signatures RQ documents list their options one by one; each passes its `locals()`.
    """
    named = {_AT_ENQUEUE.get(name, name): value for name, value in parameters.items()}
    return {name: value for name, value in named.items() if name in _NAMES}


def enqueue_options(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options among the parameters of a function, by the names that `enqueue` takes."""
    return {name: value for name, value in parameters.items() if name in _AT_ENQUEUE}


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
    if values.get("unique") and "id" not in values:
        raise UsageError("unique=True needs an id: job_id=…")
    return JobOptions(**values)


def _duration(value: Any) -> float:
    return parse_duration(value, never=True)


def _limit(value: Any) -> float:
    seconds = _duration(value)
    if seconds == 0:
        raise UsageError("must be more than 0; -1 is without limit")
    return seconds


def _retry(value: Any) -> Retry:
    if isinstance(value, bool) or not isinstance(value, (int, Retry)):
        raise UsageError("expected a flowq.Retry or a number of retries")
    return value if isinstance(value, Retry) else Retry(max=value)


def checked_id(value: Any) -> str:
    """Return a job's id.

    Raises:
        UsageError: it cannot be one.
    """
    if not isinstance(value, str) or not value or any(character in value for character in "|\n\r\0"):
        raise UsageError(f"a job's id must be a text without '|' and line breaks, found {value!r}")
    return value


def group_name(value: Any) -> str:
    """Return the name of a group, checked."""
    if not isinstance(value, str) or not value or any(character in value for character in "\n\r\0"):
        raise UsageError(f"a group's name must be a text without line breaks, found {value!r}")
    return value


def _dependencies(value: Any) -> tuple[Dependency, ...]:
    items = value if isinstance(value, (list, tuple)) else [value]
    found = tuple(item if isinstance(item, Dependency) else Dependency(item) for item in items)
    for dependency in found:
        for job in dependency.ids:
            checked_id(job)
    return found


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise UsageError("expected a mapping")
    return dict(value)


def _rate_limit(value: Any) -> RateLimit:
    if not isinstance(value, RateLimit):
        raise UsageError("expected a flowq.RateLimit")
    return value


def _webhooks(value: Any) -> tuple[Webhook, ...]:
    items = (value,) if isinstance(value, Webhook) else tuple(value) if isinstance(value, (list, tuple)) else (None,)
    if not all(isinstance(item, Webhook) for item in items):
        raise UsageError("expected a list of flowq.Webhook")
    return items


def _repeat(value: Any) -> Repeat:
    if isinstance(value, bool) or not isinstance(value, (int, Repeat)):
        raise UsageError("expected a flowq.Repeat or a number of repetitions")
    return value if isinstance(value, Repeat) else Repeat(times=value)


_PARSERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "id": checked_id,
    "timeout": _limit,
    "result_ttl": _duration,
    "ttl": _limit,
    "failure_ttl": _duration,
    "retry": _retry,
    "depends_on": _dependencies,
    "group_id": group_name,
    "at_front": bool,
    "unique": bool,
    "meta": _mapping,
    "repeat": _repeat,
    "rate_limit": _rate_limit,
    "webhooks": _webhooks,
    "on_success": Callback.of,
    "on_failure": Callback.of,
    "on_stopped": Callback.of,
}
_NAMES: Final = frozenset(item.name for item in fields(JobOptions)) - {"coming"}
