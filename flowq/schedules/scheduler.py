"""`Scheduler`: the loop that fires the slots of a catalog when they are due.

It has no state that matters: what became of each slot is in the store, which also decides which of several schedulers makes the run of a slot. So
any number of them may run side by side, and each may be killed at any moment. The server's clock is the only one.
"""

import os
import select
import signal
import socket
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from flowq import ids
from flowq.exceptions import ServerError
from flowq.flows.served_twice import Start
from flowq.schedules.backfill import Backfiller
from flowq.schedules.entries import Entries, FlowsOfDirectory, recalled
from flowq.schedules.firing import Firing
from flowq.schedules.heartbeat import Heart
from flowq.schedules.slot_runs import Maker, log
from flowq.schedules.summary import Summary, Validity, rivals
from flowq.schedules.triggers import Triggers
from flowq.worker.signals import StopSignals

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowq.store import Store
    from flowq.store.client.async_connection import WakeupConnection

_LONGEST: Final = 10.0  # s between two beats at most
_SOON: Final = 1.0  # s before another try, when the server is away


class Scheduler:
    """A scheduler of the flows of a directory.

    Args:
        store: where the runs are made.
        catalog: the flows.
        maker: makes their runs; None: one that changes nothing about them.
        tell: called when the flows have changed, once the store has answered.
        heart: beats after each turn that the store has answered.
    """

    def __init__(
        self,
        store: "Store",
        catalog: FlowsOfDirectory,
        *,
        maker: Maker | None = None,
        tell: "Callable[[Summary], None] | None" = None,
        heart: Heart | None = None,
    ) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}:{ids.nonce()[:6]}"
        self._store = store
        self._catalog = catalog
        self._entries = Entries(catalog, partial(recalled, store.schedules))
        maker = maker or Maker(store, catalog.root)
        self._firing = Firing(maker, catalog)
        self._backfiller = Backfiller(maker, catalog)
        self._triggers = Triggers(maker, catalog)
        self._validity = Validity()
        self._tell = tell
        self._heart = heart
        self._seen: object = None  # the flows of the last look
        self._told: object = None  # those that were told
        self._look_at = self._beat_at = 0.0  # monotonic
        self._trouble = ""  # the last message about a server that cannot be used
        self._stopped = False

    def run(self, lifeline: int | None = None) -> None:
        """Fire slots until stopped by SIGINT, SIGTERM or `request_stop`. Wait while the server is unreachable.

        SIGHUP is `request_look`. Main thread only.

        Args:
            lifeline: an inherited descriptor; its end means that the parent is gone, and stops the scheduler.
        """
        log.info("scheduler %s watches %s", self.name, self._catalog.root)
        waiter = self._store.waiter(self.name)
        try:
            with StopSignals() as signals:
                former = signal.signal(signal.SIGHUP, lambda _number, _frame: self.request_look())
                ends = (signals.fileno(),) if lifeline is None else (signals.fileno(), lifeline)
                called = True
                while not signals.count and not self._stopped and not _has_ended(lifeline):
                    called = self._wait(waiter, ends, self.turn(called=called))
                    signals.acknowledge()
                signal.signal(signal.SIGHUP, former)
        finally:
            waiter.close()
            with suppress(ServerError):
                self._store.schedules.leave(self.name)
        log.info("scheduler %s has stopped", self.name)

    def request_stop(self) -> None:
        """Let `run` return before its next turn."""
        self._stopped = True

    def request_look(self) -> None:
        """Look at the directory at the next turn."""
        self._look_at = 0.0

    def turn(self, *, called: bool = True) -> float:
        """Do what is due; return the seconds until the next turn. `called`: a user or the end of a run may have changed something."""
        if time.monotonic() >= self._look_at:
            waited = self._catalog.waiting
            self._catalog.look()
            self._validity.compare(self._catalog)
            self._look_at = time.monotonic() + self._catalog.pause
            called = called or (waited and not self._catalog.waiting)
            seen = self._catalog.stale, {name: (flow.valid, id(flow.compilation)) for name, flow in self._catalog.flows.items()}
            called, self._seen = called or seen != self._seen, seen
        if called or time.monotonic() >= self._beat_at:
            self._beat_at = time.monotonic() + self._beat_if_possible()
        return max(0.0, min(self._look_at, self._beat_at) - time.monotonic())

    def _beat_if_possible(self) -> float:
        try:
            pause = self._beat()
        except ServerError as error:
            if str(error) != self._trouble:  # log it once, not every second
                self._trouble = str(error)
                log.warning("%s; it is waited for", error)
            return _SOON
        if self._trouble:
            self._trouble = ""
            log.info("the server is back")
        return pause

    def _beat(self) -> float:
        """Read the state of all schedules in one call and deal with each; return the seconds until the next is due."""
        begun = time.monotonic()
        known = self._entries.all()
        triggers = self._triggers.all()
        entries = [(item.id, item.definition, item.entry.paused) for item in known]
        entries += [(item.id, item.trigger.definition, item.trigger.paused) for item in triggers]
        beat = self._store.schedules.beat(self.name, entries)
        self._firing.describe(known)
        self._triggers.describe(triggers)
        complete = self._told is not None or not self._catalog.waiting  # the first time it tells of all files that are there
        if self._told != self._seen and complete:
            self._told = self._seen
            ours = [Start(item.flow.path, "") for item in known]
            ours += [Start(item.flow.path, watched) for item in triggers if (watched := self._triggers.watched(item))]
            for path, rival in rivals(self._store, self._catalog.name, ours, beat.now_ms).items():
                log.warning(
                    "%s is served as %s too: each of its slots and events has two runs; serve one of the two directories",
                    path,
                    rival,
                )
            if self._tell is not None:
                paused = {item.id for item, state in zip(known, beat.states, strict=False) if state.paused}
                self._tell(Summary.of(self._catalog, known, beat.now_ms, paused))
        again = beat.now_ms + int(_LONGEST * 1000)
        for item, state in zip(known, beat.states, strict=False):
            again = min(again, self._firing.turn(item, state, beat.now_ms))
        for trigger, state in zip(triggers, beat.states[len(known) :], strict=True):
            again = min(again, self._triggers.turn(trigger, state, beat.now_ms))
        by_id = {item.id: item for item in known}
        for backfill in beat.backfills:
            again = min(again, self._backfiller.turn(backfill, by_id, beat.now_ms))
        if self._heart is not None:
            self._heart.beat()
        return (again - beat.now_ms) / 1000 - (time.monotonic() - begun)

    def _wait(self, waiter: "WakeupConnection", ends: tuple[int, ...], pause: float) -> bool:
        """Wait for the next turn or a stop; return whether this scheduler was called before."""
        try:
            if waiter.fileno() < 0 or time.monotonic() > waiter.answer_by:
                waiter.connect()
            if not waiter.armed:
                waiter.arm(())
            readable, _, _ = select.select([*ends, waiter.fileno()], (), (), pause)
            return waiter.fileno() in readable and waiter.receive() is not None
        except ServerError:
            waiter.close()
            select.select(ends, (), (), min(pause, _SOON))
            return False


def _has_ended(lifeline: int | None) -> bool:
    """Return whether the other end of a lifeline has been closed: nothing is ever written into it."""
    return lifeline is not None and bool(select.select([lifeline], (), (), 0)[0])
