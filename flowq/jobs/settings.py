"""What a job executes and how it is to be treated: given when it is made, restored from the store when it is fetched."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from flowq import signing
from flowq.callbacks import CALLBACK_TIMEOUT, Callback
from flowq.exceptions import NoSuchJobError, UsageError
from flowq.jobs.call import Call
from flowq.jobs.options import JobOptions, parse_options
from flowq.jobs.state import JobState
from flowq.rate_limit import RateLimit
from flowq.retry import Retry
from flowq.serializers import serializer_name
from flowq.states import JobStatus
from flowq.store.schema.records import JobRecord
from flowq.webhook import Webhook

if TYPE_CHECKING:
    from flowq.store import Store

_SAVED: Final = ("description", "timeout", "result_ttl", "failure_ttl", "retry")  # what may be changed once a job is enqueued


class _Duration:
    """One of the options that are durations, as an attribute: seconds, -1 without an end, None where nothing was said."""

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    def __get__(self, job: "JobSettings | None", _owner: type) -> Any:
        return self if job is None else getattr(job.options, self._name)

    def __set__(self, job: "JobSettings", value: float | str | None) -> None:
        job.change(self._name, value)


class JobSettings(JobState):
    """The part of `Job` that its creator gives. `Job.save` stores what was set since."""

    timeout = _Duration()  # one execution may take; None before it is enqueued: the queue's
    result_ttl = _Duration()  # it is kept after a success; None: the worker's default
    failure_ttl = _Duration()  # it is kept after a failure
    ttl = _Duration()  # it may wait in its queue; None: no limit. Fixed once it is enqueued

    # -- what it executes -----------------------------------------------------------------------------------------------------

    @property
    def call(self) -> Call:
        """The function and its arguments.

        Raises:
            NoSuchJobError: the job is gone.
            DeserializationError: the arguments cannot be decoded here.
            SignatureError: they are not signed with the key that is set here.
        """
        if self._call is None:
            stored = self._payload if self._payload is not None else self.store.jobs.payload(self.id)
            if stored is None:
                raise NoSuchJobError(f"no job with the id {self.id!r}, or it is a job of a run, whose call is in the flow")
            fields = {} if self._record is None else self._record.fields
            self._call = Call.restored(
                signing.unseal(stored, *signing.payload_context(self.id, fields)), self.serializer, self.id
            )
        return self._call

    def payload(self) -> bytes:
        """Return the function and its arguments as stored.

        Raises:
            UsageError: an argument cannot be serialized.
        """
        return signing.seal(self.call.stored(self.serializer), *signing.payload_context(self.id, self.stored_fields()))

    @property
    def func_name(self) -> str:
        """The dotted name of the function; of a method its name."""
        return self.call.name

    @property
    def func(self) -> Callable[..., Any]:
        """The function.

        Raises:
            ImportError: it cannot be found here.
        """
        return self.call.function()

    @property
    def instance(self) -> Any:
        """The object whose method is called, or None."""
        return self.call.instance

    @property
    def args(self) -> tuple[Any, ...]:
        """The positional arguments."""
        return self.call.args

    @property
    def kwargs(self) -> dict[str, Any]:
        """The keyword arguments."""
        return dict(self.call.kwargs)

    def get_call_string(self) -> str:
        """Return the call as text, shortened: `pkg.mod.func(3, x=4)`."""
        return str(self.call)

    # -- how it is treated ----------------------------------------------------------------------------------------------------

    @property
    def options(self) -> JobOptions:
        """All that was said about it when it was made."""
        if self._options is None:
            record = self._record if self._record is not None else self._live()
            self._options = JobOptions() if record is None else JobOptions.restored(record.fields, self._edges(record))
        return self._options

    def bind(self, store: "Store", serializer: Any, origin: str, default_timeout: float) -> None:
        """Say where the job goes, and what holds there; a made job is bound when it is enqueued."""
        if self.options.timeout is None:
            self._options = replace(self.options, timeout=default_timeout)
        self._store = store
        self._enqueued = True
        self.origin = origin
        if not self._explicit_serializer:
            self.serializer = serializer

    def _edges(self, record: JobRecord) -> list[tuple[str, str]]:
        """Those that a job which was saved but not enqueued will wait for; of any other job that is settled."""
        return self.store.jobs.edges(self.id) if record.status is JobStatus.CREATED else []

    def change(self, name: str, value: Any) -> None:
        """Change one option; `save` stores it.

        Raises:
            UsageError: the value is not what it should be.
        """
        self._options = replace(self.options, **{name: getattr(parse_options({name: value}), name)})
        self._changes.add(name)

    @property
    def changed(self) -> bool:
        """Whether something was changed here that is not saved."""
        return bool(self._changes)

    def changes(self) -> dict[str, str | bytes | int]:
        """Return the fields of the store that were changed here since the last time; an empty text removes one."""
        fields = self.options.fields()
        names = [name for name in _SAVED if name in self._changes]
        self._changes.clear()
        return {name: fields.get(name, "") for name in names}

    def stored_fields(self) -> dict[str, str | bytes | int]:
        """Return what the store keeps of the options, and how the payload is to be read."""
        fields = self.options.fields()
        name = serializer_name(self.serializer)
        if self.options.webhooks:
            fields["func"] = self.func_name  # so that webhooks need not decode the payload
        return {**fields, "serializer": name} if name else fields

    @property
    def description(self) -> str:
        """The given description, else the call as text."""
        return self.options.description or str(self.call)

    @description.setter
    def description(self, value: str) -> None:
        self.change("description", value)

    def get_ttl(self, default_ttl: float | None = None) -> float | None:
        """Return `ttl`, or the default."""
        return default_ttl if self.ttl is None else self.options.ttl

    def get_result_ttl(self, default_ttl: float | None = None) -> float | None:
        """Return `result_ttl`, or the default."""
        return default_ttl if self.result_ttl is None else self.options.result_ttl

    @property
    def number_of_retries(self) -> int:
        """How often it has been executed again, after a failure or because it returned a `Retry`."""
        record = self._live()
        return 0 if record is None else max(0, record.attempt - 1)

    def _retries_used(self) -> int:
        record = self._live()
        return 0 if record is None else max(0, record.attempt - 1 - record.returns)

    @property
    def retries_left(self) -> int | None:
        """How often it will be executed again after a failure; None without `retry`."""
        retry = self.options.retry
        return None if retry is None else max(0, retry.max - self._retries_used())

    @retries_left.setter
    def retries_left(self, value: int) -> None:
        if value < 0:
            raise UsageError(f"retries_left must be a number of retries, found {value!r}")
        former = self.options.retry or Retry(max=1)
        retry = Retry(self._retries_used() + value, former.intervals, former.enqueue_at_front) if value else None
        self._options = replace(self.options, retry=retry)
        self._changes.add("retry")

    @property
    def retry_intervals(self) -> list[float] | None:
        """Seconds before each retry; None without `retry`."""
        return None if self.options.retry is None else self.options.retry.intervals

    @property
    def repeats_left(self) -> int | None:
        """How often it will be executed again after a success; None without `repeat`."""
        record, repeat = self._live(), self.options.repeat
        if repeat is None:
            return None
        return repeat.times - (0 if record is None else record.repeated)

    @property
    def repeat_intervals(self) -> list[float] | None:
        """Seconds before each repetition; None without `repeat`."""
        return None if self.options.repeat is None else self.options.repeat.intervals

    @property
    def webhooks(self) -> list[Webhook]:
        """What is told about its end to the world; see `flowq.webhook`."""
        return list(self.options.webhooks)

    @property
    def rate_limit(self) -> RateLimit | None:
        """The limit that it shares with others."""
        return self.options.rate_limit

    @property
    def has_rate_limit(self) -> bool:
        """Whether it shares a limit with others."""
        return self.rate_limit is not None

    @property
    def rate_limit_key(self) -> str | None:
        """The key of its limit."""
        return None if self.rate_limit is None else self.rate_limit.key

    @property
    def rate_limit_concurrency(self) -> int | None:
        """How many jobs of its limit it allows at once."""
        return None if self.rate_limit is None else self.rate_limit.concurrency

    @property
    def group_id(self) -> str | None:
        """The name of the group it belongs to; see `flowq.group`."""
        return self.options.group_id

    @property
    def success_callback(self) -> Callable[..., Any] | None:
        """What is called after a success."""
        return _resolved(self.options.on_success)

    @property
    def success_callback_timeout(self) -> float:
        """Seconds that it may take."""
        return _time_of(self.options.on_success)

    @property
    def failure_callback(self) -> Callable[..., Any] | None:
        """What is called after a failure."""
        return _resolved(self.options.on_failure)

    @property
    def failure_callback_timeout(self) -> float:
        """Seconds that it may take."""
        return _time_of(self.options.on_failure)

    @property
    def stopped_callback(self) -> Callable[..., Any] | None:
        """What is called after the job was stopped."""
        return _resolved(self.options.on_stopped)

    @property
    def stopped_callback_timeout(self) -> float:
        """Seconds that it may take."""
        return _time_of(self.options.on_stopped)


def _resolved(callback: Callback | None) -> Callable[..., Any] | None:
    return None if callback is None else callback.resolved()


def _time_of(callback: Callback | None) -> float:
    return CALLBACK_TIMEOUT if callback is None else callback.timeout
