"""The event loop of a supervisor: descriptors with callbacks, nothing more. Single-threaded, like everything around it."""

from __future__ import annotations

import math
import select
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from flowq.store.client.short_wait import look_until
from flowq.worker.ipc.write_order import WriteOrder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, Protocol

    class _Poller(Protocol):
        def register(self, fd: int, events: int, /) -> object: ...
        def modify(self, fd: int, events: int, /) -> object: ...
        def unregister(self, fd: int, /) -> object: ...


_READ: Final = select.POLLIN  # the numbers of EPOLLIN and the others are the same
_WRITE: Final = select.POLLOUT
_MOST: Final = 256  # descriptors of one turn; the others come in the next one


@dataclass(slots=True, eq=False)
class _Watch:
    """The callbacks of a descriptor. Compared by identity: a number is reused as soon as it is closed."""

    readable: Callable[[], None]
    writable: Callable[[], None] | None


class Loop:
    """A loop that calls back when descriptors can be read or written. The caller of `turn` keeps the times.

    `writes` gives the order of writes to watched pipes. `epoll` and `poll` are used as they are: the layer above them in `selectors` takes
    longer than they do.
    """

    def __init__(self) -> None:
        self.writes = WriteOrder()
        self._epoll = select.epoll() if hasattr(select, "epoll") else None
        self._poll = select.poll() if self._epoll is None else None
        self._poller: _Poller = self._epoll or self._poll  # type: ignore[assignment]
        self._watches: dict[int, _Watch] = {}
        self._awake_until = 0.0  # monotonic time
        self._writing: set[int] = set()  # descriptors that have data to write

    def watch(self, fd: int, readable: Callable[[], None], writable: Callable[[], None] | None = None) -> None:
        """Call `readable` whenever the descriptor can be read, and `writable` when asked for by `wants_write`."""
        self._poller.register(fd, _READ)
        self._watches[fd] = _Watch(readable, writable)

    def wants_write(self, fd: int, wanted: bool) -> None:
        """Set whether a watched descriptor has data to write."""
        self._poller.modify(fd, _READ | _WRITE if wanted else _READ)
        (self._writing.add if wanted else self._writing.discard)(fd)

    def forget(self, fd: int) -> None:
        """Stop watching; to be called before the descriptor is closed."""
        if self._watches.pop(fd, None) is not None:
            self._writing.discard(fd)
            with suppress(OSError):  # a job's program in this process has closed it
                self._poller.unregister(fd)

    def stay_awake(self, until: float) -> None:
        """Look without sleep until this monotonic time, 0 for not at all: something is expected soon."""
        self._awake_until = max(self._awake_until, until)

    def turn(self, timeout: float | None) -> None:
        """Wait up to `timeout` seconds (None: without a limit) and call back for everything that is ready."""
        if timeout == 0 and not self._watches:
            return
        for fd, events, watch in [(fd, events, self._watches.get(fd)) for fd, events in self._ready(timeout)]:
            # An earlier callback of this turn may have closed the descriptor, and its number may be in use again.
            if watch is None or self._watches.get(fd) is not watch:
                continue
            if events != _READ and fd in self._writing and watch.writable is not None:
                watch.writable()
            if events != _WRITE and self._watches.get(fd) is watch:
                watch.readable()

    def _ready(self, timeout: float | None) -> list[tuple[int, int]]:
        # rounded up to what the system knows: rounded down, it would be asked again and again until the time has come
        millis = None if timeout is None else math.ceil(timeout * 1000) if timeout > 0 else 0
        if self._epoll is not None:
            poll = self._epoll.poll
            if self._awake_until and millis != 0:
                if found := look_until(lambda: poll(0, _MOST), self._awake_until):
                    return found
                self._awake_until = 0.0
            return poll(None if millis is None else millis / 1000, _MOST)
        assert self._poll is not None
        return self._poll.poll(millis)

    def close(self) -> None:
        """Release the kernel's part of the loop."""
        self._watches.clear()
        if self._epoll is not None:
            self._epoll.close()
        self.writes.close()
