"""The at-fork hooks of `threading` and `logging`, which a fork server need not run in each of its children.

They put right what other threads held or were at the moment of the fork. A fork server has no other threads, so in its children there is
nothing to put right, and the walk over all threads and handlers copies more than two hundred pages. The hooks cannot be unregistered, so
the code of their functions is replaced. A child gets it back first of all: a job that forks has threads perhaps.
"""

from __future__ import annotations

import sys

from flowq.worker.ipc import platform

TYPE_CHECKING = False
if TYPE_CHECKING:
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
