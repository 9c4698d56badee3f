"""The short way of a plain job without rare options: one function in place of the layers that know all of them.

It does what `flowq.worker.horse.function.perform` does, and leaves to that whatever has options or hooks. It is flat, because after a fork Python
copies a page for nearly each object that it uses (`flowq.worker.horse.entry`): the layers cost a horse fifty pages.
"""

from __future__ import annotations

import sys
from _signal import ITIMER_REAL, SIG_DFL, SIGALRM, setitimer, signal  # type: ignore[import-not-found]
from os import getpid
from types import CoroutineType

from flowq.timeouts import JobTimeoutException, overran
from flowq.worker.horse import callbacks, function, result_encoding
from flowq.worker.horse.own_process import leave
from flowq.worker.ipc.messages import failed, finished

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, Final

    from flowq.worker.ipc.messages import Task, TaskResult

_OPTIONS: Final = frozenset(
    ("allow", "cache", "hooks", "job_class", "on_failure", "on_success", "penalty_class", "serializer", "sync")
)
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


def execute(task: Task) -> TaskResult | None:
    """Execute a plain job and return its outcome; None if this is not for that job, and nothing of it was executed."""
    pickle = _modules.get("pickle")
    if task["kind"] != "pickle" or pickle is None or not _OPTIONS.isdisjoint(task) or not callbacks.none_here():
        return None
    pid = getpid()
    limit = _limit
    seconds = task["timeout"] or 0.0
    try:
        try:
            if seconds > 0:
                limit.seconds = seconds
                limit.fired = False
                limit.active = True
                signal(SIGALRM, _time_is_up)
                setitimer(ITIMER_REAL, seconds)
            outcome = _called(task, pickle, pid)
        finally:
            if seconds > 0:
                limit.active = False  # first: what is on its way already must not hit the code after this
                setitimer(ITIMER_REAL, 0)
                signal(SIGALRM, SIG_DFL)
    except BaseException as error:  # noqa: BLE001 - whatever a job raises is that job's failure
        if getpid() != pid:
            leave(error, error.__traceback__)
        return function.failure(task, error)
    return failed("timeout", function.overslept(task), "JobTimeoutException") if limit.fired else outcome


def _called(task: Task, pickle: Any, pid: int) -> TaskResult:
    """Decode the call, make it, and encode what comes back."""
    known = len(_modules)
    name, args, kwargs, *instance = pickle.loads(task["payload"])
    module, _, attribute = name.rpartition(".")
    found = _modules.get(module)
    call = None if found is None or instance else getattr(found, attribute, None)
    if call is None or not callable(call):
        call = function.named(task, name, instance)
    if len(_modules) != known and (replaced := callbacks.performer(task)) is not None:
        call, args, kwargs = replaced, (), {}  # by a module that was imported just now
    value = call(*args, **kwargs)
    if isinstance(value, CoroutineType):
        value = function.awaited(value)
    if getpid() != pid:
        leave(None, None)  # the job has forked, and this is not the process that reports
    retry = _modules.get("flowq.retry")
    if retry is not None and isinstance(value, retry.Retry):
        return function.encoded(task, value)
    try:
        data = pickle.dumps(value, 5)
    except Exception as error:  # a user's __reduce__ may raise anything
        raise result_encoding.unserializable(value, "pickled", error) from error
    return finished(data if len(data) <= task["limit"] else result_encoding.within(data, task["limit"]))
