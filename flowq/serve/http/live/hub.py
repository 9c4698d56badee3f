"""The reader: one thread, which reads the streams that clients watch, and hands what it read to all of them."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from flowq.exceptions import FlowqError, ServerError
from flowq.flows.views.follow import EXPANDED, GONE
from flowq.serve.http.live.changes import job_rows, log_messages, run_message
from flowq.serve.http.live.polls import Approvals, RunList, ScheduleList
from flowq.serve.http.live.subscribers import RESET, Subscriber, message
from flowq.serve.http.live.topics import Topic
from flowq.serve.http.principals import Principal
from flowq.serve.http.replies import RefusedError
from flowq.serve.http.site import Site
from flowq.store.page.live import Changes, order_of
from flowq.store.schema.records import Event, LogEntry, RunRecord

EACH: Final = 10
"""Streams of one session."""

ALL: Final = 500
"""Streams of all."""

_WAIT: Final = 0.25  # s for which one read waits: a new topic is read after that
_TOGETHER: Final = 0.1  # s of changes that are one message
_POLL: Final = 1.0  # s between looks at what no stream tells, and at whether users may still look
_RECENT: Final = 10_000  # ms before a new client came that it is told: its documents may have been read then
_LONG_AGO: Final = 300_000  # ms after which a client that comes back reads its documents again

log = logging.getLogger("flowq.serve.http")


class Hub:
    """Tells clients of changes.

    Args:
        site: what is served.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._store = site.store
        self._lock = threading.Lock()
        self._subscribers: set[Subscriber] = set()
        self._counted: Counter[str] = Counter()
        self._positions: dict[tuple[str, str], str] = {}
        self._approvals: dict[str, Approvals] = {}
        self._runs = RunList(site.store)
        self._schedules = ScheduleList(site.store)
        self._polled = 0.0
        self._wake = threading.Event()

    # -- clients --------------------------------------------------------------------------------------------------------------

    def subscriber(self, principal: Principal, address: str, topics: frozenset[Topic], after: str) -> Subscriber:
        """Return a client; `join` makes it known to the reader.

        Raises:
            RefusedError: its session, or all together, have too many streams.
        """
        with self._lock:
            if self._is_full(_who(principal, address)):
                text = f"a session can watch {EACH} streams at once"
                raise RefusedError(429, "too_many_streams", text, headers={"Retry-After": "5"})
        return Subscriber(principal, address, topics, after, self._enter, self._leave)

    def join(self, subscriber: Subscriber) -> None:
        """Make a client known, and tell it what has happened since it was here, or since shortly before it came."""
        now = self._store.now_ms()
        start = _start(subscriber.after, now)
        if start is None:
            subscriber.put(RESET)
            start = f"{now}-0"
        told = dict.fromkeys(_streams(subscriber.topics), start)
        while behind := self._join_if_told(subscriber, told):
            changes = self._store.live.read({stream: told[stream] for stream in behind}).until(behind)
            told |= {**behind, **changes.positions}
            self._publish(changes, now, [subscriber])
        self._wake.set()

    def _join_if_told(self, subscriber: Subscriber, told: Mapping[tuple[str, str], str]) -> dict[tuple[str, str], str]:
        """Make a client known that was told all that the reader has read; else return up to where it is to be told."""
        with self._lock:
            read = {stream: self._positions[stream] for stream in told if stream in self._positions}
            behind = {stream: place for stream, place in read.items() if order_of(told[stream]) < order_of(place)}
            if not behind:
                self._positions |= {stream: place for stream, place in told.items() if stream not in read}
                self._subscribers.add(subscriber)
        return behind

    def clients(self) -> int:
        """Return how many clients watch."""
        with self._lock:
            return self._counted.total()

    def is_watched(self) -> bool:
        """Return whether a client watches anything."""
        with self._lock:
            return bool(self._counted)

    def _is_full(self, who: str) -> bool:
        return self._counted[who] >= EACH or self._counted.total() >= ALL

    def _enter(self, subscriber: Subscriber) -> bool:
        """Count a client whose stream begins, unless others that came at the same time have taken the last places."""
        who = _who(subscriber.principal, subscriber.address)
        with self._lock:
            if self._is_full(who):
                return False
            self._counted[who] += 1
            return True

    def _leave(self, subscriber: Subscriber) -> None:
        who = _who(subscriber.principal, subscriber.address)
        with self._lock:
            self._subscribers.discard(subscriber)
            self._counted[who] -= 1
            if self._counted[who] <= 0:
                del self._counted[who]

    # -- the thread -----------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Read and tell until the site closes; then tell all clients to come back later."""
        while not self._site.closing.is_set():
            with self._lock:
                present = list(self._subscribers)
            try:
                self._turn(present)
            except ServerError:
                self._site.closing.wait(_POLL)
            except Exception:
                log.exception("changes cannot be told")
                self._site.closing.wait(_POLL)
        with self._lock:
            present = list(self._subscribers)
        for subscriber in present:
            subscriber.end()

    def _turn(self, present: list[Subscriber]) -> None:
        if not present:
            self._rest()
            return
        now = self._store.now_ms()
        positions = self._watched(present)
        if positions:
            changes = self._store.live.read(positions, _WAIT)
            with self._lock:
                self._positions |= {stream: place for stream, place in changes.positions.items() if stream in self._positions}
                present = list(self._subscribers)  # one that came during the read was told only what was read before
            self._publish(changes, now, present)
        if time.monotonic() - self._polled >= _POLL:
            self._polled = time.monotonic()
            self._poll(present, now)
        self._site.closing.wait(_TOGETHER if positions else _POLL / 2)

    def _rest(self) -> None:
        """Wait for a client."""
        self._runs.forget()
        self._schedules.forget()
        self._approvals.clear()
        self._wake.wait(_POLL)
        self._wake.clear()

    def _watched(self, present: Iterable[Subscriber]) -> Mapping[tuple[str, str], str]:
        """Return the positions of the streams that are watched, and forget the others."""
        wanted = {stream for subscriber in present for stream in _streams(subscriber.topics)}
        with self._lock:
            still = wanted | {stream for subscriber in self._subscribers for stream in _streams(subscriber.topics)}
            for stream in self._positions.keys() - still:
                del self._positions[stream]
            return {stream: self._positions[stream] for stream in wanted if stream in self._positions}

    # -- messages -------------------------------------------------------------------------------------------------------------

    def _publish(self, changes: Changes, now: int, present: Iterable[Subscriber]) -> None:
        present = list(present)
        for run, events in changes.events.items():
            self._tell_run(run, events, now, present)
        for run, entries in changes.logs.items():
            self._tell_output(run, entries, now, present)

    def _tell_run(self, run: str, events: list[Event], now: int, present: list[Subscriber]) -> None:
        record = self._store.runs.get(run)
        if record is not None:
            expanded = any(event.new == GONE and event.reason == EXPANDED for event in events)
            self._tell(
                Topic("run", run), run_message(record, job_rows(events), events[-1].seq, expanded=expanded), now, present
            )

    def _tell_output(self, run: str, entries: list[LogEntry], now: int, present: list[Subscriber]) -> None:
        topics = {topic for subscriber in present for topic in subscriber.topics if topic.kind == "log"}
        for topic, data in log_messages(run, entries, topics).items():
            self._tell(topic, data, now, present)

    def _tell(
        self,
        topic: Topic,
        data: Any,
        now: int,
        present: Iterable[Subscriber],
        may: Callable[[Principal], bool] = lambda _principal: True,
    ) -> None:
        content = message(data, f"{now}-0")
        for subscriber in present:
            if topic in subscriber.topics and may(subscriber.principal):
                subscriber.put(content)

    # -- polls ----------------------------------------------------------------------------------------------------------------

    def _poll(self, present: list[Subscriber], now: int) -> None:
        self._dismiss(present)
        kinds = {topic.kind for subscriber in present for topic in subscriber.topics}
        if "runs" in kinds:
            for run, data in self._runs.changes():
                self._tell(Topic("runs"), data, now, present, self._covering(run))
        if "schedules" in kinds:
            changed = self._schedules.changes()
            for schedule in changed:
                flow = schedule.rpartition(":")[0]
                data = {"topic": "schedules", "schedule": schedule}
                self._tell(Topic("schedules"), data, now, present, lambda principal, flow=flow: principal.covers(flow))  # type: ignore[misc]
        for run_id in {topic.run for subscriber in present for topic in subscriber.topics if topic.kind == "run"}:
            self._poll_approvals(run_id, now, present)

    def _covering(self, run: RunRecord) -> Callable[[Principal], bool]:
        flow = self._site.flow_of(run)
        return lambda principal: principal.covers(flow)

    def _poll_approvals(self, run_id: str, now: int, present: list[Subscriber]) -> None:
        record = self._store.runs.get(run_id)
        if record is None or record.ended:
            self._approvals.pop(run_id, None)
            return
        try:
            rows = self._approvals.setdefault(run_id, Approvals(self._store, run_id)).changes()
        except ServerError:
            raise
        except FlowqError as error:  # a plan that this version cannot read: its page says so
            log.debug("approvals of run %s: %s", run_id, error)
            return
        if rows:
            self._tell(Topic("run", run_id), run_message(record, rows, self._store.runs.position(run_id)), now, present)

    def _dismiss(self, present: list[Subscriber]) -> None:
        """End the streams of users who may not look any more."""
        valid = {item.principal.digest: self._site.doorkeeper.is_valid(item.principal) for item in present}
        for subscriber in present:
            if not valid[subscriber.principal.digest]:
                subscriber.end()


def _who(principal: Principal, address: str) -> str:
    """Return whose streams are counted together: those of a session or token, else of an address."""
    return principal.digest or address


def _streams(topics: Iterable[Topic]) -> set[tuple[str, str]]:
    """Return the streams that topics are read from."""
    return {("events" if topic.kind == "run" else "logs", topic.run) for topic in topics if topic.run}


def _start(after: str, now: int) -> str | None:
    """Return the position from which a client is told; None: it was away for too long."""
    if not after:
        return f"{now - _RECENT}-0"
    at_ms = after.partition("-")[0]
    known = int(at_ms) if at_ms.isascii() and at_ms.isdigit() and len(at_ms) < 16 else 0
    return None if now - known > _LONG_AGO else f"{min(known, now)}-0"
