"""The rehearsal of a fork server: it executes what every horse will execute, so that horses begin warm.

After a fork each page is copied when it is first written to, and the first executions of Python code write much: they specialise it,
fill caches of methods and bind functions of libraries. What was executed often enough before the fork is not written to again, which
saves a horse about a hundred copied pages. No code of the user's is executed here, whatever a clone has installed or patched.
"""

from __future__ import annotations

import gc
import marshal
import os
import sys

from flowq.jobs import context
from flowq.worker.fork_server import at_fork
from flowq.worker.horse import callbacks, horse
from flowq.worker.ipc.channel import Channel
from flowq.worker.ipc.short_form import environment, shortened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from flowq.worker.ipc.messages import Task

_TIMES: Final = 20  # of each task; the interpreter specialises code that was executed eight times
_COMMON: Final[Task] = {
    "id": "-" * 36,
    "name": "builtins.bool",
    "attempt": 1,
    "execution": 1,
    "timeout": 60.0,
    "limit": 64,
}
_SYNC: Final[Task] = {"sync": True}  # as in the caller's process: the worker's hooks are not for it
_CALL: Final[Task] = {**_COMMON, "kind": "call", "module": "builtins", "attribute": "bool", "args": [], "kwargs": {}}
_PICKLE: Final[Task] = {
    **_COMMON,
    "kind": "pickle",
    "payload": b"\x80\x04\x95\x16\x00\x00\x00\x00\x00\x00\x00\x8c\rbuiltins.bool\x94)}\x94\x87\x94.",
}


def sample() -> bytes:
    """Return a plain job that does nothing, for horses that wait (`Entrance.sample`); nothing where plain jobs are not executed in the short way."""
    tasks = _short_tasks()
    return marshal.dumps(shortened(0, tasks[-1] | {"run": None}), 2) if tasks else b""


def settle() -> None:
    """Warm up this process before its first horse, and set apart what it holds."""
    tasks = [_CALL | _SYNC]
    if "pickle" in sys.modules and not _performs_in_its_way():
        tasks.append(_PICKLE | _SYNC)
    tasks += _short_tasks()
    former = context.current_task()
    kept = {name: os.environ.get(name) for name in environment(_CALL)}
    try:
        for _ in range(_TIMES):
            for task in tasks:
                _rehearse(task)
    finally:
        context.set_current_task(former)
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
    set_apart()


def set_apart() -> None:
    """Set apart what this process holds now: horses share it, and do not touch it in their garbage collections."""
    at_fork.shorten()
    gc.collect()
    gc.freeze()


def _short_tasks() -> list[Task]:
    """Return those that horses of this server execute in the short way."""
    if _performs_in_its_way() or not callbacks.none_here() or not isinstance(getattr(os.environ, "_data", None), dict):
        return []
    return [_CALL, _PICKLE] if "pickle" in sys.modules else [_CALL]


def _performs_in_its_way() -> bool:
    """Return whether plain jobs would be performed by code of the user's: a patched `Job`, or a job that this program is itself."""
    known = sys.modules.get("flowq.job")
    return known is not None and (context.current_handle() is not None or known.is_replaced(known.Job))


def _rehearse(task: Task) -> None:
    ours, theirs = Channel.pair()
    try:
        short = None if "sync" in task else shortened(0, task)
        ours.send(short or (0, task, {}), (1, 2))
        theirs.readable(0.0)
        message, pipes = theirs.first()
        if short is None or not horse.serve_short(theirs, message, pipes):
            horse.serve(theirs, "", (task, {}), pipes)
        ours.receive()
    finally:
        ours.close()
        theirs.close()
