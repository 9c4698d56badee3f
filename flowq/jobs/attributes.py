"""The attributes of `Job` that RQ documents: each is one line over what the client set and what the store has."""

from collections.abc import Callable
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar, overload

from flowq.callbacks import CALLBACK_TIMEOUT, Callback
from flowq.connections.stores import connection_of
from flowq.executions import Execution
from flowq.jobs.options import as_arguments, as_keywords, new_id
from flowq.results import Result, error_text
from flowq.states import RAN, JobStatus

if TYPE_CHECKING:
    from flowq.jobs.settings import JobSettings
    from flowq.jobs.state import JobState
    from flowq.store.schema.records import JobRecord

_T = TypeVar("_T")
_REGISTRIES: Final = "flowq.registry"


class Attribute(Generic[_T]):
    """An attribute that is computed each time it is read.

    Args:
        read: returns its value, given the job.
        doc: what it is.
        write: stores a value, given the job; without it the attribute cannot be set.
    """

    def __init__(
        self, read: "Callable[[JobAttributes], _T]", doc: str, write: "Callable[[JobAttributes, Any], None] | None" = None
    ) -> None:
        self.__doc__ = doc
        self._read, self._write = read, write

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, job: None, owner: type) -> Self: ...
    @overload
    def __get__(self, job: "JobAttributes", owner: type) -> _T: ...
    def __get__(self, job: "JobAttributes | None", owner: type) -> "Self | _T":
        return self if job is None else self._read(job)

    def __set__(self, job: "JobAttributes", value: Any) -> None:
        if self._write is None:
            raise AttributeError(f"{self._name} of a job cannot be set")
        self._write(job, value)


def _status(status: JobStatus, doc: str) -> Attribute[bool]:
    return Attribute(lambda job: job.get_status() is status, doc)


def _time(name: str, doc: str) -> Attribute[datetime | None]:
    """Return a time of the record. One that is set is shown by this handle until it is refreshed, and not stored."""
    return Attribute(lambda job: job.state.time(name), doc, lambda job, value: _give(job, name, value))


def _give(job: "JobAttributes", name: str, value: Any) -> None:
    job.state.given[name] = value


def _duration(name: str, doc: str) -> Attribute[Any]:
    """Return an option in seconds: -1 is unlimited, None means not given."""
    return Attribute(lambda job: getattr(job.settings.options, name), doc, lambda job, value: job.settings.change(name, value))


def _callback(name: str, doc: str) -> Attribute[Callable[..., Any] | None]:
    def read(job: "JobAttributes") -> Callable[..., Any] | None:
        callback: Callback | None = getattr(job.settings.options, name)
        return None if callback is None else callback.resolved()

    return Attribute(read, doc)


def _part(option: str, part: str, doc: str, default: Any = None) -> Attribute[Any]:
    """Return an attribute of the value of an option; `default` where that was not given."""

    def read(job: "JobAttributes") -> Any:
        value = getattr(job.settings.options, option)
        return default if value is None else getattr(value, part)

    return Attribute(read, doc)


def _registry(kind: str, doc: str) -> Attribute[Any]:
    """Return a registry of the job's queue. By name: registries are a layer above jobs."""

    def read(job: "JobAttributes") -> Any:
        return getattr(import_module(_REGISTRIES), kind)(job.origin, job.connection, type(job), serializer=job.serializer)

    return Attribute(read, doc)


def _of_record(read: "Callable[[JobRecord], _T]", doc: str, default: _T) -> Attribute[_T]:
    """Return an attribute of the current record; `default` of a job that is not stored."""

    def of(job: "JobAttributes") -> _T:
        record = job.state.current()
        return default if record is None else read(record)

    return Attribute(of, doc)


class JobAttributes:
    """The attributes of a handle on a job.

    Attributes:
        settings: the values that the client has set.
        state: the stored job.
    """

    settings: "JobSettings"
    state: "JobState"

    id = Attribute(
        lambda job: job.state.id,
        "Its id; can be set until it is enqueued.",
        lambda job, value: job.state.rename(new_id(value)),
    )
    origin = Attribute(
        lambda job: job.state.queue, "The name of its queue.", lambda job, value: setattr(job.state, "queue", value)
    )
    serializer = Attribute(
        lambda job: job.settings.serializer,
        "The serializer of its call, result and meta.",
        lambda job, value: setattr(job.settings, "serializer", value),
    )
    store = Attribute(lambda job: job.state.store, "The store that it is in.")
    connection = Attribute[Any](
        lambda job: connection_of(job.store),
        "The redis-py client that the job's server is reached with.",
        lambda job, value: job.state.connect(value),
    )

    # -- what it executes -----------------------------------------------------------------------------------------------------

    func_name = Attribute(
        lambda job: job.settings.func_name,
        "The dotted name of the function; of a method its name. Can be set until it is enqueued.",
        lambda job, value: job.settings.change_call(name=str(value)),
    )
    func = Attribute(lambda job: job.settings.call.function(), "The function; ImportError where it cannot be found here.")
    instance = Attribute[Any](
        lambda job: job.settings.call.instance,
        "The object whose method is called, or None; can be set until it is enqueued.",
        lambda job, value: job.settings.change_call(instance=value),
    )
    args = Attribute(
        lambda job: job.settings.call.args,
        "The positional arguments; can be set until it is enqueued.",
        lambda job, value: job.settings.change_call(args=as_arguments(value)),
    )
    kwargs = Attribute(
        lambda job: dict(job.settings.call.kwargs),
        "The keyword arguments; can be set until it is enqueued.",
        lambda job, value: job.settings.change_call(kwargs=as_keywords(value)),
    )
    data = Attribute(
        lambda job: job.settings.call.stored(job.settings.serializer), "The function and its arguments, serialized."
    )
    description = Attribute(
        lambda job: job.settings.options.description or job.settings.call_text,
        "The given description, else the call as text.",
        lambda job, value: job.settings.change("description", value),
    )

    # -- its options ----------------------------------------------------------------------------------------------------------

    options = Attribute(lambda job: job.settings.options, "All options that were given when it was made.")
    changed = Attribute(lambda job: job.settings.changed, "Whether something was changed here that is not saved.")
    timeout = _duration("timeout", "Seconds that one execution may take; None before it is enqueued: the queue's.")
    result_ttl = _duration("result_ttl", "Seconds that it is kept after a success; None: the worker's default.")
    failure_ttl = _duration("failure_ttl", "Seconds that it is kept after a failure.")
    ttl = _duration("ttl", "Seconds that it may wait in its queue; None: no limit. Fixed once it is enqueued.")
    retries_left = Attribute(
        lambda job: None if (retry := job.options.retry) is None else max(0, retry.max - job.settings.retries_used),
        "How often it will be executed again after a failure; None without `retry`.",
        lambda job, value: job.settings.change_retries_left(value),
    )
    retry_intervals = Attribute[Any](
        lambda job: job.settings.of_retry("intervals"),
        "Seconds before each retry; None without `retry`.",
        lambda job, value: job.settings.change_retry(intervals=value),
    )
    should_retry = Attribute(
        lambda job: job.retries_left is not None and job.retries_left > 0, "Whether retries are left after a failure."
    )
    enqueue_at_front_on_retry = Attribute[Any](
        lambda job: job.settings.of_retry("enqueue_at_front"),
        "Whether a retry puts it at the front of its queue; None without `retry`.",
        lambda job, value: job.settings.change_retry(enqueue_at_front=value),
    )
    enqueue_at_front = Attribute(
        lambda job: job.options.at_front,
        "Whether it goes to the front of its queue; can be set until it is enqueued.",
        lambda job, value: job.settings.change_new("at_front", bool(value)),
    )
    repeats_left = Attribute(
        lambda job: None if (repeat := job.options.repeat) is None else repeat.times - job.settings.repetitions,
        "How often it will be executed again after a success; None without `repeat`.",
        lambda job, value: job.settings.change_repeats_left(value),
    )
    repeat_intervals = Attribute[Any](
        lambda job: job.settings.repeat_intervals,
        "Seconds before each repetition that is left; None without `repeat`.",
        lambda job, value: job.settings.change_repeat_intervals(value),
    )
    webhooks = Attribute(
        lambda job: list(job.options.webhooks),
        "The webhooks that are sent at its end; can be set until it is enqueued.",
        lambda job, value: job.settings.change_new("webhooks", value),
    )
    rate_limit = Attribute(lambda job: job.options.rate_limit, "The limit that it shares with others.")
    has_rate_limit = Attribute(lambda job: job.rate_limit is not None, "Whether it shares a limit with others.")
    rate_limit_key = _part("rate_limit", "key", "The key of its limit.")
    rate_limit_concurrency = _part("rate_limit", "concurrency", "How many jobs of its limit it allows at once.")
    group_id = Attribute(
        lambda job: job.options.group_id,
        "The name of the group it belongs to, see `flowq.group`; can be set until it is enqueued.",
        lambda job, value: job.settings.change_new("group_id", value),
    )
    success_callback = _callback("on_success", "The callback after a success.")
    success_callback_timeout = _part("on_success", "timeout", "Seconds that it may take.", CALLBACK_TIMEOUT)
    failure_callback = _callback("on_failure", "The callback after a failure.")
    failure_callback_timeout = _part("on_failure", "timeout", "Seconds that it may take.", CALLBACK_TIMEOUT)
    stopped_callback = _callback("on_stopped", "The callback after the job was stopped.")
    stopped_callback_timeout = _part("on_stopped", "timeout", "Seconds that it may take.", CALLBACK_TIMEOUT)

    meta = Attribute(
        lambda job: job.settings.meta,
        "A dictionary of the user's own; `save_meta` stores it.",
        lambda job, value: setattr(job.settings, "meta", value),
    )
    dependency_ids = Attribute(
        lambda job: [parent for parent, _ in job.options.edges] if job.state.is_new else job.store.jobs.dependencies(job.id),
        "The ids of the jobs that it waits or waited for.",
    )
    _dependency_ids = Attribute(lambda job: job.dependency_ids, "RQ's name of `dependency_ids`, which dashboards use.")
    allow_dependency_failures = Attribute(
        lambda job: any(condition == RAN for condition in job.settings.conditions()) if job.settings.conditions() else None,
        "Whether it is enqueued also when a job that it depends on has failed; None without dependencies. Can be set until it is enqueued.",
        lambda job, value: job.settings.allow_failures(bool(value)),
    )
    started_job_registry = _registry("StartedJobRegistry", "The jobs of its queue that are executed now.")
    finished_job_registry = _registry("FinishedJobRegistry", "The jobs of its queue that finished.")
    failed_job_registry = _registry("FailedJobRegistry", "The jobs of its queue that failed.")
    dependent_ids = Attribute(lambda job: job.store.jobs.dependents(job.id), "The ids of the jobs that wait or waited for it.")

    # -- its state ------------------------------------------------------------------------------------------------------------

    is_new = Attribute(lambda job: job.state.is_new, "Whether it was made here and is not known to be in the store.")
    is_finished = _status(JobStatus.FINISHED, "Whether it has finished.")
    is_failed = _status(JobStatus.FAILED, "Whether it has failed.")
    is_queued = _status(JobStatus.QUEUED, "Whether it waits in its queue.")
    is_started = _status(JobStatus.STARTED, "Whether a worker executes it.")
    is_deferred = _status(JobStatus.DEFERRED, "Whether it waits for others; also when it was skipped because of one of them.")
    is_scheduled = _status(JobStatus.SCHEDULED, "Whether it waits for its time.")
    is_rate_limited = _status(JobStatus.RATE_LIMITED, "Whether it waits for its rate limit.")
    is_canceled = _status(JobStatus.CANCELED, "Whether it was canceled.")
    is_stopped = _status(JobStatus.STOPPED, "Whether it was stopped while it ran.")
    is_skipped = Attribute(
        lambda job: job.state.skipped(),
        "Whether it has ended without running, because of another job; its status is `deferred` then, as in RQ.",
    )
    skip_reason = _of_record(
        lambda record: record.reason if record.status is JobStatus.SKIPPED else None,
        "Why the job was skipped: `upstream_failed`, `upstream_canceled` or `upstream_skipped`; None for other jobs.",
        None,
    )
    created_at = Attribute(
        lambda job: job.state.created_at, "When it was created.", lambda job, value: _give(job, "created_ms", value)
    )
    enqueued_at = _time("enqueued_ms", "The time at which it was last enqueued.")
    started_at = _time("started_ms", "The start of its latest execution.")
    ended_at = _time("ended_ms", "The end of its latest execution.")
    worker_name = Attribute[str | None](
        lambda job: job.state.worker or (None if (record := job.state.current()) is None else record.worker),
        "The worker that executes it, or did last; a name that is set here is shown by this handle, and not stored.",
        lambda job, value: setattr(job.state, "worker", value),
    )
    last_heartbeat = Attribute(
        lambda job: job.state.given.get("heartbeat") or next((item.last_heartbeat for item in job.get_executions()), None),
        "Time of the last heartbeat of the worker that executes it; None while no worker does.",
        lambda job, value: _give(job, "heartbeat", value),
    )
    number_of_retries = _of_record(
        lambda record: record.granted,
        "How often it has been executed again, after a failure or because it returned a `Retry`.",
        0,
    )
    result = Attribute[Any](lambda job: job.return_value(), "The return value; None while there is none.")
    exc_info = Attribute(
        lambda job: None if (record := job.store.jobs.result(job.id)) is None else error_text(record),  # no value is decoded
        "The text of the latest error; None when the latest execution was no failure.",
    )

    def get_status(self, refresh: bool = True) -> JobStatus:
        """Return the status; of a job that was not enqueued yet, `created`.

        Raises:
            NoSuchJobError: it is gone.
        """
        return self.state.status(refresh=refresh)

    def get_executions(self) -> list[Execution]:
        """Return the executions that are in progress: one, or none."""
        return list(Execution.of_jobs([self.id], self.store).values())

    def get_position(self) -> int | None:
        """Return how many jobs of its queue are before it; None when it does not wait there."""
        return self.store.queues.position(self.origin, self.id) if self.origin else None

    def get_call_string(self) -> str:
        """Return the call as text, shortened: `pkg.mod.func(3, x=4)`."""
        return self.settings.call_text

    def get_ttl(self, default_ttl: float | None = None) -> float | None:
        """Return `ttl`, or the default."""
        return default_ttl if self.options.ttl is None else self.options.ttl

    def get_retry_interval(self) -> float:
        """Return the seconds to wait before the next retry; 0 without retries."""
        retry = self.options.retry
        return 0 if retry is None else retry.interval_for(self.settings.retries_used + 1)

    def should_enqueue_at_front(self) -> bool:
        """Return whether it goes to the front of its queue the next time."""
        return self.options.front or bool(self.enqueue_at_front_on_retry and self.ended_at)

    def get_result_ttl(self, default_ttl: float | None = None) -> float | None:
        """Return `result_ttl`, or the default."""
        return default_ttl if self.options.result_ttl is None else self.options.result_ttl

    # -- results --------------------------------------------------------------------------------------------------------------

    def return_value(self, refresh: bool = False) -> Any:  # noqa: ARG002 - RQ's signature; it is always the present one
        """Return the latest result's value; None unless that is a success."""
        latest = self.latest_result()
        return None if latest is None else latest.return_value

    def latest_result(self, timeout: float = 0) -> Result | None:
        """Return the latest result, or None.

        Args:
            timeout: seconds to wait for one when there is none yet.

        Raises:
            DeserializationError: the value cannot be decoded here.
        """
        return Result.fetch_latest(self, timeout=timeout)

    def results(self) -> list[Result]:
        """Return the results of the ten latest executions, newest first."""
        return Result.all(self)
