"""The order of writes to the two output pipes of a job, as the kernel reports it.

A watch on a pipe (inotify) makes the kernel report each write in one queue for all pipes. Writes to one pipe with none to another between
them are one report until it was read. It exists on Linux; elsewhere there are no reports.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_IN_MODIFY = 0x2
_IN_Q_OVERFLOW = 0x4000
_REPORT = 4  # C ints of a report without a name: watch, kind, cookie, length of the name
_READ = 64 * 1024
MISSING = -1
"""A report in place of some that the kernel had no room for (it keeps 16,384)."""

if sys.platform == "linux":
    import ctypes

    _libc = ctypes.CDLL(None)

    class WriteOrder:
        """The reports of all watched pipes of a worker. Holds one descriptor, from the first watch on."""

        def __init__(self) -> None:
            self._fd: int | None = None
            self._reports: dict[int, list[int]] = {}  # by each watch of a group: the list that the group shares

        def watch(self, pipes: Sequence[int]) -> tuple[int, ...]:
            """Watch a group of pipes; return their watches, none if the system has no more to give."""
            if self._fd is None:
                self._fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
            if self._fd < 0:
                return ()
            watches = tuple(_libc.inotify_add_watch(self._fd, b"/proc/self/fd/%d" % pipe, _IN_MODIFY) for pipe in pipes)
            if min(watches) < 0:
                self.forget(watches)
                return ()
            group: list[int] = []
            self._reports.update(dict.fromkeys(watches, group))
            return watches

        def forget(self, watches: Sequence[int]) -> None:
            """Stop watching."""
            for watch in watches:
                self._reports.pop(watch, None)
                if self._fd is not None and watch >= 0:
                    _libc.inotify_rm_watch(self._fd, watch)

        def take(self, watches: Sequence[int]) -> list[int]:
            """Return the reports of a group since the last call, oldest first: which of its pipes was written to, as index, or `MISSING`."""
            while self._fd is not None and self._receive(self._fd):
                pass
            reports = self._reports[watches[0]]
            found = [MISSING if watch == MISSING else watches.index(watch) for watch in reports]
            reports.clear()
            return found

        def close(self) -> None:
            """Close the descriptor."""
            if self._fd is not None and self._fd >= 0:
                os.close(self._fd)
            self._fd = None

        def _receive(self, fd: int) -> bool:
            """Read once; return whether there may be more."""
            try:
                data = os.read(fd, _READ)
            except BlockingIOError:
                return False
            numbers = memoryview(data).cast("i")
            for watch, kind in zip(numbers[::_REPORT].tolist(), numbers[1::_REPORT].tolist(), strict=True):
                if kind == _IN_MODIFY and watch in self._reports:
                    self._reports[watch].append(watch)
                elif kind & _IN_Q_OVERFLOW:
                    for group in {id(reports): reports for reports in self._reports.values()}.values():
                        group.append(MISSING)
            return len(data) == _READ

else:

    class WriteOrder:
        """A stand-in: this system does not report the order of writes."""

        def watch(self, pipes: Sequence[int]) -> tuple[int, ...]:  # noqa: ARG002 - as on Linux
            """Return no watches."""
            return ()

        def forget(self, watches: Sequence[int]) -> None:
            """Do nothing."""

        def take(self, watches: Sequence[int]) -> list[int]:  # noqa: ARG002 - as on Linux
            """Return no reports."""
            return []

        def close(self) -> None:
            """Do nothing."""
