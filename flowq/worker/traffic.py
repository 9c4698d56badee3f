"""The worker's connections as the loop sees them: one request at a time, hints, calls, and coming back after a loss."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from flowq.exceptions import DataLostError, ServerError, ServerUnavailableError
from flowq.store.outcomes import StepReply, TickReply, Verdict

if TYPE_CHECKING:
    from flowq.store.link import Link, Waiter
    from flowq.worker.loop import Loop

_log = logging.getLogger("flowq.worker")
_FIRST_PAUSE: Final = 0.05  # s before the first attempt to reconnect
_LONGEST_PAUSE: Final = 2.0


class Traffic:
    """Owns the link and the two waiters: one armed on the hints of queues, one always armed on calls to this worker.

    A waiter that blocks cannot be told other queues; calls must come through while every slot is busy. So there are two.
    """

    def __init__(self, loop: Loop, link: Link, hints: Waiter, calls: Waiter) -> None:
        self.on_reply: Callable[[StepReply | TickReply | list[Verdict]], None] = lambda _reply: None
        self.on_refused: Callable[[ServerError], None] = lambda _error: None
        self.on_hint: Callable[[str], None] = lambda _queue: None
        self._loop = loop
        self._link = link
        self._hints = hints
        self._calls = calls
        self._pause = _FIRST_PAUSE
        self._again: float | None = None  # monotonic time of the next attempt to connect; None while connected
        self._watched: list[int] = []

    def connect(self) -> None:
        """Connect for the first time.

        Raises:
            ServerError: the server cannot be used.
        """
        self._link.connect()
        self._hints.connect()
        self._calls.connect()
        self._watch()

    @property
    def online(self) -> bool:
        """Whether the connections stand, as far as known."""
        return self._again is None

    @property
    def ready(self) -> bool:
        """Whether a request can be sent."""
        return self._again is None and not self._link.busy

    @property
    def again(self) -> float | None:
        """The monotonic time of the next attempt to connect, None while connected."""
        return self._again

    def send(self, request: Callable[[Link], None]) -> None:
        """Send a request through the link; it is sent again by itself if the connection is lost."""
        try:
            request(self._link)
        except ServerUnavailableError as error:
            self._lost(error)

    def arm(self, queues: Sequence[str]) -> None:
        """Wait for a hint of one of the queues, unless that is so already."""
        if self._again is None and not self._hints.armed:
            try:
                self._hints.arm(queues)
            except ServerUnavailableError as error:
                self._lost(error)

    def tick(self) -> None:
        """Try to connect again, when it is time for that."""
        if self._again is None or time.monotonic() < self._again:
            return
        try:
            self._link.reconnect()
            self._hints.connect()
            self._calls.connect()
            self._watch()
        except DataLostError:
            raise
        except ServerError:
            self._forget()
            self._pause = min(_LONGEST_PAUSE, self._pause * 2)
            self._again = time.monotonic() + self._pause * random.uniform(0.5, 1.0)  # noqa: S311 - spreads workers, hides nothing
            return
        _log.warning("connected to the server again")
        self._again = None
        self._pause = _FIRST_PAUSE

    def close(self) -> None:
        """Close everything."""
        self._forget()
        for connection in (self._link, self._hints, self._calls):
            connection.close()

    def _watch(self) -> None:
        for fd, callback in (
            (self._link.fileno(), self._read_link),
            (self._hints.fileno(), self._read_hints),
            (self._calls.fileno(), self._read_calls),
        ):
            self._loop.watch(fd, callback)
            self._watched.append(fd)
        self._calls.arm(())

    def _forget(self) -> None:
        while self._watched:
            self._loop.forget(self._watched.pop())

    def _lost(self, error: ServerError) -> None:
        if self._again is None:
            _log.warning("%s; running jobs go on, trying to reconnect", error)
            self._again = time.monotonic() + self._pause
        self._forget()

    def _read_link(self) -> None:
        try:
            reply = self._link.receive()
        except DataLostError:
            raise
        except ServerError as error:
            if not self._link.busy:
                self.on_refused(error)  # the request was answered, with an error; a lost one is sent again by the link
            if isinstance(error, ServerUnavailableError):
                self._lost(error)
            return
        if reply is not None:
            self.on_reply(reply)

    def _read_hints(self) -> None:
        try:
            queue = self._hints.receive()
        except ServerError as error:
            self._lost(error)
            return
        if queue is not None:
            self.on_hint(queue)

    def _read_calls(self) -> None:
        try:
            call = self._calls.receive()
            if not self._calls.armed:
                self._calls.arm(())
        except ServerError as error:
            self._lost(error)
            return
        if call is not None:
            self.on_hint(call)
