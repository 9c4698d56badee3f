"""HTTP on a connection: uvicorn's, with a deadline for the head of a request and an end that loses no answer.

A client that sends a byte a second holds no connection. One that is refused in the middle of its body (413) still reads the answer: a socket
closed with unread input is reset, and a reset discards what the client has not read yet (RFC 9112, 9.6). So the sending side is closed
first, and what still comes is discarded for a while.
"""

import asyncio
from typing import Any, Final, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD: Final = 10.0  # s for the head of a request
_LINGER: Final = 2.0  # s for which what comes after an early answer is discarded
_DISCARDED: Final = 16 * 2**20  # bytes of it


class Protocol(H11Protocol):
    """One connection."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin: the first request has to come soon."""
        super().connection_made(_Transport(transport, self))  # type: ignore[arg-type]
        self._arm()

    def data_received(self, data: bytes) -> None:
        """Take what has come; a head that has begun has to be complete soon."""
        if self.transport.is_closing():
            self._transport.discard(len(data))
            return
        super().data_received(data)
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._arm()
        elif self.conn.their_state is not h11.IDLE:
            self._disarm()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._disarm()
        self._transport.disarm()
        super().connection_lost(exc)

    def receives(self) -> bool:
        """Return whether a request has begun that has not come whole."""
        return self.conn.their_state in {h11.SEND_BODY, h11.ERROR}

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


class _Transport:
    """The transport of a connection, which is closed in two steps while a request is still coming."""

    def __init__(self, transport: Any, protocol: Protocol) -> None:
        self._transport = transport
        self._protocol = protocol
        self._left = _DISCARDED
        self._timer: asyncio.TimerHandle | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Return whether nothing is answered any more."""
        return self._timer is not None or self._transport.is_closing()

    def close(self) -> None:
        """Close, after the client has had time to read the answer."""
        if self.is_closing():
            return
        if not self._protocol.receives() or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._timer = self._protocol.loop.call_later(_LINGER, self._transport.close)
        self._transport.write_eof()
        self._transport.resume_reading()

    def discard(self, length: int) -> None:
        """Note bytes that came after the answer; close at once if there are too many."""
        self._left -= length
        if self._left < 0:
            self._transport.close()

    def disarm(self) -> None:
        """Forget the time at which to close."""
        if self._timer is not None:
            self._timer.cancel()
