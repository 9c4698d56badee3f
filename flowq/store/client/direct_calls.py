"""Commands over connections of a client's pool, without the client.

The client looks at every word of a command, counts and measures: that takes as long as the server does. So does its pool, whose idle connections
are therefore taken and put back here. Nothing is kept between two calls: every connection is there for the calls of others.
"""
# ruff: noqa: SLF001 - neither a pool's idle connections nor a connection's socket are public

from __future__ import annotations

import os
import threading
from typing import Any, Final

import hiredis
import redis

from flowq.store.client.locking import taker
from flowq.store.client.short_wait import ShortWait

_PLAIN: Final = (
    "redis.connection"  # other classes, of Sentinel, of Cluster or of the user, have rules of their own for what is taken
)
_PARTS: Final = (
    "_lock",
    "_available_connections",
    "_in_use_connections",
    "pid",
)  # of a pool as redis-py makes it; from any other one connections are borrowed as usual
_CAN_MOVE: Final = hasattr(redis.Connection, "should_reconnect")  # a server may say that its data moves to another one
_LOST: Final = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError)


class _OfThread(threading.local):
    """What each thread has of its own."""

    def __init__(self) -> None:
        self.waits = ShortWait()


class DirectCalls:
    """The calls of one client's user. Any number of threads may call, also from signal handlers."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._pool: Any = client.connection_pool
        self._own = _OfThread()
        self._is_plain = _is_plain(self._pool)

    def execute_command(self, *command: str | bytes) -> Any:  # noqa: PLR0912 - in a helper it could be interrupted with a connection in its hands
        """Send a command and return its reply; if that is lost, with the retries of the client.

        A time limit or Ctrl+C may interrupt this anywhere: a connection is closed unless the whole reply was read, and put back. Python interrupts
        at calls, so there is none between the statements that move a connection; and none while the pool's lock is taken (`taker`).

        Raises:
            redis.exceptions.RedisError: the server refuses the command or cannot be reached.
        """
        pool, asked, clean = self._pool, False, False
        connection: Any = None
        lock: Any = pool._lock if self._is_plain else threading.Lock()
        before, after = taker(lock), taker(lock)
        try:
            if self._is_plain and pool.pid == os.getpid():
                [_] = before
                try:
                    if pool._available_connections:
                        connection = pool._available_connections[-1]
                        pool._in_use_connections |= {connection}
                        del pool._available_connections[-1]
                finally:
                    lock.release()
            if connection is None:
                connection = pool.get_connection()
            elif not _is_ready(connection, pool):
                connection.disconnect()
                connection.connect()
            asked = True
            reply = self._ask(connection, command)
            clean = not (_CAN_MOVE and connection.should_reconnect())
        except redis.exceptions.ResponseError:
            clean = True
            raise
        except _LOST:
            if not asked or not connection.retry.get_retries():  # to connect has been repeated
                raise
        else:
            return reply
        finally:
            if connection is not None:
                if not clean:
                    connection.disconnect()  # if that is interrupted too, no call gets the connection
                if self._is_plain and connection in pool._in_use_connections:
                    [_] = after
                    try:
                        pool._available_connections += (connection,)
                        pool._in_use_connections -= {connection}
                    finally:
                        lock.release()
                else:
                    pool.release(connection)
        return self._client.execute_command(*command)

    def _ask(self, connection: Any, command: tuple[str | bytes, ...]) -> Any:
        waits = self._own.waits
        try:
            connection.send_packed_command(packed(*command))
        except AttributeError as error:  # of redis-py, without a socket
            if connection._sock is not None:
                raise
            raise redis.exceptions.ConnectionError("another thread has closed the connection") from error
        waits.await_readable(connection._sock)
        reply = connection.read_response()
        waits.answered()
        return reply


def packed(*command: str | bytes) -> list[bytes]:
    """Return a command as it is sent; redis-py looks at each word of it before it does the same.

    Numbers have to be texts: hiredis crashes if a signal handler raises an error while it writes one.
    """
    return [hiredis.pack_command(command)]  # type: ignore[arg-type] # its annotation is that of one word


def _is_plain(pool: Any) -> bool:
    """Whether the idle connections of a pool can be taken from its list: nothing has to happen when one is put back, such as a new password."""
    known = type(pool) is redis.ConnectionPool and pool.connection_class.__module__ == _PLAIN
    return known and all(hasattr(pool, part) for part in _PARTS) and pool.connection_kwargs.get("credential_provider") is None


def _is_ready(connection: Any, pool: Any) -> bool:
    """Whether a connection can be used as it is: it stands, and no reply is left in it. News of the server's moves may be."""
    if connection._sock is None:
        return False
    try:
        unread = connection.can_read()
    except (redis.exceptions.RedisError, OSError):  # closed by the server
        return False
    return not unread or (_CAN_MOVE and bool(pool.maint_notifications_enabled()))
