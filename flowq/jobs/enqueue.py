"""The half of `Queue` that enqueues jobs: options are parsed once, the store decides the job's status."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from flowq import defaults, ids, signing
from flowq.callbacks import Callback
from flowq.connections.stores import connection_of
from flowq.dependency import cycle_message
from flowq.exceptions import DuplicateJobError, InvalidJobDependency, UsageError
from flowq.jobs.options import (
    NOT_GIVEN,
    bind_options,
    check_unique,
    split_call,
)
from flowq.jobs.prepared import EnqueueData, describe, of_group
from flowq.plan.bulk import no_collection
from flowq.rate_limit import RateLimit
from flowq.repeat import Repeat
from flowq.retry import Retry
from flowq.serializers import serializer_name
from flowq.states import JobStatus
from flowq.store.schema.new_jobs import NewJob
from flowq.store.schema.outcomes import Outcome
from flowq.webhook import Webhook

if TYPE_CHECKING:
    from flowq.job import Job
    from flowq.store import Store

Function: TypeAlias = Callable[..., Any] | str
Duration: TypeAlias = float | str | None
Callee: TypeAlias = Callback | Callable[..., Any] | str | None

_NOW: Final = -1  # in place of a time
_EPOCH: Final = dt.datetime.fromtimestamp(0, dt.UTC)
_BY_KEYWORD: Final[Any] = object()  # in place of a positional argument that is among the keywords
# By name: workers are a layer above queues, and sync mode uses their way of executing a job.
_INLINE: Final = "flowq.worker.inprocess.sync"


class Enqueueing:
    """The methods of `Queue` that put jobs into it: now, later, or executed here in place of a worker.

    They change nothing of the queue. These attributes are all that they need of it:

    Attributes:
        name: the name of the queue.
        store: where its jobs are stored.
        job_class: the class of handles on its jobs.
        serializer: of jobs that have none of their own.
        default_timeout: of jobs that do not say theirs; seconds.
        is_async: whether workers execute the jobs; else the client does, as soon as they are enqueued.
        death_penalty_class: enforces timeouts in the client in that case.
    """

    name: str
    store: Store
    job_class: type[Job]
    serializer: Any
    default_timeout: float
    is_async: bool
    death_penalty_class: Any

    # -- now ------------------------------------------------------------------------------------------------------------------

    def enqueue(self, f: Function = _BY_KEYWORD, /, *args: Any, **kwargs: Any) -> Job:
        """Put a call on the queue; it is executed by a worker.

        The function may have parameters named `f` and `self`: after a positional function, these keywords are its arguments.

        Args:
            f: the function, or its dotted name where it cannot be imported here. The keyword `f` gives it as well.
            *args: its positional arguments.
            **kwargs: its keyword arguments, and the options `job_timeout`, `result_ttl`, `ttl`, `failure_ttl`, `depends_on`, `job_id`,
                `at_front`, `description`, `meta`, `retry`, `repeat`, `on_success`, `on_failure`, `on_stopped`, `unique`, `rate_limit`,
                `webhooks`, `pipeline`.
                `args=` and `kwargs=` give the function's arguments whole.

        Returns:
            A handle on the job.

        Raises:
            UsageError: the function or an option is not possible.
            DuplicateJobError: `unique` and the id is taken, or the job of this id is being executed.
            InvalidJobDependency: a dependency does not exist, or waits for this job.
        """
        function = _given(f, "f", kwargs)
        positional, named, options = split_call(args, kwargs)
        if self._is_replaced():
            return self.enqueue_call(func=function, args=positional, kwargs=named, **{**NOT_GIVEN, **options})
        pipeline = options.pop("pipeline", None)
        job = self._made(describe(function, positional, named, self._with_timeout(bind_options(options))))
        return self._submit(job, due_ms=_NOW, pipeline=pipeline)

    def enqueue_call(  # noqa: PLR0913, PLR0917 - RQ's signature
        self,
        func: Function,
        args: Any = None,
        kwargs: Mapping[str, Any] | None = None,
        timeout: Duration = None,
        result_ttl: Duration = None,
        ttl: Duration = None,
        failure_ttl: Duration = None,
        description: str | None = None,
        depends_on: Any = None,
        job_id: str | None = None,
        at_front: bool = False,
        meta: Mapping[str, Any] | None = None,
        retry: Retry | int | None = None,
        repeat: Repeat | int | None = None,
        on_success: Callee = None,
        on_failure: Callee = None,
        on_stopped: Callee = None,
        rate_limit: RateLimit | None = None,
        pipeline: Any = None,
        unique: bool = False,
        webhooks: Sequence[Webhook] | None = None,
    ) -> Job:
        """Put a call on the queue with the function's arguments whole, so that they cannot be mistaken for options.

        `enqueue` calls it, and it calls `enqueue_job`, where one of them is replaced, by a subclass or on this class or a queue: what
        replaces it sees every job that is enqueued now.
        """
        options = self._with_timeout(bind_options(locals()))
        job = self._made(describe(func, args, kwargs, options))
        return self.enqueue_job(job, pipeline=pipeline, at_front=at_front, unique=unique)

    def enqueue_job(self, job: Job, pipeline: Any = None, at_front: bool = False, unique: bool = False) -> Job:
        """Put a job made with `Job.create` (or `create_job`) on the queue; one that has run already is executed once more."""
        return self._submit(job, due_ms=_NOW, pipeline=pipeline, front=at_front, unique=unique)

    def run_sync(self, job: Job) -> Job:
        """Put a job on the queue and execute it at once in this process."""
        return self._submit(job, due_ms=_NOW, here=True)

    # -- later ----------------------------------------------------------------------------------------------------------------

    def enqueue_at(self, datetime: dt.datetime = _BY_KEYWORD, f: Function = _BY_KEYWORD, /, *args: Any, **kwargs: Any) -> Job:
        """Put a call on the queue at a time (a naive one is local time), or once its dependencies have ended if that is later."""
        when = _given(datetime, "datetime", kwargs)
        function = _given(f, "f", kwargs)
        positional, named, options = split_call(args, kwargs)
        pipeline, unique = options.pop("pipeline", None), options.get("unique", False)
        job = self._made(describe(function, positional, named, bind_options(options)))
        return self.schedule_job(job, when, pipeline=pipeline, unique=unique)

    def enqueue_in(
        self, time_delta: dt.timedelta = _BY_KEYWORD, func: Function = _BY_KEYWORD, /, *args: Any, **kwargs: Any
    ) -> Job:
        """Put a call on the queue after a while, by the server's clock."""
        wait = _given(time_delta, "time_delta", kwargs)
        if not isinstance(wait, dt.timedelta):
            raise UsageError(f"expected a timedelta, found {wait!r}")
        try:
            when = _EPOCH + dt.timedelta(milliseconds=self.store.now_ms()) + wait
        except OverflowError as error:
            raise UsageError(f"expected a time before the year 10000, found {wait!r} from now") from error
        return self.enqueue_at(when, _given(func, "func", kwargs), *args, **kwargs)

    def schedule_job(self, job: Job, datetime: dt.datetime, pipeline: Any = None, unique: bool = False) -> Job:
        """Put a job made with `Job.create` on the queue at a time."""
        return self._submit(job, due_ms=_millis(datetime), pipeline=pipeline, unique=unique)

    # -- made first, enqueued after -------------------------------------------------------------------------------------------

    def create_job(  # noqa: PLR0913, PLR0917 - RQ's signature
        self,
        func: Function,
        args: Any = None,
        kwargs: Mapping[str, Any] | None = None,
        timeout: Duration = None,
        result_ttl: Duration = None,
        ttl: Duration = None,
        failure_ttl: Duration = None,
        description: str | None = None,
        depends_on: Any = None,
        job_id: str | None = None,
        meta: Mapping[str, Any] | None = None,
        status: JobStatus | str | None = None,  # a job's status is what has happened to it
        retry: Retry | int | None = None,
        repeat: Repeat | int | None = None,
        *,
        on_success: Callee = None,
        on_failure: Callee = None,
        on_stopped: Callee = None,
        webhooks: Sequence[Webhook] | None = None,
        group_id: str | None = None,
        rate_limit: RateLimit | None = None,
    ) -> Job:
        """Make a job for this queue without enqueueing it; `enqueue_job` does that."""
        return self._made(describe(func, args, kwargs, bind_options(locals())))

    @staticmethod
    def prepare_data(  # noqa: PLR0913, PLR0917 - RQ's signature
        func: Function,
        args: Any = None,
        kwargs: Mapping[str, Any] | None = None,
        timeout: Duration = None,
        result_ttl: Duration = None,
        ttl: Duration = None,
        failure_ttl: Duration = None,
        description: str | None = None,
        depends_on: Any = None,
        job_id: str | None = None,
        at_front: bool = False,
        meta: Mapping[str, Any] | None = None,
        retry: Retry | int | None = None,
        on_success: Callee = None,
        on_failure: Callee = None,
        on_stopped: Callee = None,
        repeat: Repeat | int | None = None,
        webhooks: Sequence[Webhook] | None = None,
        rate_limit: RateLimit | None = None,
    ) -> EnqueueData:
        """Describe a job for `enqueue_many`."""
        return describe(func, args, kwargs, bind_options(locals()))

    def enqueue_many(self, job_datas: Iterable[EnqueueData], pipeline: Any = None, group_id: str | None = None) -> list[Job]:
        """Put many calls on the queue in one round trip per 50, the next ones under way meanwhile. One may depend on an earlier one in the list.

        Args:
            job_datas: the calls, made by `prepare_data`.
            pipeline: as of `enqueue`.
            group_id: the group that all of them join; `Group.enqueue_many` says it.

        Raises:
            UsageError: the list has a duplicate id; nothing was enqueued.
            DuplicateJobError, InvalidJobDependency: of the first job that was refused; the others are enqueued.
        """
        with no_collection():
            return self._enqueue_many(job_datas if group_id is None else of_group(list(job_datas), group_id), pipeline)

    def _enqueue_many(self, job_datas: Iterable[EnqueueData], pipeline: Any) -> list[Job]:
        datas = list(job_datas)
        named = Counter(data.options.id for data in datas if data.options.id is not None)
        repeated = [job_id for job_id, count in named.items() if count > 1]
        if repeated:
            raise UsageError(f"duplicate id {repeated[0]!r} in the list")
        if pipeline is None and not self.is_async:
            return [self._submit(job, due_ms=_NOW) for job in [self._made(data) for data in datas]]
        jobs: list[Job] = []
        news = self._news(datas, jobs)
        if pipeline is not None:
            described = list(news)
            self.store.jobs.create_in(pipeline, described)
            for job, new in zip(jobs, described, strict=True):
                job.state.foresee(new)
            return jobs
        answers = self.store.jobs.create_many(news, expected=len(datas))
        for job, (outcome, detail) in zip(jobs, answers, strict=True):
            if outcome is Outcome.NOT_FOUND and job.settings.forget_ended_parent(detail):
                self._submit(job, due_ms=_NOW)
            else:
                _accept(job, outcome, detail)
        return jobs

    def _news(self, datas: Sequence[EnqueueData], jobs: list[Job]) -> Iterator[NewJob]:
        """Describe the jobs of a list for the store, one when it is asked for, and add them to `jobs` meanwhile.

        All that can be wrong with one of them is found here, before any is sent; that is the encoding, as a rule. A class of the user's own
        may refuse to make one, or use the connection.
        """
        serializer_name(self.serializer)
        whole = signing.is_on() or self.job_class.__module__.partition(".")[0] != "flowq"
        encoded = [self._checked(data) if whole or data.options.meta else self._encoded(data) for data in datas]
        nonce = ids.nonce()

        def described() -> Iterator[NewJob]:
            for data, known in zip(datas, encoded, strict=True):
                if isinstance(known, bytes):
                    job = self._made(data)
                    self._bind(job)
                    job.settings.take_encoded(known)
                else:
                    job = known
                jobs.append(job)
                yield job.settings.new_job(nonce=nonce)

        return described()

    def _encoded(self, data: EnqueueData) -> bytes | Job:
        call = data.call.stored(self.serializer)
        return call if len(call) <= defaults.MAX_PAYLOAD else self._checked(data)

    def _checked(self, data: EnqueueData) -> Job:
        job = self._made(data)
        self._bind(job)
        job.settings.encode()
        return job

    def _is_replaced(self) -> bool:
        kind, own = type(self), self.__dict__
        return (
            kind.enqueue_call is not _ENQUEUE_CALL
            or kind.enqueue_job is not _ENQUEUE_JOB
            or "enqueue_call" in own
            or "enqueue_job" in own
        )

    def _with_timeout(self, options: dict[str, Any]) -> dict[str, Any]:
        if options.get("timeout") is None and self.default_timeout:
            options["timeout"] = self.default_timeout
        return options

    # -- how ------------------------------------------------------------------------------------------------------------------

    def _made(self, data: EnqueueData) -> Job:
        return self.job_class.assemble(data.call, data.options, connection_of(self.store), self.serializer, origin=self.name)

    def submission(self, data: EnqueueData) -> tuple[Job, NewJob]:
        """Return a job and the request that enqueues it now, for callers that make it part of a larger transition."""
        job = self._made(data)
        return job, self._new(job, due_ms=_NOW)

    def _bind(self, job: Job) -> None:
        job.settings.bind(self.store, self.serializer, self.name, self.default_timeout)

    def _new(self, job: Job, *, due_ms: int, front: bool = False, unique: bool = False) -> NewJob:
        self._bind(job)
        return job.settings.new_job(due_ms=due_ms, front=bool(front), unique=unique)

    def _submit(
        self, job: Job, *, due_ms: int, pipeline: Any = None, front: bool = False, unique: bool = False, here: bool = False
    ) -> Job:
        if unique:
            options = job.options
            named = job.id if job.state.is_named else None
            check_unique({"id": named, "depends_on": options.depends_on, "rate_limit": options.rate_limit})
        new = self._new(job, due_ms=due_ms, front=front, unique=unique)
        if pipeline is not None:
            self.store.jobs.create_in(pipeline, [new])
            job.state.foresee(new)
            return job
        if job.options.rate_limit is not None and (here or not self.is_async):
            raise UsageError(
                "rate_limit is for jobs that workers execute: a job of a queue with is_async=False cannot wait for its turn"
            )
        inline: Any = import_module(_INLINE) if here or not self.is_async else None
        while True:
            if inline is None:
                outcome, detail = self.store.jobs.create(new)
            else:
                outcome, detail = inline.create_and_execute(self.store, new, self.death_penalty_class, self.job_class)
            if outcome is not Outcome.NOT_FOUND or not job.settings.forget_ended_parent(detail):
                break
            new = self._new(job, due_ms=due_ms, front=front, unique=unique)
        _accept(job, outcome, detail)
        if inline is not None:
            job.state.refresh()
        return job


_ENQUEUE_CALL: Final = Enqueueing.enqueue_call
_ENQUEUE_JOB: Final = Enqueueing.enqueue_job


def _given(value: Any, name: str, kwargs: dict[str, Any]) -> Any:
    """Return an argument that was given by its position, else take it out of the keywords."""
    if value is not _BY_KEYWORD:
        return value
    if name not in kwargs:
        raise TypeError(f"the argument {name!r} is missing")
    return kwargs.pop(name)


def _accept(job: Job, outcome: Outcome, detail: str) -> Job:
    """Return the job, unless the store refused it."""
    if outcome is Outcome.CONFLICT:
        raise DuplicateJobError(f"a job with the id {job.id!r} exists already, it is {detail}: choose another id")
    if outcome is Outcome.NOT_FOUND:
        raise InvalidJobDependency(f"job {job.id} depends on {detail!r}, which does not exist")
    if outcome is Outcome.CYCLE:
        raise InvalidJobDependency(cycle_message(job.id, detail))
    return job


def _millis(when: dt.datetime) -> int:
    if not isinstance(when, dt.datetime):
        raise UsageError(f"expected a datetime, found {when!r}")
    return (when.astimezone(dt.UTC) - _EPOCH) // dt.timedelta(milliseconds=1)
