"""Many calls of one script, the next ones under way while the server works on this one.

What is sent has no reply yet when the next call is made ready, so client and server work at the same time. That needs calls that are safe
to send again and that refuse to be carried out in another order, as the chunks of a submission are: when a connection breaks, everything
that has no reply is sent again, one after the other.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import redis

from flowq.store.scripts import flatten, load
from flowq.store.session import Session

_UNDER_WAY: Final = 4  # calls without a reply


def run_ahead(session: Session, name: str, calls: Iterable[Sequence[object]]) -> Iterator[Any]:
    """Call a script once for each of `calls` and yield the raw replies in order.

    Raises:
        DataLostError: the data was replaced and the session does not follow.
        ServerError: the server cannot be used.
    """
    lane: _Lane | None = None
    waiting: deque[Sequence[object]] = deque()
    try:
        for arguments in calls:
            if lane is None:
                yield session.run(name, *arguments)  # knows what to do about a script or data that are not there
                lane = _Lane(session, name)
                continue
            waiting.append(arguments)
            if lane.send(arguments) and len(waiting) < _UNDER_WAY:
                continue
            reply = lane.receive()
            if reply is not None:
                waiting.popleft()
                yield reply
                continue
            lane.close()
            lane = None
            while waiting:
                yield session.run(name, *waiting.popleft())
        while waiting:
            reply = None if lane is None else lane.receive()
            arguments = waiting.popleft()
            if reply is None and lane is not None:
                lane.close()
                lane = None
            yield session.run(name, *arguments) if reply is None else reply
    finally:
        if lane is not None:
            lane.close(idle=not waiting)


class _Lane:
    """One connection of the pool, while it is ours."""

    def __init__(self, session: Session, name: str) -> None:
        self._session = session
        self._script = load(name)
        self._pool = session.client.connection_pool
        self._connection: Any = None

    def send(self, arguments: Sequence[object]) -> bool:
        """Send a call; return whether that was possible."""
        head = ("EVALSHA", self._script.sha, 1, self._session.keys("meta"), self._session.incarnation)
        try:
            if self._connection is None:
                self._connection = self._pool.get_connection()
            self._connection.send_command(*head, *flatten(arguments))
        except (redis.exceptions.RedisError, OSError):
            return False
        return True

    def receive(self) -> Any:
        """Return the next reply, None when there is none to be had: the connection broke, or the answer is an error."""
        try:
            return None if self._connection is None else self._connection.read_response()
        except (redis.exceptions.RedisError, OSError):
            return None

    def close(self, *, idle: bool = False) -> None:
        """Give the connection back; `idle` when every call has its reply."""
        if self._connection is not None:
            if not idle:
                self._connection.disconnect()
            self._pool.release(self._connection)
