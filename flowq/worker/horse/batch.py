"""A horse that takes the next job when the one before has left nothing behind, as far as a process can tell that of itself.

It compares before and after a job: variables, directory, umask, import path, imported modules, open files, handlers of signals, the signal mask,
timers, threads, limits, priority and memory. A difference ends the horse, so that the next job gets a new one. Other state passes from job to job: values in
modules, caches, patches, the state of random numbers. So jobs share a horse by request only.
"""

from __future__ import annotations

import os
import resource
import signal
import sys

from flowq.jobs import context
from flowq.worker.ipc import platform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from flowq.worker.ipc.messages import Task, TaskResult

_GROWTH: Final = 32 * 1024 * 1024  # bytes by which a horse may grow in all its jobs
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_LIMITS: Final = tuple(sorted({number for name, number in vars(resource).items() if name.startswith("RLIMIT_")}))
_HANDLED: Final = tuple(sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}))


class Keeper:
    """The state of a horse between its jobs."""

    __slots__ = ("_allowance", "_environment", "_jobs", "_resident", "_state", "_task")

    def __init__(self) -> None:
        self._environment = dict(os.environ)
        self._resident = _resident()
        self._allowance = _allowance()
        self._jobs = 0
        self._task: Task = {}
        self._state: tuple[Any, ...] = ()

    def begin(self, task: Task) -> None:
        """Take note of the state before a job; its directory and variables are set."""
        self._jobs += 1
        self._task = task
        self._state = _state()

    def stays(self, outcome: TaskResult) -> bool:
        """Return whether the horse can take another job after this outcome."""
        if outcome["outcome"] != "finished" or "left" in outcome or self._jobs >= self._task["batch"]:
            return False
        return _state() == self._state and _allowance() == self._allowance and _resident() - self._resident < _GROWTH

    def clear(self) -> None:
        """Take back what the job got: its variables, its task and its output."""
        for name in os.environ.keys() - self._environment.keys():
            del os.environ[name]
        for name, value in self._environment.items():
            if os.environ.get(name) != value:
                os.environ[name] = value
        context.set_current_task(None)
        nothing = os.open(os.devnull, os.O_WRONLY)
        for number in (1, 2):
            os.dup2(nothing, number)
        os.close(nothing)


def _state() -> tuple[Any, ...]:
    umask = os.umask(0o77)
    os.umask(umask)
    return (
        dict(os.environ),
        os.getcwd(),
        umask,
        list(sys.path),
        len(sys.modules),
        (sys.stdin, sys.stdout, sys.stderr),
        [signal.getsignal(number) for number in _HANDLED],
        signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        [signal.getitimer(timer) for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)],
        sorted(os.listdir("/proc/self/fd")),
        platform.threads(),
    )


def _allowance() -> tuple[Any, ...]:
    """Return what jobs seldom change: limits, priority and processors. It is the same before all jobs of a horse."""
    return (
        [resource.getrlimit(limit) for limit in _LIMITS],
        os.getpriority(os.PRIO_PROCESS, 0),
        os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None,
    )


def _resident() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * _PAGE
