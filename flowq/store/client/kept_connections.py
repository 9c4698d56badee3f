"""Connections that threads keep for their calls: a third of a client's time for a call goes to the pool otherwise."""

from __future__ import annotations

import os
import socket
import threading
from typing import Any, Final

import redis

from flowq.store.client.short_wait import ShortWait

_MOST: Final = 4  # connections that the threads of a session keep; other threads take one of the pool for each call
_SHARE: Final = 8  # of so many connections that a pool allows, one is kept at most
_PLAIN: Final = (
    "redis.connection"  # pools and connections of elsewhere look for another server when one is taken: Sentinel, Cluster
)


class KeptConnection:
    """A connection of a pool, for one call at a time.

    `kept`: a thread has it between its calls, until the thread or the session ends; else it goes back to the pool. `places`: one for each that can be kept.
    """

    __slots__ = ("_clean", "_connection", "_places", "_pool", "kept", "process")

    def __init__(self, pool: Any, places: list[None]) -> None:
        self._pool = pool
        self._places = places
        self._clean = True
        self._connection: Any = None
        self.process = os.getpid()
        try:
            places.pop()
            self.kept = True
        except IndexError:
            self.kept = False
        self._connection = pool.get_connection()

    @property
    def retries(self) -> bool:
        """Whether the user wants calls to be repeated that were lost."""
        return bool(self._connection.retry.get_retries())

    def ask(self, command: list[bytes], waits: ShortWait) -> Any:
        """Send a command, packed, and return the reply; any error but a refusal disconnects."""
        connection = self._connection
        self._clean = False  # until the whole reply was read: a time limit or Ctrl+C may interrupt this anywhere
        connection.send_packed_command(command)  # which connects again after an error
        sock = connection._sock  # noqa: SLF001 - no public way to the socket
        if type(sock) is socket.socket:  # what others have received may be in the memory of this process already
            waits.await_readable(sock.fileno())
        try:
            reply = connection.read_response()
        except redis.exceptions.ResponseError:
            self._clean = True
            raise
        finally:
            waits.answered()
        self._clean = True
        return reply

    def settle(self) -> None:
        """Make sure that the next call reads no reply of the last one."""
        if not self._clean:
            self._connection.disconnect()
            self._clean = True

    def release(self) -> None:
        """Give the connection back to the pool, once."""
        connection, self._connection = self._connection, None
        if connection is not None and self.process == os.getpid():  # else it is the parent's
            if not self._clean:
                connection.disconnect()
            self._pool.release(connection)
        if self.kept:
            self.kept = False
            self._places.append(None)

    def __del__(self) -> None:
        self.release()


class KeptConnections:
    """The connections of one session: each thread has one, as far as the pool has enough.

    A connection is away while a call uses it, so that a call from a signal handler meanwhile gets another one.
    """

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._own = threading.local()
        plain = type(pool).__module__ == pool.connection_class.__module__ == _PLAIN
        self._places: list[None] = [None] * (min(_MOST, pool.max_connections // _SHARE) if plain else 0)

    def take(self) -> KeptConnection:
        """Return a connection for one call of this thread."""
        kept: KeptConnection | None = self._own.__dict__.pop("kept", None)
        if kept is not None:
            if kept.process == os.getpid():
                return kept
            kept.release()
        return KeptConnection(self._pool, self._places)

    def give_back(self, connection: KeptConnection) -> None:
        """Take it back after the call."""
        connection.settle()
        if connection.kept and "kept" not in self._own.__dict__:
            self._own.kept = connection
        else:
            connection.release()
