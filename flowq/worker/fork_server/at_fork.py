"""At-fork hooks: those of `threading` and `logging`, which a fork server need not run in each of its children, and those of users.

The former put right what other threads held or were at the moment of the fork. A fork server has no other threads, so in its children there is
nothing to put right, and the walk over all threads and handlers copies more than two hundred pages. The hooks cannot be unregistered, so
the code of their functions is replaced. A child gets it back first of all: a job that forks has threads perhaps.
"""

from __future__ import annotations

import gc
import os
import sys

from flowq.worker.ipc import platform
from flowq.worker.ipc.channel import PeerGoneError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType
    from typing import Any, Final


def _nothing() -> None:
    """Do nothing."""


def _only_its_lock() -> None:
    """Renew the lock that `logging` itself takes before each fork; executed with that module's names."""
    _lock._at_fork_reinit()  # type: ignore[name-defined] # noqa: F821, SLF001


_SHORT: Final[dict[tuple[str, str], CodeType]] = {
    ("threading", "_after_fork"): _nothing.__code__,
    ("logging", "_after_at_fork_child_reinit_locks"): _only_its_lock.__code__,
}
_HARMLESS: Final = frozenset(
    ("concurrent.futures.thread", "logging", "random", "threading")
)  # modules with hooks that wait for nothing here
_OF_FUTURES: Final = ("_global_shutdown_lock", "_threads_queues")  # objects of the first of them, whose methods are its hooks
_LISTS: Final = 3  # before a fork, after it in the child, and in the parent
replaced: list[tuple[Any, CodeType]] = []
"""The functions that are shortened now, each with the code that is its own."""


def shorten() -> None:
    """Shorten the hooks of the modules that are imported by now, if this process has one thread; else let them be as they are."""
    restore()
    if platform.threads() != 1:
        return
    for (module, name), code in _SHORT.items():
        function = getattr(sys.modules.get(module), name, None)
        if function is not None:
            replaced.append((function, function.__code__))
            function.__code__ = code


def restore() -> None:
    """Give the hooks their own code again."""
    while replaced:
        function, code = replaced.pop()
        function.__code__ = code


def program_has_some() -> bool:
    """Return whether the program that this process is a copy of has hooks that may hang; True if that cannot be told.

    Python has no call for the lists of hooks. So one more hook is registered: the lists are what refers to it.
    """

    def mark() -> None:
        """Do nothing."""

    os.register_at_fork(before=mark, after_in_child=mark, after_in_parent=mark)
    lists = [found for found in gc.get_referrers(mark) if type(found) is list]
    for hooks in lists:
        hooks.remove(mark)
    return len(lists) != _LISTS or not all(_is_harmless(hook) for hooks in lists for hook in hooks)


def _is_harmless(hook: Any) -> bool:
    futures = sys.modules.get("concurrent.futures.thread")
    if any(getattr(hook, "__self__", None) is getattr(futures, name, hook) for name in _OF_FUTURES):
        return True
    return getattr(hook, "__module__", None) in _HARMLESS


class UserCode:
    """Context manager for code of users in a fork server: an import, a hook at a fork. It may hang, and the server ends with its parent then.

    `hooks`: an import has registered a hook, which may hang at any fork. Python does not tell which hooks there are, so the function that
    registers them is another one meanwhile.

    Raises:
        PeerGoneError: the parent has ended before.
    """

    __slots__ = ("_parent", "_register", "hooks")

    def __init__(self) -> None:
        self._parent = os.getppid()
        self._register: Any = os.register_at_fork
        self.hooks = False

    def __enter__(self) -> None:
        self._tie()
        os.register_at_fork = self._registers  # type: ignore[assignment]

    def __exit__(self, *_: object) -> None:
        os.register_at_fork = self._register
        platform.end_with_parent(False)  # at any other time it sees the end of its control channel, and sweeps before it ends

    def fork(self) -> int:
        """Fork as `os.fork` does, with the hooks of users."""
        if not self.hooks:
            return os.fork()
        self._tie()
        try:
            pid = os.fork()
        finally:
            platform.end_with_parent(False)
        return pid

    def _tie(self) -> None:
        platform.end_with_parent(True)
        if os.getppid() != self._parent:
            platform.end_with_parent(False)
            raise PeerGoneError

    def _registers(self, **hooks: Callable[..., Any]) -> None:
        self.hooks = self.hooks or sys._getframe(1).f_globals.get("__name__") not in _HARMLESS  # noqa: SLF001
        self._register(**hooks)
