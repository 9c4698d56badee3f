"""`Job`: a handle on one plain job, as users of RQ know it. State is the store's; the handle reads it when asked."""

import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from flowq import ids
from flowq.binding import store_for
from flowq.context import current_task
from flowq.exceptions import DeserializationError, InvalidJobOperation, NoSuchJobError, UsageError
from flowq.options import JobOptions, as_arguments, parse_options
from flowq.results import Result
from flowq.retry import Retry
from flowq.states import ENDED, JobStatus
from flowq.store.outcomes import Outcome
from flowq.store.records import JobRecord

if TYPE_CHECKING:
    from flowq.store import Store

__all__ = ["Job", "JobStatus", "Retry", "get_current_job"]


class Job:
    """A handle on a plain job.

    Made by `Queue.enqueue`, `Job.create` or `Job.fetch`. What changes (status, times, result, meta) is read from the store when it is
    asked for, so one handle can be polled; `refresh()` reads everything again.
    """

    def __init__(self, job_id: str, store: "Store | None", options: JobOptions | None = None) -> None:
        self.id = job_id
        self.options = options or JobOptions(id=job_id)
        self._store = store
        self._record: JobRecord | None = None
        self._call: tuple[str, tuple[Any, ...], dict[str, Any]] | None = None
        self._meta: dict[str, Any] | None = None
        self.origin = ""

    # -- making and finding ---------------------------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        func: Callable[..., Any] | str,
        args: Any = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        connection: Any = None,
        **options: Any,
    ) -> "Job":
        """Make a job without enqueueing it; `Queue.enqueue_job` does that.

        Args:
            func: the function, or its dotted name.
            args: positional arguments; anything that is no tuple or list is the only one.
            kwargs: keyword arguments.
            connection: a redis-py client; needed only for what is asked of the job before it is enqueued.
            **options: `id`, `timeout`, `result_ttl`, `ttl`, `failure_ttl`, `depends_on`, `description`, `meta`, `retry`, `origin`, `status`.

        Raises:
            UsageError: not a function that a worker could import, or a wrong option.
        """
        origin = options.pop("origin", "")
        options.pop("status", None)
        parsed = parse_options(options)
        job = cls(parsed.id or ids.job_id(), None if connection is None else store_for(connection), parsed)
        job._call = (reference(func), as_arguments(args), dict(kwargs or {}))
        job._meta = dict(parsed.meta)
        job.origin = origin
        return job

    @classmethod
    def fetch(cls, id: str, connection: Any = None) -> "Job":  # noqa: A002 - RQ's name
        """Return a handle on an existing job.

        Raises:
            NoSuchJobError: there is none with this id.
        """
        job = cls(id, store_for(connection))
        job.refresh()
        return job

    @classmethod
    def fetch_many(cls, job_ids: Iterable[str], connection: Any = None) -> "list[Job | None]":
        """Return handles on many jobs in one round trip, None where there is none."""
        wanted, store = list(job_ids), store_for(connection)
        return [cls._from_record(store, record) for record in store.jobs.get_many(wanted)]

    @classmethod
    def exists(cls, job_id: str, connection: Any = None) -> bool:
        """Return whether there is a job with this id."""
        return store_for(connection).jobs.get(job_id) is not None

    @classmethod
    def _from_record(cls, store: "Store", record: JobRecord | None) -> "Job | None":
        if record is None:
            return None
        job = cls(record.id, store)
        job._take(record)
        return job

    # -- state ----------------------------------------------------------------------------------------------------------------

    @property
    def store(self) -> "Store":
        """The store the job is in."""
        if self._store is None:
            self._store = store_for(None)
        return self._store

    def refresh(self) -> None:
        """Read the record again.

        Raises:
            NoSuchJobError: it is gone: expired or deleted.
        """
        record = self.store.jobs.get(self.id)
        if record is None:
            raise NoSuchJobError(
                f"no job with the id {self.id!r}: it was never enqueued, was deleted, or its result_ttl has passed"
            )
        self._take(record)
        self._meta = None

    def _take(self, record: JobRecord) -> None:
        self._record = record
        self.origin = record.queue

    def get_status(self, refresh: bool = True) -> JobStatus:
        """Return the status; of a job that was not enqueued yet, `created`."""
        if refresh or self._record is None:
            record = self.store.jobs.get(self.id)
            if record is None:
                if self._call is not None and self._record is None:
                    return JobStatus.CREATED
                raise NoSuchJobError(f"no job with the id {self.id!r}: it was deleted, or its result_ttl has passed")
            self._take(record)
        assert self._record is not None
        return self._record.status

    @property
    def is_finished(self) -> bool:
        """Whether it has finished."""
        return self.get_status() is JobStatus.FINISHED

    @property
    def is_failed(self) -> bool:
        """Whether it has failed."""
        return self.get_status() is JobStatus.FAILED

    @property
    def is_queued(self) -> bool:
        """Whether it waits in its queue."""
        return self.get_status() is JobStatus.QUEUED

    @property
    def is_started(self) -> bool:
        """Whether a worker executes it."""
        return self.get_status() is JobStatus.STARTED

    @property
    def is_deferred(self) -> bool:
        """Whether it waits for its dependencies."""
        return self.get_status() is JobStatus.DEFERRED

    @property
    def is_scheduled(self) -> bool:
        """Whether it waits for its time."""
        return self.get_status() is JobStatus.SCHEDULED

    @property
    def is_canceled(self) -> bool:
        """Whether it was canceled."""
        return self.get_status() is JobStatus.CANCELED

    @property
    def created_at(self) -> datetime | None:
        """When it was created."""
        return self._time("created_ms")

    @property
    def enqueued_at(self) -> datetime | None:
        """When it last went into its queue."""
        return self._time("enqueued_ms")

    @property
    def started_at(self) -> datetime | None:
        """When its latest execution started."""
        return self._time("started_ms")

    @property
    def ended_at(self) -> datetime | None:
        """When its latest execution ended."""
        return self._time("ended_ms")

    def _time(self, name: str) -> datetime | None:
        record = self.store.jobs.get(self.id)
        millis = None if record is None else getattr(record, name)
        return None if millis is None else datetime.fromtimestamp(millis / 1000, UTC)

    @property
    def description(self) -> str:
        """The given description, else the call as text."""
        if self.options.description is not None:
            return self.options.description
        stored = self._record.options.get("description") if self._record is not None else None
        return stored or self.get_call_string()

    @property
    def timeout(self) -> float | None:
        """Seconds one execution may take; -1 without limit."""
        if self._record is not None and "timeout" in self._record.options:
            return float(self._record.options["timeout"])
        return self.options.timeout

    # -- what it executes -----------------------------------------------------------------------------------------------------

    def payload(self) -> bytes:
        """Return the function and its arguments as stored (pickled).

        Raises:
            UsageError: an argument cannot be pickled.
        """
        try:
            return pickle.dumps(self._loaded(), protocol=pickle.HIGHEST_PROTOCOL)
        except (pickle.PicklingError, TypeError, AttributeError, RecursionError) as error:
            raise UsageError(f"the arguments of {self.func_name} cannot be pickled: {error}") from error

    def _loaded(self) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
        if self._call is None:
            stored = self.store.jobs.payload(self.id)
            if stored is None:
                raise NoSuchJobError(f"no job with the id {self.id!r}, or it is a job of a run, whose call is in the flow")
            try:
                self._call = pickle.loads(stored)  # noqa: S301 - plain jobs are pickled, as documented
            except Exception as error:
                raise DeserializationError(f"the arguments of job {self.id} cannot be decoded here: {error}") from error
        assert self._call is not None
        return self._call

    @property
    def func_name(self) -> str:
        """The dotted name of the function."""
        return self._loaded()[0]

    @property
    def args(self) -> tuple[Any, ...]:
        """The positional arguments."""
        return self._loaded()[1]

    @property
    def kwargs(self) -> dict[str, Any]:
        """The keyword arguments."""
        return self._loaded()[2]

    def get_call_string(self) -> str:
        """Return the call as text, shortened: `pkg.mod.func(3, x=4)`."""
        name, args, kwargs = self._loaded()
        parts = [_short(value) for value in args] + [f"{key}={_short(value)}" for key, value in kwargs.items()]
        return f"{name}({', '.join(parts)})"

    # -- results --------------------------------------------------------------------------------------------------------------

    @property
    def result(self) -> Any:
        """The return value; None while there is none."""
        return self.return_value()

    def return_value(self) -> Any:
        """Return the latest result's value; None unless that is a success."""
        latest = self.latest_result()
        return None if latest is None else latest.return_value

    def latest_result(self, timeout: float = 0) -> Result | None:
        """Return the latest result, or None.

        Args:
            timeout: seconds to wait for one when there is none yet.
        """
        record = self.store.jobs.result(self.id)
        if record is None and timeout > 0:
            record = self.store.jobs.wait_for_result(self.id, timeout)
        return None if record is None else Result.from_record(self.id, record)

    def results(self) -> list[Result]:
        """Return the results of the ten latest executions, newest first."""
        return [Result.from_record(self.id, record) for record in self.store.jobs.results(self.id)]

    @property
    def exc_info(self) -> str | None:
        """The text of the latest error; None when the latest execution was no failure."""
        latest = self.latest_result()
        return None if latest is None else latest.exc_string

    # -- meta -----------------------------------------------------------------------------------------------------------------

    @property
    def meta(self) -> dict[str, Any]:
        """A dictionary of the user's own; `save_meta` stores it."""
        if self._meta is None:
            self._meta = self.get_meta()
        return self._meta

    @meta.setter
    def meta(self, value: Mapping[str, Any]) -> None:
        self._meta = dict(value)

    def get_meta(self, refresh: bool = True) -> dict[str, Any]:
        """Return the stored `meta`, or with `refresh=False` the one at hand."""
        if not refresh and self._meta is not None:
            return self._meta
        stored = self.store.jobs.meta(self.id)
        return {} if stored is None else dict(pickle.loads(stored))  # noqa: S301 - the user's own data, pickled as documented

    def save_meta(self) -> None:
        """Store `meta`, for others to see while the job runs.

        Raises:
            NoSuchJobError: the job is gone.
        """
        if not self.store.jobs.save_meta(self.id, pickle.dumps(self.meta, protocol=pickle.HIGHEST_PROTOCOL)):
            raise NoSuchJobError(f"no job with the id {self.id!r}: its meta cannot be stored")

    # -- acting ---------------------------------------------------------------------------------------------------------------

    def cancel(self) -> None:
        """Cancel the job; a running one is killed.

        Raises:
            NoSuchJobError, InvalidJobOperation: it is gone, or has ended.
        """
        self._expect(self.store.jobs.cancel(self.id), "cancel")

    def requeue(self, at_front: bool = False) -> "Job":
        """Execute an ended job again, from its first attempt.

        Raises:
            NoSuchJobError, InvalidJobOperation: it is gone, has not ended, or belongs to a run.
        """
        self._expect(self.store.jobs.requeue(self.id, front=at_front), "requeue")
        return self

    def delete(self) -> None:
        """Delete the job; whoever waits for it is decided as if it had been canceled.

        Raises:
            InvalidJobOperation: it belongs to a run.
        """
        outcome = self.store.jobs.delete(self.id)
        if outcome is not Outcome.NOT_FOUND:
            self._expect(outcome, "delete")

    def _expect(self, outcome: Outcome, wanted: str) -> None:
        if outcome is Outcome.NOT_FOUND:
            raise NoSuchJobError(f"no job with the id {self.id!r}")
        if outcome is Outcome.WRONG_STATE:
            record = self.store.jobs.get(self.id)
            if record is not None and record.run is not None:
                raise InvalidJobOperation(
                    f"cannot {wanted} job {self.id}: it belongs to run {record.run}; `flowq retry {record.run} --failed`"
                )
            state = (
                f"it has ended ({record.status})"
                if record and record.status in ENDED
                else f"it is {record.status if record else 'gone'}"
            )
            raise InvalidJobOperation(f"cannot {wanted} job {self.id}: {state}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Job) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"Job({self.id!r})"


def get_current_job(connection: Any = None) -> Job | None:
    """Return the job that this process executes, None outside of a job."""
    task = current_task()
    return None if task is None else Job.fetch(task["id"], connection)


def reference(func: Callable[..., Any] | str) -> str:
    """Return the dotted name under which a worker finds a function.

    Raises:
        UsageError: a worker could not import it: a lambda, a nested function, one of `__main__`.
    """
    if isinstance(func, str):
        return func
    module = getattr(func, "__module__", None)
    name = getattr(func, "__qualname__", None)
    if isinstance(func, partial) or module is None or name is None or "<" in name:
        raise UsageError(
            f"{func!r} cannot be enqueued: a worker must be able to import it, so it has to be a named function of a module"
        )
    if module == "__main__":
        raise UsageError(f"{name} is defined in __main__, which workers cannot import: move it into a module")
    return f"{module}.{name}"


def _short(value: Any, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def restore(job_ids: Sequence[str], connection: Any = None) -> list[Job]:
    """Return handles on those of the jobs that exist, in order."""
    return [job for job in Job.fetch_many(job_ids, connection) if job is not None]
