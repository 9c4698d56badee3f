"""A worker's connections, made for an event loop: nothing here waits for the server.

`WorkerConnection` carries transitions, one request at a time: send it, go on with other work while it is under way, `receive` when the
descriptor is readable. redis-py makes the connection (authentication, TLS, Sentinel); commands are packed, and replies parsed as they arrive, by
hiredis. A lost connection raises `ServerUnavailableError`; the request stays with the link, and after `reconnect` it
is sent again as it was, which is safe because transitions are idempotent.

`WakeupConnection` is the second connection. It blocks in BLPOP on hint keys, so an idle worker costs the server nothing until a job is queued.
"""

import math
import select
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import hiredis
import redis

from flowq import defaults
from flowq.exceptions import ServerUnavailableError
from flowq.plan.bulk import record
from flowq.store.client.cluster import SlotConnection
from flowq.store.client.direct_calls import packed
from flowq.store.client.errors import translate
from flowq.store.client.scripts import Script, flatten, load
from flowq.store.client.session import Session, data_lost
from flowq.store.schema.outcomes import BeatReply, ExchangeReply, ExecutionReport, LogLines, SweepReply
from flowq.store.schema.records import Registration
from flowq.store.schema.replies import (
    exchange_arguments,
    heartbeat_arguments,
    read_beat,
    read_exchange,
    read_sweep,
    sweep_arguments,
)

_READ: Final = 65536
_WAIT: Final = 30  # s of one BLPOP; then it is armed again, so that a dead connection is noticed
_SILENCE: Final = 30.0  # s without an answer after which a connection counts as lost: its other end may be gone, and no one has told this machine
_LATE: Final = 10.0  # s likewise, beyond the time in which one that waits is answered
_TIMES: Final = ("socket_timeout", "socket_connect_timeout")

Reply: TypeAlias = ExchangeReply | SweepReply | BeatReply


def is_stand_in(session: Session) -> bool:
    """Return whether the server is a stand-in in the memory of this process, such as fakeredis: its connections have no sockets."""
    if not session.may_be_stand_in:
        return False
    wire = _Wire(session)
    wire.connect()
    try:
        return not wire.has_socket
    finally:
        wire.close()


class _Wire:
    """One connection of redis-py, read with hiredis as bytes arrive."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._connection: Any = None
        self._reader: Any = None
        self._pending_reads = False

    def connect(self) -> None:
        """(Re)connect; blocks at most for the connect time-out, and as long again for the first answers of a server that has accepted."""
        self.close()
        with self._session.translated:
            pool = self._session.client.connection_pool
            settings = pool.connection_kwargs
            times = [settings[name] for name in _TIMES if settings.get(name) is not None]
            # Outside the pool: it belongs to this object permanently.
            connection = pool.connection_class(**{**settings, "socket_timeout": min(times)} if times else settings)
            connection.connect()
        self._connection = connection
        if self.has_socket:
            connection._sock.settimeout(settings.get("socket_timeout"))  # noqa: SLF001 - no public way to the socket
        self._reader = hiredis.Reader(replyError=redis.exceptions.ResponseError, notEnoughData=Ellipsis)

    def close(self) -> None:
        """Drop the connection; a request in progress is lost."""
        if self._connection is not None:
            self._connection.disconnect()
        self._connection = self._reader = None

    @property
    def has_socket(self) -> bool:
        """Whether it is connected by a socket."""
        return isinstance(getattr(self._connection, "_sock", None), socket.socket)

    def fileno(self) -> int:
        """Return the socket's descriptor, -1 while not connected."""
        return -1 if self._connection is None else int(self._connection._sock.fileno())  # noqa: SLF001 - no public way to the socket

    def send(self, *command: str | bytes) -> None:
        """Send one command."""
        if self._connection is None:
            raise ServerUnavailableError("the connection to the server was lost")
        with self._session.translated:
            self._connection.send_packed_command(packed(*command), check_health=False)

    def receive(self) -> Any:
        """Read what has arrived; return one reply, or Ellipsis when it is not complete yet. Error replies are returned, not raised."""
        if self._connection is None:
            raise ServerUnavailableError("the connection to the server was lost")
        try:
            data = self._connection._sock.recv(_READ)  # noqa: SLF001
        except (BlockingIOError, TimeoutError):
            return Ellipsis
        except OSError as error:
            raise ServerUnavailableError(f"the connection to the server was lost: {error}") from error
        if not data:
            raise ServerUnavailableError("the server closed the connection")
        self._reader.feed(data)
        reply = self._reader.gets()
        if isinstance(reply, redis.exceptions.ResponseError):
            if isinstance(self._connection, SlotConnection):
                self._check_moved(self._connection, str(reply))
            elif str(reply).startswith("READONLY ") and hasattr(self._connection, "connection_pool"):
                # A Sentinel has led here, and does not any more, or not for long: the next connection asks it again.
                raise ServerUnavailableError(f"the server is a replica now ({reply})")
        return reply

    def _check_moved(self, connection: SlotConnection, answer: str) -> None:
        """Treat a redirection to another node of a cluster as a lost connection: the next one goes there."""
        if answer.startswith(("MOVED ", "ASK ")):
            connection.moved()
            raise ServerUnavailableError(f"the namespace is on another node of the cluster now ({answer})")


@record
class _Request:
    script: Script
    arguments: list[str | bytes]
    parse: Callable[[Any], Reply]


class WorkerConnection:
    """The connection over which one worker makes its transitions.

    Args:
        session: its `follow` must be False: a worker must not act on replaced data.
        worker: the worker's name.
        lease: seconds that a claimed job stays ours without a beat.
    """

    def __init__(self, session: Session, worker: str, lease: float = defaults.LEASE) -> None:
        self._session = session
        self._wire = _Wire(session)
        self._worker = worker
        self.lease = lease
        self._lease_ms = int(lease * 1000)
        self._request: _Request | None = None
        self.answer_by = math.inf  # monotonic time at which the answer is overdue

    @property
    def busy(self) -> bool:
        """Whether a request is under way (or waits to be sent again after `reconnect`)."""
        return self._request is not None

    def fileno(self) -> int:
        """Return the descriptor to watch for reading, -1 while not connected."""
        return self._wire.fileno()

    def connect(self) -> None:
        """Connect for the first time.

        Raises:
            ServerError: the server cannot be used.
        """
        if not self._session.incarnation:
            self._session.open()
        self._wire.connect()

    def reconnect(self) -> None:
        """Connect again and send the request that was under way once more."""
        self._wire.connect()
        self.answer_by = math.inf
        if self._request is not None:
            self._transmit(self._request)

    def close(self) -> None:
        """Close the connection."""
        self._wire.close()

    def exchange(
        self,
        queues: Sequence[str],
        *,
        logs: Sequence[LogLines] = (),
        ended: Sequence[ExecutionReport] = (),
        claims: Sequence[str] = (),
    ) -> None:
        """Send an exchange: captured output, ended executions, and a claim for each free slot (`claims`: fresh ids of 96 random bits).

        `receive` gives an `ExchangeReply`.
        """
        flat = exchange_arguments(self._worker, self._lease_ms, queues, logs=logs, ended=ended, claims=claims)
        self._send(_Request(load("worker/exchange"), flatten(flat), read_exchange))

    def heartbeat(
        self,
        worker: Registration,
        state: str,
        executions: Sequence[tuple[str, str]],
        counters: tuple[int, int, int] = (0, 0, 0),
    ) -> None:
        """Send a heartbeat with the `(job id, token)` of each running execution; `receive` gives a `BeatReply`.

        `worker` and `counters` as in `heartbeat_arguments`.
        """
        flat = heartbeat_arguments(worker, state, counters=counters, executions=executions)
        self._send(_Request(load("worker/heartbeat"), flatten(flat), read_beat))

    def sweep(self, queues: Sequence[str] = (), *, in_turn: bool = False) -> None:
        """Send a sweep; `receive` gives a `SweepReply`. `queues` as in `Workers.sweep`; `in_turn`: only if no other worker sweeps."""
        flat = sweep_arguments(self._lease_ms, queues, punctual=True, turn=self._worker if in_turn else "")
        self._send(_Request(load("worker/sweep"), flatten(flat), read_sweep))

    def hand_back(self, executions: Sequence[tuple[str, str]], patience: float) -> None:
        """Hand back claimed jobs, `(job id, token)`, as the last requests; wait for the answers, for at most `patience` seconds.

        Raises:
            ServerUnavailableError: the connection is lost.
        """
        by = time.monotonic() + patience
        answered = not self.busy or self._answered(by)
        for execution in executions:
            if answered:
                self._transmit(_Request(load("job/return_claim"), flatten(execution), read_beat))
                answered = self._answered(by)

    def _answered(self, by: float) -> bool:
        while select.select([self.fileno()], (), (), max(0.0, by - time.monotonic()))[0]:
            if self._wire.receive() is not Ellipsis:
                return True
        return False

    def receive(self) -> Reply | None:
        """Read what has arrived and return the reply, or None when it is not complete yet.

        Raises:
            ServerUnavailableError: the connection is lost; `reconnect`.
            DataLostError: the server's data was replaced.
            ServerError: the server refused (read-only, out of memory, …); the request is dropped.
        """
        reply = self._wire.receive()
        if reply is Ellipsis:
            self.answer_by = time.monotonic() + _SILENCE  # a part of it has come
            return None
        self.answer_by = math.inf
        request = self._request
        if request is None:
            raise ServerUnavailableError("the server answered without a question: the connection is out of step")
        if isinstance(reply, redis.exceptions.ResponseError):
            self._refused(request, str(reply))
            return None
        self._request = None
        return request.parse(reply)

    def _refused(self, request: _Request, message: str) -> None:
        with self._session.translated:
            prepared = self._session.prepare(message)
        if prepared:
            self._transmit(request)
            return
        if message.startswith("NOSCRIPT"):
            self._wire.send("EVAL", request.script.text, *self._tail(request))
            self.answer_by = time.monotonic() + _SILENCE
            return
        self._request = None
        if message.startswith("FLOWQGONE"):
            raise data_lost(self._session.keys.namespace, message)
        raise translate(redis.exceptions.ResponseError(message), self._session.translated.server)

    def _send(self, request: _Request) -> None:
        if self._request is not None:
            raise RuntimeError("a request is under way already")
        self._request = request
        self._transmit(request)

    def _transmit(self, request: _Request) -> None:
        self._wire.send(*self._session.command(request.script), *self._tail(request))
        self.answer_by = time.monotonic() + _SILENCE

    def _tail(self, request: _Request) -> list[str | bytes]:
        return ["1", self._session.keys("meta"), self._session.incarnation, *request.arguments]


class WakeupConnection:
    """The connection that waits for hints: a job was queued, a job waits for a decision, or this worker is called."""

    DECIDE: Final = "@decide"

    def __init__(self, session: Session, worker: str) -> None:
        self._wire = _Wire(session)
        self._server = session.translated.server
        self._keys = session.keys
        self._worker = worker
        self.armed = False
        self._answer_by = math.inf

    @property
    def answer_by(self) -> float:
        """The monotonic time at which an answer is overdue: also where there is no hint, the server says so in the end."""
        return self._answer_by if self.armed else math.inf

    def fileno(self) -> int:
        """Return the descriptor to watch for reading, -1 while not connected."""
        return self._wire.fileno()

    def connect(self) -> None:
        """Connect (again); not armed afterwards."""
        self.armed = False
        self._wire.connect()

    def close(self) -> None:
        """Close the connection."""
        self.armed = False
        self._wire.close()

    def arm(self, queues: Sequence[str]) -> None:
        """Wait for this worker's calls, and with queues also for their hints and for decisions to make."""
        names = [self._keys("call", self._worker)]
        if queues:
            names += [self._keys("wake", self.DECIDE), *(self._keys("wake", queue) for queue in queues)]
        self._wire.send("BLPOP", *names, str(_WAIT))
        self.armed = True
        self._answer_by = time.monotonic() + _WAIT + _LATE

    def receive(self) -> str | None:
        """Return the queue (or `DECIDE`) that a hint names, "" for a call to this worker, None when nothing came. Not armed after.

        Raises:
            ServerUnavailableError: the connection is lost; `connect` again.
        """
        reply = self._wire.receive()
        if reply is Ellipsis:
            return None
        self.armed = False
        if isinstance(reply, redis.exceptions.ResponseError):
            raise translate(reply, self._server)
        return None if reply is None else reply[1].decode()
