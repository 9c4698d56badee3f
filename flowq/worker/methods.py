"""The methods through which a worker of RQ executes a job. Subclasses, patches and instrumentations replace them.

While they are flowq's own, nothing calls them: a horse executes the task by itself, without a `Job`. Where one was replaced, the task is
led through all of them, in the process that executes the job: the original of each calls those that follow in this list.

    execute_job                 main_work_horse
    main_work_horse             setup_work_horse_signals, perform_job
    perform_job                 prepare_job_execution, the job's function and its callbacks, then:
        handle_execution_ended
        handle_job_success      or handle_job_retry, or handle_exception (which calls the exception handlers) and handle_job_failure

The original methods of the last kind do nothing: the worker reports the end when all of them have returned. When the process of a job has
died, `handle_work_horse_killed` and `handle_job_failure` are called in the worker's process. Other methods of RQ's workers are never
called, because flowq's worker does their work in another way; a worker that replaces one warns.
"""

from __future__ import annotations

import inspect
import os
import sys
import warnings
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from flowq.job import Job, get_current_job
from flowq.jobs.context import as_current
from flowq.timeouts import JobStopped
from flowq.worker.horse import callbacks, function
from flowq.worker.inprocess import sync
from flowq.worker.ipc.messages import failed
from flowq.worker.options import WorkerOptions
from flowq.worker.supervisor.active_job import ActiveJob
from flowq.worker.supervisor.ends import Ended

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from flowq.queue import Queue
    from flowq.store import Store
    from flowq.worker.ipc.messages import Task, TaskResult

_F = TypeVar("_F", bound=Callable[..., Any])

# flowq's own methods under these names, by `id`: what else is found there has replaced them. A wrapper of an instrumentation (wrapt's)
# is equal to what it wraps, and has its hash.
_OWN: Final[dict[int, object]] = {}
_LEASE: Final = 3600.0  # s of a job that is executed by hand: no heartbeat renews it
_CALLED: Final = (
    "execute_job",
    "main_work_horse",
    "setup_work_horse_signals",
    "perform_job",
    "prepare_job_execution",
    "handle_execution_ended",
    "handle_job_success",
    "handle_job_retry",
    "handle_exception",
    "handle_job_failure",
)
_CALLED_AFTER_DEATH: Final = ("handle_work_horse_killed", "handle_job_failure")
_NEVER_CALLED: Final = (
    *("bootstrap", "check_for_suspension", "clean_registries", "clean_group_registries", "cleanup_execution"),
    *("dequeue_job_and_maintain_ttl", "fork_work_horse", "get_heartbeat_ttl", "handle_payload", "handle_warm_shutdown_request"),
    *(
        "heartbeat",
        "increment_failed_job_count",
        "increment_successful_job_count",
        "increment_total_working_time",
        "kill_horse",
    ),
    *("maintain_heartbeats", "monitor_work_horse", "prepare_execution", "procline", "register_birth", "register_death"),
    *("reorder_queues", "request_force_stop", "request_stop", "request_stop_execution", "run_maintenance_tasks", "set_state"),
    *("should_run_maintenance_tasks", "subscribe", "teardown", "unsubscribe", "validate_queues", "wait_for_horse"),
)


def own(method: _F) -> _F:
    """Declare a method to be flowq's own."""
    _OWN[id(method)] = method
    return method


def declare_own(methods: type) -> None:
    """Declare the methods of a class to be flowq's own, although they have names of methods that flowq never calls."""
    _OWN.update((id(method), method) for method in vars(methods).values())


def _is_replaced(holder: Any, name: str) -> bool:
    found = inspect.getattr_static(holder, name, None)
    return found is not None and id(found) not in _OWN


def warn_of_methods_never_called(worker: WorkerMethods) -> None:
    """Warn of each method of the worker that a subclass or a patch replaces, although flowq does not call it."""
    names = [name for name in _NEVER_CALLED if _is_replaced(worker, name)]
    if names:
        warnings.warn(
            f"flowq never calls {', '.join(f'{type(worker).__name__}.{name}' for name in names)}: its worker does that in another way;"
            f" it calls {', '.join(_CALLED)} and handle_work_horse_killed",
            RuntimeWarning,
            stacklevel=3,
        )


def through_replaced(worker: WorkerMethods) -> callbacks.Methods | None:
    """Return what leads a task through the methods of a worker, None if none of them was replaced."""
    return partial(through, worker) if any(_is_replaced(worker, name) for name in _CALLED) else None


def watches_deaths(worker: WorkerMethods) -> bool:
    """Return whether a method was replaced that is called when the process of a job has died."""
    return any(_is_replaced(worker, name) for name in _CALLED_AFTER_DEATH)


def patched() -> callbacks.Methods | None:
    """Return what leads a task through the methods of `Worker` where one is patched, in a horse whose worker has none; else None."""
    module = sys.modules.get("flowq.worker.worker")
    if module is None or all(id(getattr(module.Worker, name)) in _OWN for name in _CALLED):  # quick: each job asks
        return None
    return lambda task, announce: through(_stand_in(module.Worker), task, announce)


def _stand_in(kind: type[Any]) -> WorkerMethods:
    job = get_current_job()
    assert job is not None
    worker: WorkerMethods = kind([job.origin], job.worker_name, connection=job.connection)
    worker.working_in = 0  # not this process
    return worker


def through(
    worker: WorkerMethods,
    task: Task,
    announce: callbacks.Announce | None,
    *,
    enter: Callable[[_Execution], object] | None = None,
    errors: list[BaseException] | None = None,
) -> TaskResult:
    """Execute a task by the methods of a worker and return its outcome.

    Args:
        worker: whose methods.
        task: of a plain job.
        announce: as of `flowq.worker.horse.function.execute`.
        enter: calls the first of the methods; `execute_job` unless given.
        errors: gets what came out of the methods, if that is wanted; the job has failed with it in any case.
    """
    current = _Execution(worker, task, announce)
    former, worker.current = worker.current, current
    try:
        with as_current(current.job):
            if enter is None:
                worker.execute_job(current.job, current.queue)
            else:
                enter(current)
    except JobStopped:
        raise
    except BaseException as error:  # noqa: BLE001 - a method of the user's: the job has failed, the worker goes on
        if errors is not None:
            errors.append(error)
        return current.broken(error)
    finally:
        worker.current = former
        current.job.state.pinned = False
    kind = type(worker).__name__
    return current.outcome or failed(
        "error", f"a replaced method of {kind} did not call the original one (`super()`): how the job has ended is not known"
    )


def execute_here(worker: WorkerMethods, job: Job, enter: Callable[[_Execution], object] | None = None) -> bool:
    """Execute a job that waits in its queue, in this process: programs and tests drive a worker by hand. `work` does more than that.

    Args:
        worker: whose methods execute it.
        job: the job.
        enter: as of `through`.

    Returns:
        Whether it has succeeded, or asked for a retry; False for a job that does not wait.

    Raises:
        BaseException: a replaced method of the worker raised it; the job has failed.
    """
    claim = worker.store.jobs.take(job.id, worker.name, _LEASE)
    if claim is None:
        return False
    errors: list[BaseException] = []
    with worker.hooked(partial(through, worker, enter=enter, errors=errors)):
        outcome = sync.execute(worker.store, claim, options=WorkerOptions((), clone=True))
    held = ActiveJob(claim, 0.0, unlisted=worker.disable_default_exception_handler)
    worker.store.jobs.finish(held.ended(Ended(outcome), allowed=False))
    if errors:
        raise errors[0]
    return bool(outcome["outcome"] != "failed")


class _Execution(callbacks.Aside):
    """One job on its way through the methods of a worker."""

    __slots__ = ("execution", "job", "outcome", "queue", "worker")

    def __init__(self, worker: WorkerMethods, task: Task, announce: callbacks.Announce | None) -> None:
        super().__init__(task, announce)
        job = get_current_job(job_class=worker.job_class)
        assert job is not None
        self.job: Job = job
        self.queue: Queue = next((queue for queue in worker.queues if queue.name == job.origin), None) or worker.queue_class(
            job.origin, job.connection
        )
        self.execution = next(iter(job.get_executions()), None)
        self.worker = worker
        self.outcome: TaskResult | None = None

    def perform(self) -> bool:
        """Call the job's function and what follows; return whether it has succeeded, or asked for a retry."""
        self.worker.prepare_job_execution(self.job, False)
        self.outcome = function.perform(self._task, self)
        return bool(self.outcome["outcome"] != "failed")

    def succeeded(self, value: object) -> None:
        """Call `on_success`, then the worker's methods for a success."""
        self._ended()
        self._pin("finished")
        super().succeeded(value)
        self.worker.handle_job_success(**self._described())

    def retried(self, value: object) -> None:
        """Call the worker's methods for a job that has returned a `Retry`."""
        self._ended()
        self.worker.handle_job_retry(retry=value, **self._described())

    def failed(self, outcome: TaskResult, error: BaseException) -> None:
        """Call `on_failure`, then the worker's methods for a failure."""
        self._pin("failed")
        self._ended()
        super().failed(outcome, error)

    def handle_exception(self, reason: callbacks.Reason) -> None:
        """Call the exception handlers."""
        assert self._outcome is not None
        self.call_handlers(self._outcome, reason)

    def broken(self, error: BaseException) -> TaskResult:
        """Return the outcome of a job for which a replaced method has raised an exception; that of its function, if there is one."""
        text = function.traceback_text(error)
        if self.outcome is None:
            return failed("error", text, function.exception_name(error))
        sys.stderr.write(f"{text}\n")
        return self.outcome

    def _pin(self, status: str) -> None:
        """Show the end also to methods that ask the store, as instrumentations do after `perform_job`: RQ has stored it by then."""
        self.job.state.show(status)
        self.job.state.pinned = True

    def _ended(self) -> None:
        self.worker.handle_execution_ended(self.job, self.queue, 0)

    def _handle(self, outcome: TaskResult, reason: callbacks.Reason) -> None:
        self._announce_failure(outcome)
        self._guarded(outcome, lambda job: self.worker.handle_exception(job, *reason))
        self._guarded(outcome, lambda _: self.worker.handle_job_failure(exc_string=outcome["error"], **self._described()))

    def _described(self) -> dict[str, Any]:
        """Return the keyword arguments that RQ's workers pass."""
        registry = self.queue.started_job_registry
        return {"job": self.job, "queue": self.queue, "started_job_registry": registry, "execution": self.execution}


class WorkerMethods:
    """The methods, with what they do where nothing has replaced them; see the module.

    Attributes:
        current: the job that is on its way through them in this process, None while there is none.
        working_in: the process that called `work`.
    """

    name: str
    store: Store
    queues: list[Queue]
    job_class: type[Job]
    queue_class: type[Queue]
    exception_handlers: list[Callable[..., Any]]
    work_horse_killed_handler: Callable[..., Any] | None
    disable_default_exception_handler: bool
    current: _Execution | None = None
    working_in: int | None = None

    def hooked(self, through: callbacks.Methods | None) -> AbstractContextManager[None]:
        """Return a context in which this process, and those that it forks, execute jobs by the hooks of the worker."""
        raise NotImplementedError(through)

    @property
    def is_horse(self) -> bool:
        """Whether this process executes a job of the worker, and only that; never so of a `SimpleWorker`."""
        return self.working_in is not None and os.getpid() != self.working_in

    @own
    def execute_job(self, job: Job, queue: Queue) -> None:
        """Execute a job, in the process for it. Called by hand, in this process, one that waits in its queue."""
        if self.current is None:
            execute_here(self, job)
        else:
            self.main_work_horse(job, queue)

    @own
    def main_work_horse(self, job: Job, queue: Queue) -> None:
        """Execute a job; the first method of RQ's that is called in the process for it."""
        self.setup_work_horse_signals()
        self.perform_job(job, queue, None if self.current is None else self.current.execution)

    @own
    def setup_work_horse_signals(self) -> None:
        """Do nothing: the process of a job has its handlers of signals already."""

    @own
    def perform_job(self, job: Job, queue: Queue, execution: Any = None) -> bool:  # noqa: ARG002 - RQ's signature
        """Call the job's function, then the callbacks and methods that follow.

        Returns:
            Whether it has succeeded; a job that returned a `Retry` has.
        """
        return execute_here(self, job, _Execution.perform) if self.current is None else self.current.perform()

    @own
    def prepare_job_execution(self, job: Job, remove_from_intermediate_queue: bool = False) -> None:
        """Do nothing: a job is prepared when it is claimed."""

    @own
    def handle_execution_ended(self, job: Job, queue: Queue, heartbeat_ttl: float) -> None:
        """Do nothing: the end of an execution is one step of the store."""

    @own
    def handle_job_success(self, job: Job, queue: Queue, started_job_registry: Any = None, execution: Any = None) -> None:
        """Do nothing: the worker reports the success when this has returned."""

    @own
    def handle_job_retry(
        self, job: Job, queue: Queue, retry: Any, started_job_registry: Any = None, execution: Any = None
    ) -> None:
        """Do nothing: the worker reports the wish for a retry when this has returned."""

    @own
    def handle_exception(self, job: Job, *exc_info: Any) -> None:
        """Call the exception handlers of the worker, one after the other until one returns False."""
        if self.current is not None:
            self.current.handle_exception((exc_info[0], exc_info[1], exc_info[2]))
            return
        for handler in self.exception_handlers:
            if handler(job, *exc_info) is False:
                break

    @own
    def handle_job_failure(
        self, job: Job, queue: Queue, started_job_registry: Any = None, exc_string: str = "", execution: Any = None
    ) -> None:
        """Do nothing: the worker reports the failure, or tries again, when this has returned."""

    @own
    def handle_work_horse_killed(self, job: Job, retpid: int, ret_val: int, rusage: Any) -> None:
        """Call `work_horse_killed_handler`: the process of a job has died."""
        if self.work_horse_killed_handler is not None:
            self.work_horse_killed_handler(job, retpid, ret_val, rusage)
