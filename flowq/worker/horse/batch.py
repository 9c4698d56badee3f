"""A horse that takes the next job when the one before has left nothing behind, as far as a process can tell that of itself.

It compares before and after a job: variables, directory, umask, import path, imported modules, open files, handlers of signals, the signal mask,
timers, threads, limits, priority and memory. A difference ends the horse, so that the next job gets a new one. Other state passes from job to job: values in
modules, caches, patches, the state of random numbers. So jobs share a horse by request only.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # the layer above makes an enum of each answer
import os
import resource
import signal
import sys

from flowq.jobs import context
from flowq.worker.ipc import platform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final

    from flowq.worker.ipc.messages import Task, TaskResult

_GROWTH: Final = 32 * 1024 * 1024  # bytes by which a horse may grow in all its jobs
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_LIMITS: Final = tuple(sorted({number for name, number in vars(resource).items() if name.startswith("RLIMIT_")}))
_HANDLED: Final = tuple(sorted(int(number) for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}))
_TIMERS: Final = (_signal.ITIMER_REAL, _signal.ITIMER_VIRTUAL, _signal.ITIMER_PROF)


class Keeper:
    """The state of a horse between its jobs."""

    __slots__ = ("_allowance", "_jobs", "_kept", "_peak", "_resident", "_set", "_task", "_variables")

    def __init__(self) -> None:
        self._variables = dict(_variables())
        self._resident, self._peak = _resident(), _peak()
        self._allowance = _allowance()
        self._jobs = 0
        self._task: Task = {}
        self._set: tuple[Any, ...] = ()  # what a job is given, as it was at its start
        self._kept: tuple[Any, ...] = ()

    def begin(self, task: Task) -> None:
        """Take note of the state before a job; its directory and variables are set."""
        if not self._jobs:
            self._kept = _kept()  # which each job is found to have left as it was
        self._jobs += 1
        self._task = task
        self._set = _set()

    def may_stay(self, outcome: TaskResult) -> bool:
        """Return whether it is worth looking if the horse can take another job after this outcome."""
        return outcome["outcome"] == "finished" and "left" not in outcome and self._jobs < self._task["batch"]

    def stays(self) -> bool:
        """Return whether the job has left nothing behind, so that the horse can take another one."""
        try:
            same = _set() == self._set and _kept() == self._kept and _allowance() == self._allowance
            return same and (_peak() - self._peak < _GROWTH or _resident() - self._resident < _GROWTH)
        except Exception:  # noqa: BLE001 - it has lowered its limits, or removed streams or variables, so far that nothing can be looked at
            return False

    def clear(self) -> None:
        """Take back what the job got: its variables, its task and its output."""
        now, before = dict(_variables()), self._variables
        if now != before:
            for name in now.keys() - before.keys():
                del os.environ[os.fsdecode(name)]
            for name, value in before.items():
                if now.get(name) != value:
                    os.environ[os.fsdecode(name)] = os.fsdecode(value)
        context.set_current_task(None)
        nothing = os.open(os.devnull, os.O_WRONLY)
        for number in (1, 2):
            os.dup2(nothing, number)
        os.close(nothing)


def _variables() -> Mapping[Any, Any]:
    """Return the variables as `os.environ` has them inside, where it can be had: each look through the outside decodes the text."""
    inside: Mapping[Any, Any] = getattr(os.environ, "_data", os.environ)
    return inside


def _set() -> tuple[Any, ...]:
    """Return what each job is given by flowq."""
    return dict(_variables()), _directory(), list(sys.path)


def _directory() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return ""


def _kept() -> tuple[Any, ...]:
    """Return what is the same at the start of all jobs of a horse, but for what they import."""
    umask = os.umask(0o77)
    os.umask(umask)
    return (
        umask,
        len(sys.modules),
        (sys.stdin, sys.stdout, sys.stderr),
        [*map(_signal.getsignal, _HANDLED)],
        _signal.pthread_sigmask(_signal.SIG_BLOCK, ()),
        [*map(_signal.getitimer, _TIMERS)],
        _open_files(),
        platform.threads(),
    )


def _open_files() -> list[tuple[str, int, int]]:
    """Return the numbers of the open files, with what each one is, but for the streams that each job gets: a number may stand for another file now."""
    found = []
    for name in sorted(os.listdir("/proc/self/fd")):
        try:
            status = os.fstat(int(name))
        except OSError:
            continue  # it was that of the listing itself
        found.append((name, 0, 0) if name in {"1", "2"} else (name, status.st_dev, status.st_ino))
    return found


def _allowance() -> tuple[Any, ...]:
    """Return what jobs seldom change: limits, priority and processors. It is the same before all jobs of a horse."""
    return (
        [*map(resource.getrlimit, _LIMITS)],
        os.getpriority(os.PRIO_PROCESS, 0),
        os.sched_getscheduler(0) if hasattr(os, "sched_getscheduler") else None,
        os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None,
    )


def _peak() -> int:
    """Return the most memory that this process has had; it takes a tenth of the time that the present amount takes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _resident() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * _PAGE
