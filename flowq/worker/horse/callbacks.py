"""User hooks for the execution of plain jobs: callbacks, exception handlers, classes of their own.

A `Worker` installs its hooks before it clones itself, so its horses inherit them as they are: nothing has to be importable by name.
Callbacks belong to jobs and travel with the task. Both are rare: a job without them must not pay for them, so everything that is
heavy (the facade, and with it the client library) is imported only when a hook is to be called.
"""

from __future__ import annotations

import sys
from types import CoroutineType

from flowq.jobs import context
from flowq.timeouts import JobTimeoutException, UnixSignalDeathPenalty
from flowq.worker.horse.allowlist import refusal
from flowq.worker.horse.own_process import OwnProcess, run
from flowq.worker.ipc.messages import failed, finished

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Any

    from flowq.worker.ipc.messages import Task, TaskResult

    Announce = Callable[[float | None, TaskResult | None], None]
    Methods = Callable[[Task, Announce | None], TaskResult]
    Reason = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]


class Hooks:
    """The hooks of one worker.

    Attributes:
        job_class: class of the jobs, which may replace `perform` or a part of it; None: `Job`.
        serializer: the only one that is read, None for whatever a job says.
        serializer_name: as jobs say it.
        penalty_class: enforces timeouts in place of SIGALRM.
        handlers: called with `(job, type, value, traceback)` after a failure, until one returns False.
        methods: executes a task by methods of the worker that were replaced; None where none was.
    """

    __slots__ = ("handlers", "job_class", "methods", "penalty_class", "serializer", "serializer_name")

    def __init__(
        self,
        job_class: Any = None,
        serializer: tuple[Any, str] | None = None,
        penalty_class: Any = None,
        handlers: Sequence[Callable[..., Any]] = (),
        methods: Methods | None = None,
    ) -> None:
        self.job_class = job_class
        self.serializer = None if serializer is None else serializer[0]
        self.serializer_name = "" if serializer is None else serializer[1]
        self.penalty_class = penalty_class
        self.handlers = tuple(handlers)
        self.methods = methods


_NONE = Hooks()
_installed = _NONE


def install(hooks: Hooks) -> Hooks:
    """Install the hooks in this process and those that it forks; return the former ones."""
    global _installed
    former, _installed = _installed, hooks
    return former


def adopt(names: dict[str, Any]) -> None:
    """Install hooks by their names, in a horse that is no clone of the worker's process.

    Raises:
        ImportError: one of them cannot be found here.
    """
    from flowq.dotted_names import resolve

    job_class = resolve(names["job_class"]) if "job_class" in names else None
    context.set_current_job_class(job_class)
    if "worker" in names:
        install(resolve(names["worker"]).adopted_hooks(names))
        return
    serializer = None
    if "serializer" in names:
        from flowq.serializers import resolve_serializer, serializer_name

        found = resolve_serializer(names["serializer"])
        serializer = (found, serializer_name(found))
    penalty_class = resolve(names["penalty_class"]) if "penalty_class" in names else None
    install(Hooks(job_class, serializer, penalty_class, [resolve(name) for name in names.get("handlers", ())]))


def _hooks_of(task: Task) -> Hooks:
    """Return the hooks for a task: none for a job in sync mode, which is not the worker's, although a job of it may have enqueued it."""
    return _NONE if task.get("sync") else _installed


def penalty(task: Task) -> Any:
    """Return the context in which a task's time runs."""
    chosen = task.get("penalty_class") or _hooks_of(task).penalty_class  # a class in a task: it never leaves its process
    if chosen is None or not task.get("timeout"):
        return UnixSignalDeathPenalty(task.get("timeout"))
    return chosen(task["timeout"], JobTimeoutException, job_id=task["id"])


def methods(task: Task) -> Methods | None:
    """Return what executes a plain task by replaced methods of the worker, None where none was replaced."""
    if task["kind"] != "pickle" or task.get("sync"):
        return None
    if _installed.methods is not None:
        return _installed.methods
    # A module that a fork server has imported may have patched the class of workers. What is not imported is not patched.
    known = sys.modules.get("flowq.worker.methods")
    return None if known is None else known.patched()


def performer(task: Task) -> Callable[[], object] | None:
    """Return the `perform` of a plain job where it was replaced, in the worker's class of jobs or in `Job`; else None."""
    known = sys.modules.get("flowq.job")  # what is not imported is not patched
    if known is None or task["kind"] != "pickle":
        return None
    job = context.current_handle()
    if job is None:
        if not known.is_replaced(task.get("job_class") or _hooks_of(task).job_class or known.Job):
            return None
        job = _job()
    perform: Callable[[], object] = job.perform
    return perform


def none_here() -> bool:
    """Return whether this process's worker has no hooks, and no part of the execution was replaced: a job's own function is all there is."""
    hooks = _installed
    if hooks.handlers or hooks.serializer is not None or hooks.penalty_class is not None or hooks.methods is not None:
        return False
    known = sys.modules.get("flowq.worker.methods")
    if known is not None and known.patched() is not None:
        return False
    known = sys.modules.get("flowq.job")
    return known is None or not (context.current_handle() is not None or known.is_replaced(hooks.job_class or known.Job))


def serializer(task: Task) -> Any:
    """Return what decodes a plain task's payload and encodes its result; None is pickle.

    Raises:
        ValueError: the job was made with another serializer than this worker's.
    """
    name = task.get("serializer") or ""
    hooks = _hooks_of(task)
    if hooks.serializer is not None:
        if name != hooks.serializer_name:
            wanted = hooks.serializer_name or "pickle"
            raise ValueError(f"this worker only reads jobs serialized with {wanted}, this one is in {name or 'pickle'}")
        return hooks.serializer
    if not name:
        return None
    from flowq.serializers import resolve_serializer

    return resolve_serializer(name)


def aside(task: Task, announce: Announce | None) -> Aside | None:
    """Return the callbacks to call when the task has ended, None for none."""
    if task["kind"] == "pickle" and (_hooks_of(task).handlers or task.get("on_success") or task.get("on_failure")):
        return Aside(task, announce)
    return None


class Aside:
    """The callbacks that the horse calls after the job's function."""

    __slots__ = ("_announce", "_outcome", "_task")

    def __init__(self, task: Task, announce: Announce | None) -> None:
        self._task = task
        self._announce = announce
        self._outcome: TaskResult | None = None  # of the job's function, when that has failed

    def succeeded(self, value: object) -> None:
        """Call `on_success`; what it raises makes the job a failure."""
        if self._task.get("on_success"):
            job = _job("finished")
            self._call("on_success", job, job.connection, value)

    def retried(self, value: object) -> None:
        """Do nothing: a job that has returned a `Retry` has neither finished nor failed."""

    def failed(self, outcome: TaskResult, error: BaseException) -> None:
        """Call `on_failure` and the exception handlers; what they raise is added to the job's error."""
        outcome["called"] = True
        self._outcome = outcome
        reason = (type(error), error, error.__traceback__)
        if self._task.get("on_failure"):
            self._guarded(outcome, lambda job: self._call("on_failure", job, job.connection, *reason))
        self._handle(outcome, reason)

    def call_handlers(self, outcome: TaskResult, reason: Reason) -> None:
        """Call the exception handlers, until one returns False."""
        for handler in _hooks_of(self._task).handlers:
            if self._guarded(outcome, lambda job, handler=handler: handler(job, *reason)) is False:  # type: ignore[misc]
                break

    def _handle(self, outcome: TaskResult, reason: Reason) -> None:
        if _hooks_of(self._task).handlers:
            self._announce_failure(outcome)
            self.call_handlers(outcome, reason)

    def _announce_failure(self, outcome: TaskResult) -> None:
        if self._announce is not None:
            self._announce(None, outcome)

    def _call(self, which: str, *arguments: object) -> None:
        name, seconds = _called(self._task[which])
        if self._announce is not None:
            self._announce(seconds, self._outcome)
        call_back(self._task, which, name, seconds, *arguments)

    def _guarded(self, outcome: TaskResult, call: Callable[[Any], Any]) -> Any:
        try:
            with OwnProcess():
                return call(_job("failed"))
        except BaseException as error:  # noqa: BLE001 - the job's own failure is reported in any case
            import traceback

            text = "".join(traceback.format_exception(error)).rstrip("\n")
            outcome["error"] += f"\n\nWhile this failure was handled, another one came:\n\n{text}"
            self._task.get("raised", []).append(error)  # a list of the caller's, in sync mode
            return None


def _called(stored: str) -> tuple[str, float]:
    """Return the name of a callback and the seconds it may take, of `<name>|<ms>`."""
    name, _, millis = stored.rpartition("|")
    return name, float(millis) / 1000


def call_back(task: Task, which: str, name: str, seconds: float, *arguments: object) -> None:
    """Find a callback of a task by its name and call it within its time."""
    from flowq.dotted_names import resolve
    from flowq.exceptions import UsageError

    if (refused := refusal(name, task.get("allow") or ())) is not None:
        raise UsageError(f"{which}: {refused}")

    function = resolve(name)
    with UnixSignalDeathPenalty(seconds, what=f"the {which} callback {name}"):
        answer = function(*arguments)
        if isinstance(answer, CoroutineType):
            run(answer)


def after_death(task: Task) -> TaskResult:
    """Execute a task of kind "callback": call the callback that the job's own horse could not call because it died."""
    try:
        name, seconds = _called(task["callback"])
        job = _job("failed" if task["which"] == "on_failure" else None)
        arguments: tuple[object, ...] = (job, job.connection)
        if task["which"] == "on_failure":
            from flowq.exceptions import AbandonedJobError, HorseKilledError

            kinds = {"timeout": JobTimeoutException, "abandoned": AbandonedJobError}
            kind = kinds.get(task["reason"], HorseKilledError)
            arguments += (kind, kind(task["error"]), None)
        with OwnProcess():
            call_back(task, task["which"], name, seconds, *arguments)
    except BaseException as error:  # noqa: BLE001 - as in `Aside`
        import traceback

        traceback.print_exception(error, file=sys.stderr)
        return failed("error", str(error))
    return finished(b"")


def _job(status: str | None = None) -> Any:
    """Return the job, with the status that follows when its callbacks have returned; None: as it is stored."""
    from flowq.job import get_current_job

    job: Any = get_current_job()
    if status is not None:
        job.state.show(status)
    return job
