"""`Job`: a handle on one plain job, as users of RQ know it. State is the store's; the handle reads it when asked."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from flowq.binding import store_for
from flowq.call import Call
from flowq.callables import load_class, reference
from flowq.context import current_job_class, current_store, current_task
from flowq.dependency import Dependency
from flowq.exceptions import InvalidJobOperation, NoSuchJobError
from flowq.jobstate import JobState
from flowq.options import JobOptions, as_arguments, parse_options
from flowq.results import Result
from flowq.retry import Retry
from flowq.serializers import serializer_name
from flowq.states import ENDED, JobStatus
from flowq.store.outcomes import Outcome
from flowq.store.records import StoredJob

if TYPE_CHECKING:
    from flowq.store import Store

__all__ = ["Dependency", "Job", "JobStatus", "Retry", "cancel_job", "get_current_job", "reference", "requeue_job"]


class Job(JobState):
    """A handle on a plain job.

    Made by `Queue.enqueue`, `Job.create` or `Job.fetch`. What changes (status, times, result) is read from the store when it is
    asked for, so one handle can be polled; `refresh()` reads everything again.

    Subclasses may override `perform`; `Queue(job_class=…)` and `Worker(job_class=…)` use them.
    """

    # -- making and finding ---------------------------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        func: Callable[..., Any] | str,
        args: Any = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        connection: Any = None,
        serializer: Any = None,
        **options: Any,
    ) -> Self:
        """Make a job without enqueueing it; `Queue.enqueue_job` does that.

        Args:
            func: the function, or its dotted name.
            args: positional arguments; anything that is no tuple or list is the only one.
            kwargs: keyword arguments.
            connection: a redis-py client; needed only for what is asked of the job before it is enqueued.
            serializer: for arguments, result and meta; the queue's unless given.
            **options: `id`, `timeout`, `result_ttl`, `ttl`, `failure_ttl`, `depends_on`, `description`, `meta`, `retry`, `repeat`,
                `on_success`, `on_failure`, `on_stopped`, `origin`, `status`.

        Raises:
            UsageError: not a function that a worker could import, or a wrong option.
        """
        origin = options.pop("origin", None) or ""
        options.pop("status", None)  # a job's status is what has happened to it
        return cls.assemble(
            Call.of(func, as_arguments(args), kwargs or {}), parse_options(options), connection, serializer, origin=origin
        )

    @classmethod
    def assemble(
        cls, call: Call, options: JobOptions, connection: Any = None, serializer: Any = None, *, origin: str = ""
    ) -> Self:
        """Make a job of a call and parsed options."""
        job = cls(options.id, connection, serializer)
        job.options = options
        job.origin = origin
        job._call = call
        job._meta = dict(options.meta)
        return job

    @classmethod
    def fetch(cls, id: str, connection: Any = None, serializer: Any = None) -> Self:  # noqa: A002 - RQ's name
        """Return a handle on an existing job.

        Raises:
            NoSuchJobError: there is none with this id.
        """
        job = cls(id, store_for(connection), serializer)
        job.refresh()
        return job

    @classmethod
    def fetch_many(cls, job_ids: Iterable[str], connection: Any = None, serializer: Any = None) -> list[Self | None]:
        """Return handles on many jobs in one round trip, None where there is none."""
        wanted, store = list(job_ids), store_for(connection)
        return [cls._restored(store, stored, serializer) for stored in store.jobs.load_many(wanted)]

    @classmethod
    def exists(cls, job_id: str, connection: Any = None) -> bool:
        """Return whether there is a job with this id."""
        return store_for(connection).jobs.get(job_id) is not None

    @classmethod
    def _restored(cls, store: "Store", stored: StoredJob | None, serializer: Any) -> Self | None:
        if stored is None:
            return None
        job = cls(stored.record.id, store, serializer)
        job._take(stored)
        return job

    # -- what it executes -----------------------------------------------------------------------------------------------------

    def payload(self) -> bytes:
        """Return the function and its arguments as stored.

        Raises:
            UsageError: an argument cannot be serialized.
        """
        return self.call.stored(self.serializer)

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

    def perform(self) -> Any:
        """Call the function here and return what it returns; workers do, when they were given a `job_class` of their own."""
        return self.func(*self.args, **self.kwargs)

    # -- results --------------------------------------------------------------------------------------------------------------

    @property
    def result(self) -> Any:
        """The return value; None while there is none."""
        return self.return_value()

    def return_value(self, refresh: bool = False) -> Any:  # noqa: ARG002 - RQ's signature; it is always the present one
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
        return None if record is None else Result.from_record(self.id, record, self.serializer)

    def results(self) -> list[Result]:
        """Return the results of the ten latest executions, newest first."""
        return [Result.from_record(self.id, record, self.serializer) for record in self.store.jobs.results(self.id)]

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
            self._meta = self.get_meta() if self._stored_meta is None else self._decoded_meta(self._stored_meta)
        return self._meta

    @meta.setter
    def meta(self, value: Mapping[str, Any]) -> None:
        self._meta = dict(value)

    def get_meta(self, refresh: bool = True) -> dict[str, Any]:
        """Return the stored `meta`, or with `refresh=False` the one at hand."""
        if refresh or self._meta is None:
            self._meta = self._decoded_meta(self.store.jobs.meta(self.id))
        return self._meta

    def _decoded_meta(self, stored: bytes | None) -> dict[str, Any]:
        return {} if stored is None else dict(self.serializer.loads(stored))

    def stored_meta(self) -> bytes:
        """Return `meta` as bytes."""
        data = self.serializer.dumps(self.meta)
        return data.encode() if isinstance(data, str) else bytes(data)

    def save_meta(self) -> None:
        """Store `meta`, for others to see while the job runs.

        Raises:
            NoSuchJobError: the job is gone.
        """
        if not self.store.jobs.save_meta(self.id, self.stored_meta()):
            raise NoSuchJobError(f"no job with the id {self.id!r}: its meta cannot be stored")

    def save(self, include_meta: bool = True) -> None:
        """Store what is the user's: description, timeout and meta of an enqueued job. Its status is not touched.

        Raises:
            NoSuchJobError: the job is not in the store (a created one is stored by `Queue.enqueue_job`).
            InvalidJobOperation: it belongs to a run.
        """
        fields: dict[str, str | bytes | int] = {}
        if self.options.description is not None:
            fields["description"] = self.options.description
        if self.options.timeout is not None:
            fields["timeout"] = repr(self.options.timeout)
        self._expect(self.store.jobs.save(self.id, fields), "save")
        if include_meta and self._meta is not None:
            self.save_meta()

    # -- dependencies ---------------------------------------------------------------------------------------------------------

    @property
    def dependency_ids(self) -> list[str]:
        """The ids of the jobs that it waits or waited for."""
        if self._record is None and self._call is not None:
            return [job for job, _ in self.options.edges]
        return self.store.jobs.dependencies(self.id)

    @property
    def dependency(self) -> "Job | None":
        """The first of the jobs that it waits or waited for, if it is there."""
        found = self.fetch_dependencies()
        return found[0] if found else None

    def fetch_dependencies(self) -> "list[Job]":
        """Return the jobs that it waits or waited for, as far as they are there."""
        return restore(self.dependency_ids, self.store, type(self))

    @property
    def dependent_ids(self) -> list[str]:
        """The ids of the jobs that wait or waited for it."""
        return self.store.jobs.dependents(self.id)

    def delete_dependents(self) -> None:
        """Delete the jobs that wait for it."""
        for job in self.dependent_ids:
            self.store.jobs.delete(job)

    # -- acting ---------------------------------------------------------------------------------------------------------------

    def cancel(self, enqueue_dependents: bool = False, remove_from_dependencies: bool = False) -> None:
        """Cancel the job; a running one is killed.

        Args:
            enqueue_dependents: those who wait for it go on as if it had succeeded; they are skipped otherwise.
            remove_from_dependencies: the same, under RQ's other name.

        Raises:
            NoSuchJobError, InvalidJobOperation: it is gone, or has ended.
        """
        self._expect(self.store.jobs.cancel(self.id, release=enqueue_dependents or remove_from_dependencies), "cancel")

    def requeue(self, at_front: bool = False) -> Self:
        """Execute an ended job again, from its first attempt.

        Raises:
            NoSuchJobError, InvalidJobOperation: it is gone, has not ended, or belongs to a run.
        """
        self._expect(self.store.jobs.requeue(self.id, front=at_front), "requeue")
        self._record = None
        return self

    def delete(self, delete_dependents: bool = False) -> None:
        """Delete the job; whoever waits for it is decided as if it had been canceled, or deleted as well.

        Raises:
            InvalidJobOperation: it belongs to a run.
        """
        if delete_dependents:
            self.delete_dependents()
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
        return f"{type(self).__name__}({self.id!r})"


def get_current_job(connection: Any = None, job_class: Any = None) -> Job | None:
    """Return the job that this process executes, None outside of a job."""
    task = current_task()
    if task is None:
        return None
    wanted = load_class(job_class if job_class is not None else current_job_class(), Job)
    job: Job = wanted.fetch(task["id"], current_store() if connection is None else connection)  # type: ignore[attr-defined] # a subclass of Job
    return job


def cancel_job(job_id: str, connection: Any = None, serializer: Any = None, enqueue_dependents: bool = False) -> None:
    """Cancel a job by its id; see `Job.cancel`."""
    Job.fetch(job_id, connection, serializer).cancel(enqueue_dependents=enqueue_dependents)


def requeue_job(job_id: str, connection: Any = None, serializer: Any = None) -> Job:
    """Execute an ended job again by its id; see `Job.requeue`."""
    return Job.fetch(job_id, connection, serializer).requeue()


def restore(job_ids: Sequence[str], connection: Any = None, job_class: type[Job] = Job, serializer: Any = None) -> list[Job]:
    """Return handles on those of the jobs that exist, in order."""
    return [job for job in job_class.fetch_many(job_ids, connection, serializer) if job is not None]


def stored_fields(job: Job, default_timeout: float) -> dict[str, str | bytes | int]:
    """Return what the store keeps of a job's options, and how its payload is to be read."""
    fields = job.options.fields(default_timeout)
    name = serializer_name(job.serializer)
    return {**fields, "serializer": name} if name else fields
