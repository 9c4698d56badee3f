"""Which modules a fork server may hold imported ("warm"), so that its horses need not import them again.

A module is user code, and user code at import may hang, crash, open connections or start threads, none of which may happen in the
parent of all horses. So a probe child imports it first. Only when that ended well within a deadline, without sockets and
without a process and without a thread that is still there after a test fork (numpy's are not, a thread of the module's own is), the
server imports it too.

Where threads and sockets cannot be counted (no /proc) nothing is warmed.
"""

from __future__ import annotations

import os
import sys

from flowq.worker.fork_server.children import own_children
from flowq.worker.horse.own_process import OwnProcess
from flowq.worker.ipc import channel, platform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

_DEADLINE: Final = 5.0  # s a probe may take; a module that needs longer is better named with --preload
_WELL: Final = 0
_FAILED: Final = 1
_SOCKETS: Final = 2
_THREADS: Final = 3
_PROCESSES: Final = 4
_WHY: Final = {
    _FAILED: "its import failed",
    _SOCKETS: "its import opens sockets",
    _THREADS: "its import leaves a thread",
    _PROCESSES: "its import starts a process",
}


class ModulePreloader:
    """At most one probe at a time; further requests wait."""

    __slots__ = ("_module", "_waiting", "deadline", "pid")

    def __init__(self) -> None:
        self.pid: int | None = None
        self.deadline: float | None = None  # boot time
        self._module = ""
        self._waiting: list[str] = []

    def probe(self, module: str, become_child: Callable[[], None]) -> int | None:
        """Start a probe of `module` and return its pid; None if there is nothing to do (now)."""
        if self.pid is not None:
            self._waiting.append(module)
            return None
        if not os.path.isdir("/proc/self/fd"):
            return None
        try:
            pid = os.fork()
        except OSError:
            return None  # no process to spare: stay cold
        if pid == 0:
            try:
                become_child()
                _probe(module)
            finally:
                os._exit(_FAILED)
        self.pid = pid
        self.deadline = platform.boottime() + _DEADLINE
        self._module = module
        return pid

    def probed(self, pid: int, code: int) -> tuple[object, ...] | None:
        """Handle a probe's end: import the module here if it is harmless. Return the message for the supervisor."""
        if pid != self.pid:
            return None
        self.pid = self.deadline = None
        if code != _WELL:
            return (channel.COLD, self._module, _WHY.get(code, "its import takes too long or crashes"))
        try:
            with OwnProcess():
                __import__(self._module)
        except BaseException as error:  # noqa: BLE001 - the probe succeeded, but user code may fail the second time
            return (channel.COLD, self._module, f"its import failed: {error}")
        return (channel.WARMED, self._module, stamps())

    def waiting(self) -> str | None:
        """Return the next module that waits for a probe."""
        return self._waiting.pop(0) if self._waiting and self.pid is None else None

    def give_up(self) -> None:
        """Handle a probe that was killed at its deadline; its end will be reported as usual."""
        self.deadline = None


def stamps() -> dict[str, tuple[int, int]]:
    """Return `{file: (mtime in ns, size)}` of the loaded modules that may be edited: none of the interpreter, none installed."""
    fixed = tuple({os.path.join(prefix, "lib") + os.sep for prefix in (sys.prefix, sys.base_prefix, sys.exec_prefix)})
    own = platform.PACKAGE + os.sep
    found = {}
    for module in tuple(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not file or file.startswith(fixed) or file.startswith(own):
            continue
        try:
            state = os.stat(file)
        except OSError:
            continue  # in an archive, or gone: the next import would tell
        found[file] = (state.st_mtime_ns, state.st_size)
    return found


def unchanged(seen: dict[str, tuple[int, int]]) -> bool:
    """Return whether every file is unchanged. Takes about 1 us per file."""
    for file, stamp in seen.items():
        try:
            state = os.stat(file)
        except OSError:
            return False
        if (state.st_mtime_ns, state.st_size) != stamp:
            return False
    return True


def _probe(module: str) -> None:
    """Import the module in a child, check for side effects, and exit with the result."""
    code = _FAILED
    try:
        # what a module prints while it is imported belongs to jobs, and no job has asked for this import
        nowhere = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(nowhere, fd)
        sockets = _sockets()
        with OwnProcess():
            __import__(module)
        code = _verdict(sockets)
    except BaseException:  # noqa: BLE001 - any failure means "stay cold"; the horse of a job that needs the module will show it
        code = _FAILED
    finally:
        os._exit(code)


def _verdict(sockets_before: set[str]) -> int:
    if _sockets() - sockets_before:
        return _SOCKETS
    if own_children():
        return _PROCESSES
    pid = os.fork()  # libraries with thread pools stop them before a fork; what is there afterwards stays
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return _THREADS if platform.threads() > 1 else _WELL


def _sockets() -> set[str]:
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found
