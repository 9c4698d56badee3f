"""The event loop of a supervisor: descriptors with callbacks, nothing more. Single-threaded, like everything around it."""

from __future__ import annotations

import selectors
from collections.abc import Callable
from dataclasses import dataclass

from flowq.worker.ipc.write_order import WriteOrder


@dataclass(frozen=True, slots=True, eq=False)
class _Watch:
    """The callbacks of a descriptor. Compared by identity: a number is reused as soon as it is closed."""

    readable: Callable[[], None]
    writable: Callable[[], None] | None


class Loop:
    """A loop that calls back when descriptors can be read or written. The caller of `turn` keeps the times.

    `writes` gives the order of writes to watched pipes.
    """

    def __init__(self) -> None:
        self.writes = WriteOrder()
        self._selector = selectors.DefaultSelector()
        self._watches: dict[int, _Watch] = {}

    def watch(self, fd: int, readable: Callable[[], None], writable: Callable[[], None] | None = None) -> None:
        """Call `readable` whenever the descriptor can be read, and `writable` when asked for by `wants_write`."""
        watch = _Watch(readable, writable)
        self._watches[fd] = watch
        self._selector.register(fd, selectors.EVENT_READ, watch)

    def wants_write(self, fd: int, wanted: bool) -> None:
        """Set whether a watched descriptor has data to write."""
        watch = self._watches[fd]
        self._selector.modify(fd, selectors.EVENT_READ | (selectors.EVENT_WRITE if wanted else 0), watch)

    def forget(self, fd: int) -> None:
        """Stop watching; to be called before the descriptor is closed."""
        if self._watches.pop(fd, None) is not None:
            self._selector.unregister(fd)

    def turn(self, timeout: float | None) -> None:
        """Wait up to `timeout` seconds (None: without a limit) and call back for everything that is ready."""
        for key, events in self._selector.select(timeout):
            watch: _Watch = key.data
            # An earlier callback of this turn may have closed the descriptor, and its number may be in use again.
            if events & selectors.EVENT_WRITE and watch.writable is not None and self._watches.get(key.fd) is watch:
                watch.writable()
            if events & selectors.EVENT_READ and self._watches.get(key.fd) is watch:
                watch.readable()

    def close(self) -> None:
        """Release the kernel's part of the loop."""
        self._watches.clear()
        self._selector.close()
        self.writes.close()
