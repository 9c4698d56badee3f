"""Pipelined calls of one script: the next calls are sent while the server executes this one.

The client prepares the next call before the reply to the last one, so client and server work at the same time. That needs calls that are safe
to send again and that refuse to be carried out in another order, as the chunks of a submission are: when a connection breaks, everything
that has no reply is sent again, one after the other. Where the session cannot spare a connection, each call waits for its reply.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, Final, TypeAlias, cast

import redis

from flowq.store.client.direct_calls import packed
from flowq.store.client.scripts import flatten, load
from flowq.store.client.session import Session

_UNDER_WAY: Final = 4  # calls without a reply

_Call: TypeAlias = list[str | bytes]  # the arguments, as flat texts


def run_ahead(
    session: Session, name: str, calls: Iterable[Sequence[object]], *, flat: bool = False, several: bool = False
) -> Iterator[Any]:
    """Call a script once for each of `calls` and yield the raw replies in order.

    Args:
        session: where to.
        name: of the script.
        calls: the arguments of each.
        flat: the arguments are flat texts already.
        several: there is more than one call, so the first is sent before it is known what the second has.

    Raises:
        DataLostError: the data was replaced and the session does not follow.
        ServerError: the server cannot be used.
    """
    prepared = (cast("_Call", arguments) if flat else flatten(arguments) for arguments in calls)
    begin = [] if several else [*islice(prepared, 2)]
    if len(begin) < 2 and not several:  # as most often: there is nothing to be ahead of
        for arguments in begin:
            yield session.run_flat(name, arguments)
        return
    lane = _Lane(session, name)
    try:
        for arguments in chain(begin, prepared):
            yield from lane.push(arguments)
        yield from lane.rest()
    finally:
        lane.close()


class _Lane:
    """A borrowed connection of the pool, and the calls in progress on it."""

    def __init__(self, session: Session, name: str) -> None:
        self._session = session
        self._name = name
        self._connection: Any = None
        self._waiting: deque[_Call] = deque()

    def push(self, arguments: _Call) -> Iterator[Any]:
        """Send a call; yield the replies that had to be read before."""
        if self._connection is None and not self._connect():
            # The session brings the script along, and knows what to do when the data or the server is not there.
            yield self._session.run_flat(self._name, arguments)
            return
        self._waiting.append(arguments)
        if not self._send(arguments):
            yield from self._one_by_one()
        elif len(self._waiting) >= _UNDER_WAY:
            yield from self._next()

    def rest(self) -> Iterator[Any]:
        """Yield the replies that are still to come."""
        while self._waiting:
            yield from self._next()

    def close(self) -> None:
        """Return the connection to the pool."""
        if self._connection is None:
            return
        if self._waiting:
            self._connection.disconnect()  # otherwise another caller would read these replies as its own
        self._session.client.connection_pool.release(self._connection)
        self._connection = None

    def _connect(self) -> bool:
        if not (self._session.incarnation and self._session.can_spare_connection):
            return False  # nothing has been asked of the server yet, or the session's own way has to be taken
        try:
            self._connection = self._session.client.connection_pool.get_connection()
        except (redis.exceptions.RedisError, OSError):
            return False
        return True

    def _send(self, arguments: _Call) -> bool:
        session = self._session
        head = (*session.command(load(self._name)), "1", session.keys("meta"), session.incarnation)
        try:
            self._connection.send_packed_command(packed(*head, *arguments))
        except (redis.exceptions.RedisError, OSError):
            return False
        return True

    def _next(self) -> Iterator[Any]:
        try:
            reply = self._connection.read_response()
        except (redis.exceptions.RedisError, OSError):  # an answer that is an error, too: the session knows what it means
            yield from self._one_by_one()
            return
        self._waiting.popleft()
        yield reply

    def _one_by_one(self) -> Iterator[Any]:
        self.close()
        while self._waiting:
            yield self._session.run_flat(self._name, self._waiting.popleft())
