"""Framed messages between supervisor, fork server and horse, with file descriptors attached.

A frame is a 4-byte length, one byte with the number of descriptors that travel with it, and a value in `marshal` form (the
cheapest codec there is for plain values between processes of one interpreter). The transport is a stream socket, because
datagrams end at about 200 kB and payloads and results do not. Descriptors ride on the first byte of their frame (SCM_RIGHTS).

The messages, their order and their deadlines are described in `flowq.worker.ipc`. `_socket` is used in place of `socket`:
the same type without the 8 ms that importing the wrapper costs each fork server.
"""

from __future__ import annotations

import _socket
import errno
import marshal
import os
import select
import sys
from collections import deque
from struct import Struct

from flowq.worker.ipc.platform import is_unread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Final

LANE: Final = "lane"
KILL: Final = "kill"
LEASE: Final = "lease"
WARM: Final = "warm"
HORSE: Final = "horse"
ENDED: Final = "ended"
READS: Final = "reads"
EXITED: Final = "exited"
FENCED: Final = "fenced"
NO_FORK: Final = "no_fork"
WARMED: Final = "warmed"
COLD: Final = "cold"

LOST: Final = -1
"""The value in place of a descriptor that this process could not receive, because it has too many open files."""

MAX_FRAME: Final = 64 * 1024 * 1024  # bytes; the largest legal payload or result is far below
_HEADER = 5
_PLAIN = 2  # the version of the format that interns no text: a horse would copy a page for each key of its task
_CHUNK = 64 * 1024  # bytes of one read; larger buffers come from mmap each time, which costs more than it saves
_SMALL = 960  # bytes of a read that most tasks fit in: the C library tidies up its whole heap, and copies pages, for a kilobyte and more
_MAX_FDS = 4
_FD_SIZE = 4  # bytes of a C int
_COUNTS = tuple(bytes((count,)) for count in range(_MAX_FDS + 1))
_SPACE = _socket.CMSG_SPACE(_MAX_FDS * _FD_SIZE)
_NOSIGNAL: int = getattr(_socket, "MSG_NOSIGNAL", 0)
_CLOEXEC: int = getattr(_socket, "MSG_CMSG_CLOEXEC", 0)
_DONTWAIT: int = _socket.MSG_DONTWAIT
_TRUNCATED: int = _socket.MSG_CTRUNC
_HEAD: Final = Struct("<IB")  # length and number of descriptors
_PAIR: Final = Struct("=ii")  # of descriptors


class PeerGoneError(Exception):
    """The other end has closed the channel or has died."""


class ProtocolError(Exception):
    """Bytes that are no frame: the peer is not flowq, or another process wrote to the socket."""


class Channel:
    """One end of a connection. Owns its socket; received descriptors belong to the caller.

    `receive` and `send` never block, `wait` and `drain` do: an event loop uses the first pair, a horse both.
    """

    __slots__ = ("_fds", "_in", "_out", "_socket")

    def __init__(self, sock: _socket.socket) -> None:
        self._socket = sock
        self._in = bytearray()
        self._fds: deque[int] = deque()
        self._out: deque[tuple[memoryview, tuple[int, ...]]] = deque()

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        """Return two connected channels."""
        one, other = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
        return cls(one), cls(other)

    @classmethod
    def adopt(cls, fd: int) -> Channel:
        """Return a channel over an inherited or received descriptor, which it then owns."""
        os.set_inheritable(fd, False)
        return cls(_socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, fd))

    def twin(self) -> Channel:
        """Return a channel on the number of this one's descriptor: for children, in which another socket has that number."""
        return Channel(_socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, self._socket.fileno()))

    def fileno(self) -> int:
        """Return the descriptor to poll; -1 after `close`."""
        return self._socket.fileno()

    @property
    def sending(self) -> bool:
        """Whether part of what was sent still waits for the socket to take it."""
        return bool(self._out)

    @property
    def partial(self) -> bool:
        """Whether the beginning of a message was received, or a descriptor."""
        return bool(self._in or self._fds)

    def readable(self, seconds: float) -> bool:
        """Wait for so long at most; return whether something has arrived."""
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        return bool(poller.poll(seconds * 1000))

    @property
    def unread(self) -> bool:
        """Whether the peer has not read all that was sent."""
        return self.sending or is_unread(self._socket)

    def send(self, message: Any, fds: Sequence[int] = ()) -> None:
        """Queue a message and write what the socket takes now.

        Descriptors go with the first byte: they must stay open until that is written, at the latest until `sending` is false.

        Raises:
            PeerGoneError: the other end is gone.
            ProtocolError: the message is larger than `MAX_FRAME`.
        """
        self._out.append((memoryview(framed(message, len(fds))), tuple(fds)))
        self._write(_DONTWAIT)

    def tell(self, message: Any) -> None:
        """Write a message without descriptors; block until it is written.

        Raises:
            PeerGoneError: the other end is gone.
            ProtocolError: the message is larger than `MAX_FRAME`.
        """
        frame = framed(message, 0)
        try:
            sent = 0 if self._out else self._socket.send(frame, _NOSIGNAL)
        except BlockingIOError:
            sent = 0
        except ConnectionError as error:
            raise PeerGoneError from error
        if sent < len(frame):
            self._out.append((memoryview(frame)[sent:], ()))
            self.drain()

    def flush(self) -> bool:
        """Write what the socket takes now; return whether all is written."""
        self._write(_DONTWAIT)
        return not self._out

    def drain(self) -> None:
        """Block until everything is written."""
        self._write(0)
        while self._out:
            self._block()
            self._write(0)

    def receive(self) -> list[tuple[Any, list[int]]]:
        """Return the complete messages that have arrived, each with its descriptors; does not block.

        Raises:
            PeerGoneError: the other end is gone and every complete message has been returned before.
            ProtocolError: what comes next is no message; those before it have been returned.
        """
        gone = False
        while (read := self._read(_DONTWAIT)) is not None:
            data, control, state = read
            if not (self._in or self._fds or control or state & _socket.MSG_CTRUNC) and _is_whole(data):
                return [(_loaded(data[_HEADER:]), [])]  # as most come
            self._take_in(data, control, state)
            if len(data) < _CHUNK:
                gone = not data
                break
        messages = self._messages() if self._in else []
        if gone and not messages:
            raise PeerGoneError
        return messages

    def wait(self) -> tuple[Any, list[int]]:
        """Block for one message.

        Raises:
            PeerGoneError: the other end is gone.
        """
        while True:
            message = self._next()
            if message is not None:
                return message
            read = self._read(0)
            if read is None:
                self._block()
            elif not read[0]:
                raise PeerGoneError
            else:
                self._take_in(*read)

    def first(self) -> tuple[Any, Sequence[int]]:
        """Block for the first message: as `wait`, with fewer steps for one that comes whole and with two descriptors, as a task does.

        Raises:
            PeerGoneError: the other end is gone.
        """
        try:
            data, control, state, _ = self._socket.recvmsg(_SMALL, _SPACE, _CLOEXEC)
        except OSError:
            return self.wait()
        if len(control) == 1 and not state & _TRUNCATED and len(data) > _HEADER and _CLOEXEC:
            size, count = _HEAD.unpack_from(data)
            rights = control[0][2]
            if size + _HEADER == len(data) and count == 2 and len(rights) == 2 * _FD_SIZE:
                return marshal.loads(data[_HEADER:]), _PAIR.unpack(rights)
        self._take_in(data, control, state)
        return self.wait()

    def _block(self) -> None:
        """Let calls block again: a former job of this stream has set it non-blocking, or set a timeout."""
        os.set_blocking(self._socket.fileno(), True)

    def close(self) -> None:
        """Close the socket and every received descriptor that was not taken."""
        while self._fds:
            if (fd := self._fds.popleft()) != LOST:
                os.close(fd)
        self._out.clear()
        self._socket.close()

    def _write(self, flags: int) -> None:
        while self._out:
            data, fds = self._out[0]
            try:
                if fds:
                    rights = b"".join(fd.to_bytes(_FD_SIZE, sys.byteorder) for fd in fds)
                    sent = self._socket.sendmsg((data,), ((_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights),), flags | _NOSIGNAL)
                else:
                    sent = self._socket.send(data, flags | _NOSIGNAL)
            except BlockingIOError:
                return
            except (BrokenPipeError, ConnectionError) as error:
                self._out.clear()
                raise PeerGoneError from error
            if sent == len(data):
                self._out.popleft()
            else:
                self._out[0] = (data[sent:], ())

    def _read(self, flags: int) -> tuple[bytes, list[tuple[int, int, bytes]], int] | None:
        """Read once. Return what `recvmsg` gives, no bytes at the end; None when nothing is there."""
        try:
            data, control, state, _ = self._socket.recvmsg(_CHUNK, _SPACE, flags | _CLOEXEC)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno in {errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN}:
                return b"", [], 0
            raise
        return data, control, state

    def _take_in(self, data: bytes, control: list[tuple[int, int, bytes]], state: int) -> None:
        for level, kind, rights in control:
            if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
                for start in range(0, len(rights) - len(rights) % _FD_SIZE, _FD_SIZE):
                    fd = int.from_bytes(rights[start : start + _FD_SIZE], sys.byteorder)
                    if not _CLOEXEC:
                        os.set_inheritable(fd, False)
                    self._fds.append(fd)
        if state & _socket.MSG_CTRUNC:
            self._fds.append(LOST)
        self._in += data

    def _messages(self) -> list[tuple[Any, list[int]]]:
        messages: list[tuple[Any, list[int]]] = []
        try:
            while (message := self._next()) is not None:
                messages.append(message)
        except ProtocolError:
            if not messages:
                raise
            self._end_input()
        return messages

    def _end_input(self) -> None:
        """Let the loop call `receive` again at once, which raises then: what came before the junk is told first, with its descriptors."""
        try:
            self._socket.shutdown(_socket.SHUT_RD)
        except OSError:
            return  # the peer is gone, so the end can be read

    def _next(self) -> tuple[Any, list[int]] | None:
        if len(self._in) < _HEADER:
            return None
        size = int.from_bytes(self._in[:4], "little")
        count = self._in[4]
        if size > MAX_FRAME or count > _MAX_FDS:
            raise ProtocolError("what arrived on a worker's channel is not a message")
        if len(self._in) < _HEADER + size:
            return None
        if count > len(self._fds):
            raise ProtocolError("a message arrived without its descriptors")
        message = _loaded(self._in[_HEADER : _HEADER + size])
        del self._in[: _HEADER + size]
        return message, [self._fds.popleft() for _ in range(count)] if count else []


def _is_whole(data: bytes) -> bool:
    """Return whether these bytes are a frame that no descriptor belongs to, and nothing else."""
    return len(data) > _HEADER and data[4] == 0 and int.from_bytes(data[:4], "little") == len(data) - _HEADER


def _loaded(body: bytes | bytearray) -> Any:
    try:
        return marshal.loads(body)
    except (ValueError, TypeError, EOFError) as error:
        raise ProtocolError("what arrived on a worker's channel is not a message") from error


def framed(message: Any, fds: int) -> bytes:
    """Return the frame of a message with so many descriptors.

    Raises:
        ProtocolError: the message is larger than `MAX_FRAME`.
    """
    body = marshal.dumps(message, _PLAIN)
    if len(body) > MAX_FRAME:
        raise ProtocolError(f"a message of {len(body)} bytes is larger than the limit of {MAX_FRAME}")
    return b"".join((len(body).to_bytes(4, "little"), _COUNTS[fds], body))
