"""HTTP on a connection: uvicorn's, with deadlines for what a client has to send or take, and an end that loses no answer.

A client that sends a byte a second holds no connection, nor does one that has its answer and does not complete its body, or one that does not
read: without deadlines, a thousand of these would keep all others out, and none of them needs credentials. One that is refused in the middle of its body (413) still reads the answer: a socket
closed with unread input is reset, and a reset discards what the client has not read yet (RFC 9112, 9.6). So the sending side is closed
first, and what still comes is discarded for a while.

There are never more connections than descriptors for them: where a process has none left, asyncio's `accept` writes a traceback for each
connection that waits, thousands in a second.
"""

import asyncio
import resource
from typing import Any, ClassVar, Final, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD: Final = 10.0  # s for the head of a request, and for the rest of a body that has been answered
STALLED: Final = 60.0  # s in which a client has to take some of what waits for it
AT_ONCE: Final = 16
"""Connections that are accepted at once. Some such batches are under way before the first of them is known, and closed, here."""

_MOST: Final = 1064  # connections; beyond a thousand they are told so
_OTHERS: Final = (
    64 + 8 * AT_ONCE
)  # descriptors that are left for connections to the store, files, and what has just been accepted
_LINGER: Final = 2.0  # s for which what comes after an early answer is discarded
_DISCARDED: Final = 16 * 2**20  # bytes of it


class Protocol(H11Protocol):
    """One connection."""

    _deadline: asyncio.TimerHandle | None = None
    _open: ClassVar[int] = 0  # connections of all servers of the process

    def connection_made(self, transport: Any) -> None:
        """Begin, unless there are too many already: the first request has to come soon."""
        super().connection_made(_Transport(transport, self))  # type: ignore[arg-type]
        Protocol._open += 1
        if Protocol._open > _most():
            self._transport.abort()
        else:
            self._arm()

    def data_received(self, data: bytes) -> None:
        """Take what has come; a head that has begun has to be complete soon, and so has the rest of a body that was answered."""
        if self.transport.is_closing():
            self._transport.discard(len(data))
            return
        super().data_received(data)  # which also forgets until when an idle connection may stay
        if self.conn.their_state is h11.IDLE or self._is_answered_early():
            self._arm()
        else:
            self._disarm()

    def on_response_complete(self) -> None:
        """Go on with the next request; the rest of the body of one that was answered before it had come has to come soon."""
        super().on_response_complete()
        if self._is_answered_early():
            self._arm()

    def pause_writing(self) -> None:
        """Wait until the client has read, but no longer than `STALLED` without any progress."""
        super().pause_writing()
        self._transport.watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        Protocol._open -= 1
        self._disarm()
        self._transport.lost()
        super().connection_lost(exc)

    def receives(self) -> bool:
        """Return whether a request has begun that has not come whole."""
        return self.conn.their_state in {h11.SEND_BODY, h11.ERROR}

    def _is_answered_early(self) -> bool:
        return self.receives() and self.conn.our_state is not h11.SEND_RESPONSE and self.conn.our_state is not h11.SEND_BODY

    @property
    def _transport(self) -> "_Transport":
        return cast("_Transport", self.transport)

    def _arm(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEAD, self.transport.close)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _most() -> int:
    """Return how many connections there may be. The limit of descriptors can be changed from outside (`prlimit`)."""
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _MOST if descriptors == resource.RLIM_INFINITY else min(_MOST, max(descriptors - _OTHERS, 16))


class _Transport:
    """The transport of a connection, which is closed in two steps while a request is still coming, and ends when nothing can be sent."""

    def __init__(self, transport: Any, protocol: Protocol) -> None:
        self._transport = transport
        self._protocol = protocol
        self._left = _DISCARDED
        self._timer: asyncio.TimerHandle | None = None
        self._written = 0
        self._taken = -1  # bytes that had been sent at the last look
        self._look: asyncio.TimerHandle | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Return whether nothing is answered any more."""
        return self._timer is not None or self._transport.is_closing()

    def close(self) -> None:
        """Close, after the client has had time to read the answer."""
        if self.is_closing():
            return
        self.watch()  # it stays open until all is sent
        if not self._protocol.receives() or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._timer = self._protocol.loop.call_later(_LINGER, self._transport.close)
        self._transport.write_eof()
        self._transport.resume_reading()

    def write(self, data: bytes) -> None:
        """Send, as soon as the client takes it."""
        self._written += len(data)
        self._transport.write(data)

    def watch(self) -> None:
        """End the connection, whatever waits for the client, once it has taken nothing for a while."""
        if self._look is None:
            self._taken = self._written - self._transport.get_write_buffer_size()
            self._look = self._protocol.loop.call_later(STALLED, self._watched)

    def discard(self, length: int) -> None:
        """Note bytes that came after the answer; close at once if there are too many."""
        self._left -= length
        if self._left < 0:
            self._transport.close()

    def lost(self) -> None:
        """Forget the times at which to close."""
        for timer in (self._timer, self._look):
            if timer is not None:
                timer.cancel()

    def _watched(self) -> None:
        self._look = None
        waiting = self._transport.get_write_buffer_size()
        if waiting and self._written - waiting == self._taken:
            self._transport.abort()
        elif waiting:
            self.watch()
