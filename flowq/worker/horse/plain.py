"""The short way of a plain job without rare options: one function in place of the layers that know all of them.

It does what `flowq.worker.horse.function.perform` does for calls, of a flow or of plain jobs, and leaves to that whatever has options or hooks. It is flat, because after a fork Python
copies a page for nearly each object that it uses (`flowq.worker.horse.entry`): the layers cost a horse fifty pages.
"""

from __future__ import annotations

import sys
from _signal import ITIMER_REAL, SIG_DFL, SIGALRM, setitimer, signal  # type: ignore[import-not-found]
from os import getpid
from types import CoroutineType

from flowq.jobs import context
from flowq.timeouts import JobTimeoutException, overran
from flowq.worker.horse import callbacks, function, result_encoding
from flowq.worker.horse.own_process import leave
from flowq.worker.ipc.messages import failed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, Final

    from flowq.worker.ipc.messages import Task, TaskResult

_OPTIONS: Final = frozenset(
    (
        "allow",
        "artifacts",
        "cache",
        "fetch",
        "hooks",
        "job_class",
        "on_failure",
        "on_success",
        "penalty_class",
        "serializer",
        "sync",
    )
)
_NULL: Final = b"null"
_modules = sys.modules


class _Limit:
    """The time limit of the job: as `UnixSignalDeathPenalty`, without its frames."""

    __slots__ = ("active", "fired", "seconds")

    def __init__(self) -> None:
        self.active = False
        self.fired = False
        self.seconds = 0.0


_limit = _Limit()


def _time_is_up(_number: int, _frame: FrameType | None) -> None:
    if _limit.active:
        _limit.fired = True
        raise JobTimeoutException(overran("the job", _limit.seconds))


def _task() -> Task:
    task = context.current_task()
    assert task is not None
    return task


def suits(task: Task) -> bool:
    """Return whether this is the way of a task."""
    nested = _limit.active  # in a job of this process: there is one limit
    return task["kind"] in {"call", "pickle"} and not nested and _OPTIONS.isdisjoint(task) and callbacks.none_here()


def _encoded(kind: str, value: object, most: int) -> bytes | TaskResult:
    retry = _modules.get("flowq.retry")
    if retry is not None and isinstance(value, retry.Retry):
        return function.encoded(_task(), value)
    if kind == "call":
        return _NULL if value is None else result_encoding.to_json(value, most)
    try:
        import pickle  # again: the job may have removed it from `sys.modules`

        data = pickle.dumps(value, 5)
    except Exception as error:  # a user's __reduce__ may raise anything
        raise result_encoding.unserializable(value, "pickled", error) from error
    return data if len(data) <= most else result_encoding.within(data, most)


def call_of(task: Task) -> tuple[str, Any, float, int]:
    """Return the arguments of `execute` for a task."""
    kind = task["kind"]
    called = task["payload"] if kind == "pickle" else (task["module"], task["attribute"], task["args"], task["kwargs"])
    return kind, called, task["timeout"] or 0.0, task["limit"]


def execute(kind: str, called: Any, seconds: float, most: int) -> bytes | TaskResult:
    """Execute a call; return its result, encoded, or another outcome.

    Args:
        kind: "call" or "pickle".
        called: module, attribute, args and kwargs; or the payload.
        seconds: that it may take, 0 without a limit.
        most: bytes that the result may have.
    """
    pid = getpid()
    limit = _limit
    former: Any = SIG_DFL
    rest = (0.0, 0.0)
    try:
        try:
            if seconds > 0:
                limit.seconds = seconds
                limit.fired = False
                limit.active = True
                former = signal(SIGALRM, _time_is_up)
                rest = setitimer(ITIMER_REAL, seconds)
            if kind == "call":
                module, attribute, args, kwargs = called
                found = _modules.get(module)
                call = None if found is None else getattr(found, attribute, None)
                if call is None or not callable(call):
                    call = function.imported(module, attribute)
            else:
                import pickle

                known = len(_modules)
                name, args, kwargs, *instance = pickle.loads(called)
                module, _, attribute = name.rpartition(".")
                found = _modules.get(module)
                call = None if found is None or instance else getattr(found, attribute, None)
                if call is None or not callable(call) or len(_modules) != known:
                    call, args, kwargs = function.chosen(_task(), name, instance, args, kwargs)
            value = call(*args, **kwargs)
            if isinstance(value, CoroutineType):
                value = function.awaited(value)
            if getpid() != pid:
                leave(None, None)  # the job has forked, and this is not the process that reports
            outcome = _encoded(kind, value, most)
            if getpid() != pid:
                leave(None, None)  # as has its value, while it was encoded
        finally:
            if seconds > 0:
                limit.active = False  # first: what is on its way already must not hit the code after this
                setitimer(ITIMER_REAL, 0)
                signal(SIGALRM, SIG_DFL if former is None else former)
                if rest[0] > 0:
                    setitimer(ITIMER_REAL, *rest)  # of the program, where a job shares its process
    except BaseException as error:  # noqa: BLE001 - whatever a job raises is that job's failure
        if getpid() != pid:
            leave(error, error.__traceback__)
        return function.failure(_task(), error)
    return failed("timeout", function.overslept(_task()), "JobTimeoutException") if limit.fired else outcome
