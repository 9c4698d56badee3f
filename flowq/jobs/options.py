"""The options of a plain job: one table defines how each is named, checked and stored, and a record holds them parsed.

`enqueue(f, *args, **kwargs)` mixes options and arguments in one call; only this module separates them. From here on
a job's options travel as one `JobOptions`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from typing import Any, Final, TypeAlias

from flowq.callbacks import Callback
from flowq.dependency import Dependency
from flowq.durations import NEVER, from_milliseconds, milliseconds, parse_duration, whole
from flowq.exceptions import UsageError
from flowq.ids import checked_name
from flowq.jobs.call import storable
from flowq.plan.bulk import record
from flowq.rate_limit import RateLimit
from flowq.repeat import Repeat
from flowq.retry import Retry
from flowq.states import RAN
from flowq.webhook import Webhook


@dataclass(frozen=True, slots=True)
class Option:
    """The name, check and stored form of one option. Its name, type and default are those of the field of `JobOptions`.

    Attributes:
        parse: returns the value that a client gave in its one form; raises `UsageError`.
        encode: returns what the store keeps of a value, None for nothing; without it, the option is not among the fields of a job.
        decode: returns the value from what the store keeps.
        keyword: its name among the keywords of `enqueue`, where that differs; None: it cannot be given there.
        stored: name of its field in the store, where that differs.
    """

    parse: Callable[[Any], Any]
    encode: Callable[[Any], str | int | None] | None = None
    decode: Callable[[str], Any] | None = None
    keyword: str | None = ""
    stored: str = ""


_ID: Final = re.compile(r"[A-Za-z0-9_-]+")

# -- parsing ------------------------------------------------------------------------------------------------------------------


def checked_id(value: Any) -> str:
    """Return a job's id.

    Raises:
        UsageError: it cannot be one.
    """
    return checked_name(value, "a job's id", without="|\n\r\0")


def new_id(value: Any) -> str:
    """Return the id for a new job. Ids with other characters can still be read: earlier versions allowed them.

    Raises:
        UsageError: it has other characters than letters, digits, `_` and `-`.
    """
    name = checked_id(value)
    if _ID.fullmatch(name) is None:
        raise UsageError(f"a job's id may have letters, digits, '_' and '-', found {value!r}")
    return name


def group_name(value: Any) -> str:
    """Return the name of a group, checked."""
    return checked_name(value, "a group's name")


def _duration(value: Any) -> float:
    return whole(parse_duration(value, never=True))


def _limit(value: Any) -> float:
    seconds = _duration(value)
    if seconds == 0:
        raise UsageError("must be more than 0; -1 is without limit")
    return seconds


def _wait(value: Any) -> float:
    seconds = whole(parse_duration(value))
    if seconds == 0:
        raise UsageError("must be more than 0; leave it out for no limit")
    return seconds


def _number_or(kind: type[Any], what: str) -> Callable[[Any], Any]:
    def parse(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, kind)):
            raise UsageError(f"expected a flowq.{kind.__name__} or a number of {what}")
        return value if isinstance(value, kind) else kind(value)

    return parse


def _dependencies(value: Any) -> tuple[Dependency, ...]:
    items = value if isinstance(value, (list, tuple)) else [value]
    found = tuple(item if isinstance(item, Dependency) else Dependency(item) for item in items)
    for dependency in found:
        for job in dependency.ids:
            checked_id(job)
    return found


def _description(value: Any) -> str:
    return storable(str(value))


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise UsageError("expected a mapping")
    return dict(value)


def _rate_limit(value: Any) -> RateLimit:
    if not isinstance(value, RateLimit):
        raise UsageError("expected a flowq.RateLimit")
    return value


def _webhooks(value: Any) -> tuple[Webhook, ...]:
    items = tuple(value) if isinstance(value, (list, tuple)) else (None,)
    if not all(isinstance(item, Webhook) for item in items):
        raise UsageError("expected a list of flowq.Webhook")
    return items


# -- the table ----------------------------------------------------------------------------------------------------------------


def _option(parse: Callable[[Any], Any], encode: Any = None, decode: Any = None, **names: Any) -> dict[str, Option]:
    return {"option": Option(parse, encode, decode, **names)}


def _limit_to_millis(seconds: float) -> int | None:
    return None if seconds == NEVER else milliseconds(seconds)


def _lines(webhooks: tuple[Webhook, ...]) -> str | None:
    return "\n".join(webhook.stored() for webhook in webhooks) or None


_TTL: Final = _option(_duration, milliseconds, from_milliseconds)
_CALLBACK: Final = _option(Callback.of, Callback.stored, Callback.restored)


_Stored: TypeAlias = tuple[float | None, Mapping[str, str]]


@record
class JobOptions:
    """The options of a plain job. Times in seconds; `flowq.durations.NEVER` (-1) is "no limit" or "no expiry".

    Where nothing was said, `timeout` is that of the queue, `result_ttl` that of the worker, and there is no `ttl`.
    """

    id: str | None = field(default=None, metadata=_option(new_id, keyword="job_id"))
    timeout: float | None = field(
        default=None, metadata=_option(_limit, milliseconds, from_milliseconds, keyword="job_timeout")
    )
    result_ttl: float | None = field(default=None, metadata=_TTL)
    ttl: float | None = field(default=None, metadata=_option(_wait, _limit_to_millis, from_milliseconds))
    failure_ttl: float | None = field(default=None, metadata=_TTL)
    depends_on: tuple[Dependency, ...] = field(default=(), metadata=_option(_dependencies))
    at_front: bool = field(default=False, metadata=_option(bool, None, "1".__eq__, stored="front"))
    description: str | None = field(default=None, metadata=_option(_description, str, str))
    meta: Mapping[str, Any] = field(default_factory=dict, metadata=_option(_mapping))
    retry: Retry | None = field(default=None, metadata=_option(_number_or(Retry, "retries"), Retry.stored, Retry.restored))
    repeat: Repeat | None = field(
        default=None, metadata=_option(_number_or(Repeat, "repetitions"), Repeat.stored, Repeat.restored)
    )
    unique: bool = field(default=False, metadata=_option(bool))
    rate_limit: RateLimit | None = field(default=None, metadata=_option(_rate_limit))  # stored in two fields, see `fields`
    group_id: str | None = field(default=None, metadata=_option(group_name, None, str, keyword=None))
    coming: int = 0  # of a group: jobs of the same request that follow this one; -1 of each of those
    on_success: Callback | None = field(default=None, metadata=_CALLBACK)
    on_failure: Callback | None = field(default=None, metadata=_CALLBACK)
    on_stopped: Callback | None = field(default=None, metadata=_CALLBACK)
    webhooks: tuple[Webhook, ...] = field(default=(), metadata=_option(_webhooks, _lines, Webhook.restored))
    is_shared: bool = field(default=False, init=False, repr=False, compare=False)  # many jobs have this one: see `fields`
    _stored: _Stored | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def edges(self) -> list[tuple[str, str]]:
        """The ids of the jobs this one waits for, each with the condition on its end."""
        return [edge for dependency in self.depends_on for edge in dependency.edges] if self.depends_on else []

    @property
    def front(self) -> bool:
        """Whether the job goes to the front of its queue."""
        return self.at_front or (bool(self.depends_on) and any(item.enqueue_at_front for item in self.depends_on))

    def fields(self, default_timeout: float | None = None) -> Mapping[str, str]:
        """Return their stored form; its times are in milliseconds. Where many jobs share them it is the same mapping for all.

        Args:
            default_timeout: the limit where they have none; seconds.
        """
        known = self._stored
        if known is None or known[0] != default_timeout:
            known = default_timeout, self._encoded(default_timeout)
            if self.is_shared:
                self._stored = known  # type: ignore[misc] # what it is made of does not change
        return known[1]

    def _encoded(self, default_timeout: float | None) -> dict[str, str]:
        found: dict[str, str] = {}
        for (stored, encode), value in zip(_ENCODED, _values_of(self), strict=True):
            if value is not None and (text := encode(value)) is not None:
                found[stored] = str(text)
        if default_timeout is not None:
            found.setdefault("timeout", str(milliseconds(default_timeout)))
        return found if self.rate_limit is None else {**found, **self.rate_limit.fields()}

    @classmethod
    def restored(cls, stored: Mapping[str, str], edges: Sequence[tuple[str, str]] = ()) -> "JobOptions":
        """Return them from a job's stored fields, and the edges to the jobs it depends on."""
        values = {name: decode(stored[key]) for name, key, decode in _DECODED if key in stored}
        values["depends_on"] = tuple(Dependency(job, allow_failure=condition == RAN) for job, condition in edges)
        values["rate_limit"] = RateLimit.restored(stored.get("semaphores"), stored.get("rate_limit"))
        return cls(**values)


_TABLE: Final[Mapping[str, Option]] = {
    item.name: item.metadata["option"] for item in fields(JobOptions) if "option" in item.metadata
}
_ENCODED: Final = [(option.stored or name, option.encode) for name, option in _TABLE.items() if option.encode]
_values_of: Final = attrgetter(*(name for name, option in _TABLE.items() if option.encode))
_DECODED: Final = [(name, option.stored or name, option.decode) for name, option in _TABLE.items() if option.decode]
# What `enqueue` takes out of a call, and its name here. `timeout` is not among them: it may well be an argument of the function.
_AT_ENQUEUE: Final = {option.keyword or name: name for name, option in _TABLE.items() if option.keyword is not None}
# The same, and the name of the parameter of `enqueue_call`.
_OF_CALL: Final = {**{name: name for name in _AT_ENQUEUE}, "job_timeout": "timeout", "pipeline": "pipeline"}
_FLAGS: Final = {"at_front", "unique"}
NOT_GIVEN: Final[Mapping[str, Any]] = {name: False if name in _FLAGS else None for name in _OF_CALL.values()}
"""All options of `enqueue_call` as they are where nothing is said: a subclass that replaces it finds each of them, as in RQ."""

_DURATIONS: Final = {"timeout", "result_ttl", "ttl", "failure_ttl"}
_NAMES: Final = {**_AT_ENQUEUE, **{name: name for name in _TABLE}}


# -- from a call to options ---------------------------------------------------------------------------------------------------


def split_call(args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]:
    """Separate the options in a call of `enqueue` from the arguments of the function.

    Args:
        args: positional arguments of the call after the function.
        kwargs: keyword arguments of the call.

    Returns:
        The function's positional and keyword arguments, and the options by the names of the parameters of `enqueue_call`. `args=` and
        `kwargs=` give the function's arguments whole, so that one named like an option can be passed.

    Raises:
        UsageError: both forms of arguments were used.
    """
    rest: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for name, value in kwargs.items():
        if name in _OF_CALL:
            options[_OF_CALL[name]] = value
        else:
            rest[name] = value
    if "args" not in rest and "kwargs" not in rest:
        return tuple(args), rest, options
    if args:
        raise UsageError("give the function's arguments either after it or with args=…, kwargs=…, not both")
    explicit = rest.pop("args", None)
    named = as_keywords(rest.pop("kwargs", None))
    if rest:
        raise UsageError(f"unexpected options next to args=… and kwargs=…: {', '.join(sorted(rest))}")
    return as_arguments(explicit), named, options


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
    """Return the options that are given (neither None nor a flag that is off) among the parameters of a function, by the names that they have here.

    The functions whose signatures RQ documents list their options one by one; each passes its `locals()`.
    """
    names = _NAMES
    return {
        names[name]: value
        for name, value in parameters.items()
        if value is not None and name in names and not (value is False and name in _FLAGS)
    }


def is_option(name: str) -> bool:
    """Return whether there is an option that has this name, here or among the parameters of a function."""
    return name in _NAMES


def option_name(keyword: str) -> str:
    """Return the name here of an option that users give under this keyword.

    Raises:
        KeyError: there is no such option.
    """
    return _NAMES[keyword]


def enqueue_options(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options among the parameters of a function, by the names that `enqueue` takes."""
    return {name: value for name, value in parameters.items() if name in _AT_ENQUEUE}


def check_unique(values: Mapping[str, Any]) -> None:
    """Check that `unique` is possible with the other options.

    Raises:
        UsageError: it has no id to compare, or the job waits for more than its turn in the queue.
    """
    if not values.get("id"):
        raise UsageError("unique=True needs an id: job_id=…")
    for name in ("depends_on", "rate_limit"):
        if values.get(name):
            raise UsageError(f"unique=True and {name}=… exclude each other")


def _parsed(name: str, value: Any) -> Any:
    if name in _DURATIONS and isinstance(value, (int, float, str)):
        return _parsed_duration(name, value)
    return _checked(name, value)


@lru_cache(
    maxsize=200, typed=True
)  # a program gives the same few durations to all its jobs; `typed`: True is no duration, 1 is
def _parsed_duration(name: str, value: float | str) -> Any:
    return _checked(name, value)


def _checked(name: str, value: Any) -> Any:
    try:
        return _TABLE[name].parse(value)
    except UsageError as error:
        raise type(error)(f"{name}={value!r}: {error}") from error


def parse_options(given: Mapping[str, Any]) -> JobOptions:
    """Check the options and bring them into one form.

    Raises:
        UsageError: with the option's name.
    """
    if given.keys() <= _DURATIONS:
        try:
            return _of_durations(*chain.from_iterable(given.items()))
        except TypeError:  # a value that is no duration at all
            pass
    values = {name: _parsed(name, value) for name, value in given.items() if value is not None}
    if values.get("unique"):
        check_unique(values)
    return JobOptions(**values)


@lru_cache(maxsize=200, typed=True)  # as above: most jobs have no other options, or none
def _of_durations(*given: Any) -> JobOptions:
    options = JobOptions(
        **{name: _checked(name, value) for name, value in zip(given[::2], given[1::2], strict=True) if value is not None}
    )
    options.is_shared = True  # type: ignore[misc] # before a job has it
    return options
