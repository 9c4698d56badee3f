"""Triggers at work: runs that events start, each event once.

An event has a key, and the run's id is made of trigger and key. That the event is dealt with is noted in the step that makes the run visible, so it
does not matter how many schedulers look, or whether one dies. An event that happens while no scheduler runs is dealt with later.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from flowq.plan import Json
from flowq.plan.trigger import Trigger
from flowq.schedules.directory.spool import Spool
from flowq.schedules.entries import FlowsOfDirectory
from flowq.schedules.events.event_runs import KnownTrigger, start_run
from flowq.schedules.slot_runs import Maker, first_problem, log
from flowq.schedules.turns import NEVER, SOON, Turns
from flowq.store.schedules import EventClaim, RunEnd, ScheduleState
from flowq.store.schema.documents import iso
from flowq.store.schema.outcomes import Outcome

_AT_ONCE: Final = 100  # events of one trigger that are dealt with before the others have their turn


@dataclass(frozen=True, slots=True)
class TriggerEvent:
    """An event of a trigger: its claim, and what expressions see of it; None: it is none of this trigger's."""

    claim: EventClaim
    data: Mapping[str, Json] | None


class Triggers:
    """Starts the runs of a catalog's triggers.

    Args:
        maker: makes the runs.
        catalog: the flows.
    """

    def __init__(self, maker: Maker, catalog: FlowsOfDirectory) -> None:
        self._maker = maker
        self._schedules = maker.store.schedules
        self._catalog = catalog
        self._spools: dict[str, Spool] = {}
        self._turns = Turns(self._schedules)
        self._declared: dict[str, tuple[Trigger, ...]] = {}

    def all(self) -> list[KnownTrigger]:
        """Return the triggers of all flows; of a flow that is not valid now those that it had when it was valid last.

        Those of webhooks are known to users, too, but their events come to `flowq.schedules.events.webhooks`.
        """
        flows = self._catalog.flows
        self._declared = {
            name: flow.compilation.triggers if flow.valid else self._declared.get(name, flow.compilation.triggers)
            for name, flow in flows.items()
        }
        return [
            KnownTrigger(f"{self._catalog.name}/{flow.name}:{trigger.name}", flow, trigger)
            for name, flow in flows.items()
            for trigger in self._declared[name]
        ]

    def describe(self, known: Sequence[KnownTrigger]) -> None:
        """Keep what users are shown of the triggers, where it has changed."""
        self._turns.describe({item.id: self._description(item) for item in known})

    def _description(self, known: KnownTrigger) -> str:
        flow = known.flow
        problem = "" if flow.valid else flow.problem or first_problem(flow.compilation)
        said = {"events": known.trigger.events, "path": flow.path, "problem": problem, "watched": self.watched(known)}
        return json.dumps(said)

    def watched(self, known: KnownTrigger) -> str:
        """Return the pattern of files or the flow file whose runs it follows, absolute; "" if no event starts a run now, or a webhook does."""
        trigger = known.trigger
        if trigger.paused or not known.flow.valid:
            return ""
        if trigger.kind == "files":
            return os.path.join(self._catalog.root, trigger.path)  # noqa: PTH118 - a pattern, as the spool has it
        flow = self._catalog.flows.get(trigger.flow) if trigger.kind == "flow" else None
        return "" if flow is None else os.path.realpath(flow.path)

    def turn(self, known: KnownTrigger, state: ScheduleState, now: int) -> int:
        """Deal with the events of a trigger; return the time (ms) at which to look again.

        Raises:
            ServerError: the server cannot be used. Errors of this flow alone are logged.
        """
        if state.paused or self._catalog.stale or not known.flow.valid or known.trigger.kind == "webhook":
            return NEVER
        return self._turns.take(known.id, lambda: self._turn(known, state, now), now)

    def _turn(self, known: KnownTrigger, state: ScheduleState, now: int) -> int:
        armed, cursor = self._schedules.armed(known.id)
        spool = self._spool(known)
        if armed != known.trigger.definition:
            self._schedules.arm(known.id, known.trigger.definition, [] if spool is None else spool.present())
            return now
        events = self._ends(known, cursor) if spool is None else self._files(known, spool, now)
        for number, event in enumerate(events):
            outcome = self._deal_with(known, state, event)
            if outcome is Outcome.BUSY:
                return NEVER  # the end of a run calls
            if outcome is not Outcome.DONE or number == _AT_ONCE:
                return now + (SOON if outcome is not Outcome.DONE else 0)
        return NEVER if spool is None else now + spool.pause()

    # -- events ---------------------------------------------------------------------------------------------------------------

    def _ends(self, known: KnownTrigger, cursor: str) -> Iterator[TriggerEvent]:
        """Yield the ends of runs, those of other flows too: the cursor passes over them."""
        if self._schedules.is_gap(cursor):
            log.error("%s: more runs have ended than are kept while no scheduler looked", known.id)
            first = self._schedules.ended_after("0-0", 1)[0]
            claim = EventClaim(known.id, first.at_ms, "", first.position, cursor)
            self._schedules.settle_event(claim, "left_out", "gap")
            cursor = first.position
        while found := self._schedules.ended_after(cursor, _AT_ONCE):
            passed = None
            for end in found:
                claim = EventClaim(known.id, end.at_ms, f"{end.run}|{end.attempt}", end.position, cursor, known.trigger.overlap)
                if not self._follows(known.trigger, end):
                    passed = claim
                    continue
                yield TriggerEvent(claim, self._data_of(end))
                cursor, passed = end.position, None
            if passed is not None:
                yield TriggerEvent(passed, None)
                cursor = passed.cursor

    def _follows(self, trigger: Trigger, end: RunEnd) -> bool:
        flow = self._catalog.flows.get(trigger.flow)
        if end.status not in trigger.status or flow is None:
            return False
        ours = end.by.startswith(f"{self._catalog.name}/{trigger.flow}:")
        return ours or (bool(end.file) and os.path.realpath(end.file) == os.path.realpath(flow.path))

    def _data_of(self, end: RunEnd) -> dict[str, Json]:
        run = self._maker.store.runs.get(end.run)
        return {
            "run": end.run,
            "attempt": end.attempt,
            "status": end.status,
            "flow": "" if run is None else run.flow,
            "params": {} if run is None else json.loads(run.params),
            "labels": {} if run is None else json.loads(run.labels),
            "ended_at": iso(end.at_ms),
        }

    def _files(self, known: KnownTrigger, spool: Spool, now: int) -> Iterator[TriggerEvent]:
        """Yield the files that are written and were not dealt with."""
        files = spool.settled()
        for key in self._schedules.unseen(known.id, list(files)):
            claim = EventClaim(known.id, min(now, files[key].arrived_ms), key, overlap=known.trigger.overlap)
            yield TriggerEvent(claim, files[key].data())
        if spool.is_time_to_tell():
            self._schedules.see_events(known.id, list(files))

    def _spool(self, known: KnownTrigger) -> Spool | None:
        if known.trigger.kind != "files":
            return None
        spool = self._spools.get(known.id)
        if spool is None or (spool.pattern, spool.settle) != (known.trigger.path, known.trigger.settle):
            spool = self._spools[known.id] = Spool(self._catalog.root, known.trigger.path, known.trigger.settle)
        return spool

    # -- runs -----------------------------------------------------------------------------------------------------------------

    def _deal_with(self, known: KnownTrigger, state: ScheduleState, event: TriggerEvent) -> Outcome:
        claim = event.claim
        if event.data is None:
            return self._schedules.settle_event(claim)
        if claim.at_ms <= state.slot:  # while it was paused, or skipped by a user
            return self._schedules.settle_event(claim, "left_out", "paused")
        return start_run(self._maker, known, claim, event.data).outcome
