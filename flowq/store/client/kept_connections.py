"""Connections that threads keep for their calls: a third of a client's time for a call goes to the pool otherwise."""

from __future__ import annotations

import os
import socket
import threading
import weakref
from typing import Any, Final

import redis

from flowq.store.client.short_wait import ShortWait

_MOST: Final = 4  # connections that the threads of a session keep; other threads take one of the pool for each call
_SHARE: Final = 8  # of so many connections that a pool allows, one is kept at most
_PLAIN: Final = "redis.connection"  # the others, of Sentinel and Cluster, look for their server when a connection is taken


class BorrowedConnection:
    """A connection of a pool, for one call at a time."""

    __slots__ = ("_clean", "_connection", "_pool", "process")

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._clean = True
        self._connection = pool.get_connection()
        self.process = os.getpid()

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
        """Give it back to the pool; in a fork, it is the parent's."""
        if self.process == os.getpid():
            self.settle()
            self._pool.release(self._connection)


class _Keeper:
    """What a thread has: its connection, and whether a call uses it now. The connection goes back to the pool with the thread, or with the session."""

    __slots__ = ("__weakref__", "away", "connection")

    def __init__(self, connection: BorrowedConnection, places: list[None]) -> None:
        self.connection = connection
        self.away = False
        weakref.finalize(self, _end, connection, places).atexit = False


class KeptConnections:
    """The connections of one session: each thread keeps one, as far as the pool has enough.

    A call from a signal handler while its thread waits for a reply takes another one.
    """

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._own = threading.local()
        plain = type(pool).__module__ == pool.connection_class.__module__ == _PLAIN
        self._places: list[None] = [None] * (min(_MOST, pool.max_connections // _SHARE) if plain else 0)

    def take(self) -> BorrowedConnection:
        """Return a connection for one call of this thread."""
        keeper: _Keeper | None = self._own.__dict__.get("keeper")
        if keeper is None or keeper.connection.process != os.getpid():
            self._own.keeper = keeper = None  # the place of the parent's is free in a fork
            connection = BorrowedConnection(self._pool)
            try:
                self._places.pop()
            except IndexError:
                return connection
            self._own.keeper = keeper = _Keeper(connection, self._places)
        elif keeper.away:
            return BorrowedConnection(self._pool)
        keeper.away = True
        return keeper.connection

    def give_back(self, connection: BorrowedConnection) -> None:
        """Take it back after the call."""
        keeper: _Keeper | None = self._own.keeper
        if keeper is not None and keeper.connection is connection:
            connection.settle()
            keeper.away = False
        else:
            connection.release()


def _end(connection: BorrowedConnection, places: list[None]) -> None:
    connection.release()
    places.append(None)
