"""The worker's connections as the loop sees them: one request at a time, hints, calls, and reconnecting after a loss."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from flowq.exceptions import CorruptRecordError, DataLostError, ServerError, ServerUnavailableError
from flowq.store.client.short_wait import ShortWait
from flowq.store.schema.outcomes import BeatReply, ExchangeReply, SweepReply

if TYPE_CHECKING:
    from flowq.embedded.attach import Attachment
    from flowq.store.client.async_connection import WakeupConnection, WorkerConnection
    from flowq.worker.supervisor.event_loop import Loop

_log = logging.getLogger("flowq.worker")
_FIRST_PAUSE: Final = 0.05  # s before the first attempt to reconnect
_LONGEST_PAUSE: Final = 2.0
_SHARE: Final = 0.2  # of a lease that a pause takes at most: what is left of it when the server is back is hardly two thirds
_LAST_PATIENCE: Final = 0.3  # s for the answers to the last requests of a worker that ends now
_REARM: Final = 0.5  # s before a waiter waits again that was answered with an error
_ELSEWHERE: Final = 10.0  # s of refusals after which the address may lead to another server by now: a fail-over
_CALM: Final = 5.0  # s without a refusal after which the server counts as recovered


class StoreConnections:
    """The link and the two waiters: one armed on the hints of queues, one always armed on calls to this worker.

    A waiter that blocks cannot be told other queues; calls must come through while every slot is busy. So there are two.

    An error that the server answered (it is loading, its disk is full) is no loss: the connections stand, and the request is made
    again after a while. An answer that is overdue is one: a host, or what is between, may be gone without a word, and the other end of
    a connection that only waits would never know. Only a reply proves that a server can be used again; a connection that is accepted does not, so the pauses
    between attempts grow until there is one, to at most 2 s and a part of the lease, which the worker must renew in time.

    An embedded server (`anchor`: the use of it) that was stopped for good is told, with what to do: nothing starts it again by itself.
    """

    def __init__(self, loop: Loop, link: WorkerConnection, hints: WakeupConnection, calls: WakeupConnection) -> None:
        self.anchor: Attachment | None = None
        self._stopped_since: float | None = None  # monotonic time
        self.on_reply: Callable[[ExchangeReply | SweepReply | BeatReply], None] = lambda _reply: None
        self.on_refused: Callable[[ServerError], None] = lambda _error: None
        self.on_hint: Callable[[str], None] = lambda _queue: None
        self._loop = loop
        self._link = link
        self._hints = hints
        self._calls = calls
        self._waits = ShortWait()
        self._pause = _FIRST_PAUSE
        self._longest_pause = min(_LONGEST_PAUSE, _SHARE * link.lease)
        self._again: float | None = None  # monotonic time of the next attempt to connect; None while connected
        self._rearm: float | None = None  # monotonic time before which no waiter is armed, after an answered error
        self._refused_since: float | None = None  # monotonic time of the first refusal without a reply since
        self._refused_at = -_CALM  # monotonic time of the last refusal
        self._told: set[str] = set()  # why there is no traffic, as far as it was logged
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
    def again(self) -> float:
        """The monotonic time at which `tick` has something to do, infinity while all is connected and waits."""
        if self._again is not None:
            return self._again
        # Of a server that is frozen all connections are late: while it owes an answer of the link, that one decides.
        link = self._link
        overdue = link.answer_by if link.busy else min(self._hints.answer_by, self._calls.answer_by)
        return overdue if self._rearm is None else min(overdue, self._rearm)

    def send(self, request: Callable[[WorkerConnection], None]) -> None:
        """Send a request through the link; it is sent again by itself if the connection is lost."""
        try:
            request(self._link)
            self._loop.stay_awake(self._waits.asked())
        except ServerUnavailableError as error:
            self._lost(error)

    def arm(self, queues: Sequence[str]) -> None:
        """Wait for a hint of one of the queues, unless that is so already."""
        self._arm(self._hints, queues)

    def tick(self) -> None:
        """Try to connect again, when it is time for that."""
        now = time.monotonic()
        if self._rearm is not None and now >= self._rearm:
            self._rearm = None
            self._arm(self._calls, ())
        if self._again is None and self._rearm is None and now >= self.again:
            self._lost(ServerUnavailableError("a connection to the server has brought no answer for too long"))
        if self._again is None or now < self._again:
            return
        try:
            self._link.reconnect()
            self._hints.connect()
            self._calls.connect()
        except DataLostError:
            raise
        except ServerError as error:
            self._tell(f"{error}; running jobs continue; reconnecting")
            self._look_whether_stopped()
            self._try_later()
            return
        self._again = self._rearm = self._stopped_since = None
        self._watch()

    def _look_whether_stopped(self) -> None:
        if self.anchor is None or (stopped := self.anchor.stopped) is None:
            self._stopped_since = None
            return
        self._stopped_since = self._stopped_since or time.monotonic()
        self._tell(f"{stopped}; without that this worker ends in {self.anchor.linger:g} s, or when no job runs any more")

    def refuse_to_wait(self) -> None:
        """End a worker without jobs that has waited long enough for an embedded server that was stopped.

        Raises:
            ServerUnavailableError: it was not started again in time.
        """
        if self.anchor is not None and self._stopped_since is not None:
            waited = time.monotonic() - self._stopped_since
            if waited > self.anchor.linger and (stopped := self.anchor.stopped) is not None:
                raise ServerUnavailableError(f"{stopped}; this worker has waited for that, and ends")

    def hand_back(self, executions: Sequence[tuple[str, str]]) -> None:
        """Hand back claimed jobs before `close`, if the server answers at once. `executions`: `(job id, token)`."""
        if self.online:
            try:
                self._link.hand_back(executions, _LAST_PATIENCE)
            except ServerError as error:
                self._tell(str(error))

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
        self._arm(self._calls, ())

    def _arm(self, waiter: WakeupConnection, queues: Sequence[str]) -> None:
        if self._again is not None or self._rearm is not None or waiter.armed:
            return
        try:
            waiter.arm(queues)
        except ServerUnavailableError as error:
            self._lost(error)

    def _forget(self) -> None:
        while self._watched:
            self._loop.forget(self._watched.pop())

    def _lost(self, error: ServerError) -> None:
        self._tell(f"{error}; running jobs continue; reconnecting")
        if self._again is None:
            self._try_later()
        self._forget()

    def _try_later(self) -> None:
        self._again = time.monotonic() + self._pause * random.uniform(0.5, 1.0)  # noqa: S311 - spreads workers, hides nothing
        self._pause = min(self._longest_pause, self._pause * 2)

    def _answered(self, error: ServerError) -> None:
        """Record a refusal."""
        now = time.monotonic()
        if self._refused_since is None:
            self._refused_since = now
        elif now - self._refused_since > _ELSEWHERE:
            self._refused_since = now
            self._try_later()
            self._forget()
        self._refused_at = now
        self._tell(str(error))

    def _succeeded(self) -> None:
        self._pause = _FIRST_PAUSE
        self._refused_since = None
        # A server that is out of memory refuses one request and answers the next: that does not prove recovery.
        if self._told and time.monotonic() - self._refused_at > _CALM:
            _log.warning("the server can be used again")
            self._told.clear()

    def refused_elsewhere(self, error: ServerError | CorruptRecordError) -> None:
        """Record that a request on another connection of this worker was refused."""
        if isinstance(error, ServerError):
            self._refused_at = time.monotonic()
            self._tell(str(error))
        else:
            _log.warning("%s", error)

    def _tell(self, reason: str) -> None:
        if reason not in self._told:  # not at every attempt: a server may load its data for minutes
            _log.warning("%s", reason)
            self._told.add(reason)

    def _read_link(self) -> None:
        asked = self._link.busy
        try:
            reply = self._link.receive()
        except DataLostError:
            raise
        except ServerError as error:
            if asked and not self._link.busy:
                self.on_refused(error)
                self._answered(error)
            else:
                self._lost(error)  # the request that was under way, if any, is sent again by the link
            return
        if reply is not None:
            self._waits.answered()
            self._succeeded()
            self.on_reply(reply)

    def _read_hints(self) -> None:
        queue = self._read_waiter(self._hints)
        if queue is not None:
            self.on_hint(queue)

    def _read_calls(self) -> None:
        call = self._read_waiter(self._calls)
        self._arm(self._calls, ())
        if call is not None:
            self.on_hint(call)

    def _read_waiter(self, waiter: WakeupConnection) -> str | None:
        """Return the message a waiter received, None if there is none yet."""
        waited = waiter.armed
        try:
            return waiter.receive()
        except ServerError as error:
            if waited and not waiter.armed:
                self._rearm = time.monotonic() + _REARM
                self._tell(str(error))
            else:
                self._lost(error)
            return None
