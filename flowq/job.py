"""`Job`: a handle on one plain job, as users of RQ know it. State is the store's; the handle reads it when asked."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import iscoroutine
from typing import TYPE_CHECKING, Any, Final, Self

from flowq import ids
from flowq.callbacks import Callback
from flowq.connections.stores import connection_of, store_for
from flowq.dependency import ENDS, MET, Dependency, cycle_message
from flowq.dotted_names import load_class, reference
from flowq.exceptions import InvalidJobDependency, InvalidJobOperation, NoSuchJobError, UsageError
from flowq.jobs.attributes import JobAttributes
from flowq.jobs.call import Call
from flowq.jobs.context import as_current, current_handle, current_job_class, current_store, current_task
from flowq.jobs.options import JobOptions, as_arguments, as_keywords, bind_options, checked_id, new_id, parse_options
from flowq.jobs.settings import JobSettings
from flowq.jobs.state import JobState
from flowq.rate_limit import RateLimit
from flowq.repeat import Repeat
from flowq.retry import Retry
from flowq.states import JobStatus
from flowq.store.schema.outcomes import Outcome
from flowq.store.schema.records import StoredJob
from flowq.webhook import Webhook

if TYPE_CHECKING:
    from flowq.store import Store

__all__ = ["Callback", "Dependency", "Job", "JobStatus", "Retry", "cancel_job", "get_current_job", "reference", "requeue_job"]


class Job(JobAttributes):
    """A handle on a plain job.

    Made by `Queue.enqueue`, `Job.create` or `Job.fetch`. What changes (status, times, result) is read from the store when it is
    asked for, so one handle can be polled; `refresh()` reads everything again.

    Subclasses may override `perform`; `Queue(job_class=…)` and `Worker(job_class=…)` use them.
    """

    def __init__(self, id: str | None = None, connection: Any = None, serializer: Any = None) -> None:  # noqa: A002 - RQ's name
        self.state = JobState(ids.job_id() if id is None else checked_id(id), connection)
        self.state.is_named = id is not None
        self.settings = JobSettings(self.state, serializer)

    # -- making and finding ---------------------------------------------------------------------------------------------------

    @classmethod
    def create(  # noqa: PLR0913, PLR0917 - RQ's signature
        cls,
        func: Callable[..., Any] | str,
        args: Any = None,
        kwargs: Mapping[str, Any] | None = None,
        connection: Any = None,
        result_ttl: float | str | None = None,
        ttl: float | str | None = None,
        status: JobStatus | str | None = None,  # a job's status is what has happened to it
        description: str | None = None,
        depends_on: Any = None,
        timeout: float | str | None = None,
        retry: Retry | int | None = None,
        id: str | None = None,  # noqa: A002 - RQ's name
        origin: str = "",
        meta: Mapping[str, Any] | None = None,
        failure_ttl: float | str | None = None,
        serializer: Any = None,
        group_id: str | None = None,
        on_success: Callback | Callable[..., Any] | str | None = None,
        on_failure: Callback | Callable[..., Any] | str | None = None,
        on_stopped: Callback | Callable[..., Any] | str | None = None,
        webhooks: Sequence[Webhook] | None = None,
        *,
        repeat: Repeat | int | None = None,
        rate_limit: RateLimit | None = None,
    ) -> Self:
        """Make a job without enqueueing it; `Queue.enqueue_job` does that.

        Args:
            func: the function, or its dotted name.
            args: positional arguments; anything that is no tuple or list is the only one.
            kwargs: keyword arguments.
            connection: a redis-py client; needed only for what is asked of the job before it is enqueued.
            result_ttl: how long it is kept after a success; durations are seconds or texts such as "1h".
            ttl: how long it may wait in its queue.
            status: makes no difference.
            description: for people; the call unless given.
            depends_on: a job, an id, a `Dependency`, or a list of those.
            timeout: how long one execution may take; the queue's `default_timeout` unless given.
            retry: executions after a failure.
            id: its id; random unless given.
            origin: the name of its queue, until it is enqueued.
            meta: a dictionary of the user's own.
            failure_ttl: how long it is kept after a failure.
            serializer: for arguments, result and meta; the queue's unless given.
            group_id: the name of the group that it joins when it is enqueued.
            on_success: called after a success.
            on_failure: called after a failure.
            on_stopped: called after the job was stopped.
            webhooks: requests that are sent at its end.
            repeat: executions after a success.
            rate_limit: the limit that it shares with others.

        Raises:
            UsageError: not a function that a worker could import, or a wrong option.
        """
        options = bind_options(locals())
        call = Call.of(func, as_arguments(args), as_keywords(kwargs))
        return cls.assemble(call, parse_options(options), connection, serializer, origin=origin)

    @classmethod
    def assemble(
        cls, call: Call, options: JobOptions, connection: Any = None, serializer: Any = None, *, origin: str = ""
    ) -> Self:
        """Make a job of a call and parsed options."""
        job = cls(options.id, connection, serializer)
        job.origin = origin
        job.settings.give(call, options)
        return job

    @classmethod
    def fetch(cls, id: str, connection: Any = None, serializer: Any = None) -> Self:  # noqa: A002 - RQ's name
        """Return a handle on an existing job.

        Raises:
            NoSuchJobError: there is none with this id.
        """
        job = cls(checked_id(id), connection_of(store_for(connection)), serializer)
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
        job = cls(stored.record.id, connection_of(store), serializer)
        job.state.take(stored)
        job.settings.reset()
        return job

    # -- executing ------------------------------------------------------------------------------------------------------------

    def perform(self) -> Any:
        """Call the function in this process as the current job and return its value; a coroutine is awaited.

        A worker calls this where it, or what it uses (`func`, `args`, `kwargs`), was replaced: by a subclass (`job_class`) or on this class.
        """
        with as_current(self):
            return self._execute()

    def _execute(self) -> Any:
        """Call the function; RQ's name, under which subclasses and instrumentations replace it."""
        value = self.func(*self.args, **self.kwargs)
        return asyncio.run(value) if iscoroutine(value) else value

    # -- settings and state ---------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Read everything again; changes that were not saved are lost.

        Raises:
            NoSuchJobError: it is gone: expired or deleted.
        """
        self.state.load()
        self.settings.reset()

    def get_meta(self, refresh: bool = True) -> dict[str, Any]:
        """Return the stored `meta`, or with `refresh=False` the one at hand."""
        return self.settings.load_meta() if refresh or not self.settings.has_meta else self.settings.meta

    def save_meta(self) -> None:
        """Store `meta`, for others to see while the job runs.

        Raises:
            NoSuchJobError: the job is gone.
        """
        if not self.store.jobs.save_meta(self.id, self.settings.stored_meta()):
            raise NoSuchJobError(f"no job with the id {self.id!r}: its meta cannot be stored")

    def save(self, *, include_meta: bool = True) -> None:
        """Store the user's settings: description, durations, retries and meta. The status is not changed.

        A job that was made but not enqueued is stored whole, with the status `created`: it can be fetched, and enqueued by
        whichever process fetched it. It stays until then, or until it is deleted.

        Raises:
            NoSuchJobError: the job was enqueued and is gone.
            InvalidJobDependency: a job that it depends on waits for it, or is stored to do so.
            InvalidJobOperation: it belongs to a run.
            UsageError: it has no function.
        """
        outcome, detail = self.store.jobs.draft(self.settings.new_job()) if self.is_new else (Outcome.CONFLICT, "")
        if outcome is Outcome.CYCLE:
            raise InvalidJobDependency(cycle_message(self.id, detail))
        changes = self.settings.changes()
        if outcome is not Outcome.CONFLICT:
            return
        # Not new, or another client has enqueued the id meanwhile.
        outcome = self.store.jobs.save(self.id, changes)
        if outcome is Outcome.NOT_FOUND and self.settings.is_empty:
            raise UsageError(f"job {self.id!r} cannot be stored: it has no function; `Job.create` makes one that has")
        self._expect(outcome, "save")
        if include_meta and self.settings.has_meta:
            self.save_meta()

    def payload(self) -> bytes:
        """Return the function and its arguments as stored.

        Raises:
            UsageError: an argument cannot be serialized.
        """
        return self.settings.payload()

    # -- dependencies ---------------------------------------------------------------------------------------------------------

    @property
    def dependency(self) -> "Job | None":
        """The first of the jobs that it waits or waited for, if it is there."""
        found = self.fetch_dependencies()
        return found[0] if found else None

    def fetch_dependencies(self) -> "list[Job]":
        """Return the jobs that it waits or waited for, as far as they are there."""
        return restore(self.dependency_ids, self.connection, type(self))

    def dependencies_are_met(
        self,
        parent_job: "Job | None" = None,
        pipeline: Any = None,  # noqa: ARG002 - RQ's signature
        exclude_job_id: str | None = None,
        refresh_job_status: bool = True,  # noqa: ARG002 - RQ's signature
    ) -> bool:
        """Return whether the ends of the jobs that it depends on let it be enqueued. Nothing is changed: flowq enqueues it by itself.

        Args:
            parent_job: a job that counts as finished.
            pipeline: has no effect.
            exclude_job_id: a job that is not looked at.
            refresh_job_status: has no effect, the present status counts.
        """
        passed = {exclude_job_id, None if parent_job is None else parent_job.id}
        known = self.options.edges if self.is_new else self.store.jobs.edges(self.id)
        edges = [edge for edge in known if edge[0] not in passed]
        records = self.store.jobs.get_many(parent for parent, _ in edges)
        return all(
            condition == MET or (record is not None and record.status in ENDS[condition])
            for record, (_, condition) in zip(records, edges, strict=True)
        )

    def delete_dependents(self, pipeline: Any = None) -> None:
        """Delete the jobs that wait for it; see `delete`."""
        for dependent in restore(self.dependent_ids, self.connection, type(self)):
            dependent.delete(pipeline)

    # -- acting ---------------------------------------------------------------------------------------------------------------

    def cancel(self, pipeline: Any = None, enqueue_dependents: bool = False, remove_from_dependencies: bool = False) -> None:
        """Cancel the job; a running one is killed.

        Args:
            pipeline: a pipeline of redis-py, which then carries it out; a job that is gone or has ended by then is left alone.
            enqueue_dependents: jobs that wait for it continue as if it had succeeded; they are skipped otherwise.
            remove_from_dependencies: jobs that wait for others too wait for those alone; one that waits for nothing else is skipped.

        Raises:
            NoSuchJobError, InvalidJobOperation: it is gone, or has ended.
        """
        if pipeline is not None:
            self.store.jobs.cancel_in(pipeline, self.id, release=enqueue_dependents, detach=remove_from_dependencies)
            return
        outcome = self.store.jobs.cancel(self.id, release=enqueue_dependents, detach=remove_from_dependencies)
        if outcome is Outcome.WRONG_STATE and self.get_status() is JobStatus.CANCELED:
            raise InvalidJobOperation(f"Cannot cancel already canceled job: {self.id}")
        self._expect(outcome, "cancel")

    def requeue(self, at_front: bool = False) -> Self:
        """Execute an ended job again, from its first attempt. Jobs that were skipped because of it wait for it again.

        Raises:
            NoSuchJobError, InvalidJobOperation: it is gone, has not ended, or belongs to a run.
        """
        self._expect(self.store.jobs.requeue(self.id, front=at_front), "requeue")
        self.state.record = None
        return self

    def delete(self, pipeline: Any = None, *, delete_dependents: bool = False) -> None:
        """Delete the job; its dependents are decided as if it had been canceled, or deleted as well.

        Args:
            pipeline: a pipeline of redis-py, which then carries it out; it only cancels a job with more than 200 dependents.
            delete_dependents: delete the jobs that wait for it.

        Raises:
            InvalidJobOperation: it belongs to a run.
        """
        if delete_dependents:
            self.delete_dependents(pipeline)
        if pipeline is not None:
            self.store.jobs.remove_in(pipeline, self.id, "delete")
        elif (outcome := self.store.jobs.delete(self.id)) is not Outcome.NOT_FOUND:
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
                f"it has ended ({record.status})" if record and record.ended else f"it is {record.status if record else 'gone'}"
            )
            raise InvalidJobOperation(f"cannot {wanted} job {self.id}: {state}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Job) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    def __str__(self) -> str:
        return f"<{type(self).__name__} {self.id}: {self.description}>"


_PERFORMS: Final = {name: vars(Job).get(name) for name in ("perform", "_execute", "func", "args", "kwargs")}


def is_replaced(job_class: type[Job]) -> bool:
    """Return whether a class of jobs, or a patch of `Job`, replaces a part of `perform`. A worker calls the function itself otherwise.

    Each job asks this: it looks into the classes and evaluates no attributes.
    """
    for kind in job_class.__mro__:
        if kind is Job:
            break
        if not _PERFORMS.keys().isdisjoint(vars(kind)):
            return True
    here = vars(Job)
    return any(here.get(name) is not own for name, own in _PERFORMS.items())


def get_current_job(connection: Any = None, job_class: Any = None) -> Job | None:
    """Return the job that this process executes, None outside of a job."""
    performed: Job | None = current_handle()
    if performed is not None:
        return performed
    task = current_task()
    if task is None:
        return None
    wanted = load_class(job_class or task.get("job_class") or current_job_class(), Job)
    store = current_store() if connection is None else store_for(connection)
    job: Job = wanted.fetch(task["id"], None if store is None else connection_of(store))  # type: ignore[attr-defined] # a subclass of Job
    return job


def parse_job_id(job_or_execution_id: str) -> str:
    """Return the id of the job in what RQ calls the key of an execution, `<job>:<execution>`."""
    return job_or_execution_id.partition(":")[0]


def validate_job_id(job_id: str) -> None:
    """Check the id for a new job.

    Raises:
        UsageError: it has other characters than letters, digits, `_` and `-`.
    """
    new_id(job_id)


def cancel_job(job_id: str, connection: Any = None, serializer: Any = None, enqueue_dependents: bool = False) -> None:
    """Cancel a job by its id; see `Job.cancel`."""
    Job.fetch(job_id, connection, serializer).cancel(enqueue_dependents=enqueue_dependents)


def requeue_job(job_id: str, connection: Any = None, serializer: Any = None) -> Job:
    """Execute an ended job again by its id; see `Job.requeue`."""
    return Job.fetch(job_id, connection, serializer).requeue()


def restore(job_ids: Sequence[str], connection: Any = None, job_class: type[Job] = Job, serializer: Any = None) -> list[Job]:
    """Return handles on those of the jobs that exist, in order."""
    return [job for job in job_class.fetch_many(job_ids, connection, serializer) if job is not None]
