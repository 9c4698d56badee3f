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
    "sync": True,  # as in the caller's process: the worker's hooks are not for it
}
_CALL: Final[Task] = {**_COMMON, "kind": "call", "module": "builtins", "attribute": "bool", "args": [], "kwargs": {}}
_PICKLE: Final[Task] = {
    **_COMMON,
    "kind": "pickle",
    "payload": b"\x80\x04\x95\x16\x00\x00\x00\x00\x00\x00\x00\x8c\rbuiltins.bool\x94)}\x94\x87\x94.",
}
_PLAIN: Final[Task] = {name: value for name, value in _PICKLE.items() if name != "sync"}


def sample() -> bytes:
    """Return a plain job that does nothing, for horses that wait (`Entrance.sample`); nothing where plain jobs are not executed in the short way."""
    usual = "pickle" in sys.modules and not _performs_in_its_way() and callbacks.none_here()
    return marshal.dumps(_PLAIN | {"run": None}) if usual else b""


def settle(*, again: bool = False) -> None:
    """Warm up this process, and set apart what it holds now: horses share it, and do not touch it in their garbage collections.

    `again`: after an import. There may be horses by now, which the end of a call would take for what it has left running.
    """
    tasks = [] if again else [_CALL]
    if "pickle" in sys.modules and not _performs_in_its_way():
        tasks.append(_PLAIN if callbacks.none_here() else _PICKLE)
    former = context.current_task()
    kept = {name: os.environ.get(name) for name in horse.environment(_CALL)}
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
    at_fork.shorten()
    gc.collect()
    gc.freeze()


def _performs_in_its_way() -> bool:
    """Return whether plain jobs would be performed by code of the user's: a patched `Job`, or a job that this program is itself."""
    known = sys.modules.get("flowq.job")
    return known is not None and (context.current_handle() is not None or known.is_replaced(known.Job))


def _rehearse(task: Task) -> None:
    ours, theirs = Channel.pair()
    try:
        ours.send((0, task, {}))
        (_, *given), pipes = theirs.first()
        horse.serve(theirs, "", given, pipes)
        ours.receive()
    finally:
        ours.close()
        theirs.close()
