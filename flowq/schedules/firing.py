"""The slots of one entry: what `due` decides is carried out, and the store has the last word."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from flowq.flows.views.text import plural
from flowq.schedules.due import Due, decide
from flowq.schedules.entries import Description, FlowsOfDirectory, KnownEntry
from flowq.schedules.slot_runs import Maker, about, compile_slot, first_problem, log
from flowq.schedules.turns import NEVER, SOON, Turns
from flowq.slots.series import slot_id
from flowq.store.schedules import ScheduleState, SlotClaim
from flowq.store.schema.outcomes import Outcome

_AT_ONCE: Final = 20  # slots of one schedule that are dealt with before the others have their turn
_DEALT_WITH: Final = frozenset({Outcome.DONE, Outcome.DUPLICATE, Outcome.SKIPPED})


class Firing:
    """Fires the slots of a catalog's entries.

    Args:
        maker: makes the runs.
        catalog: the flows.
    """

    def __init__(self, maker: Maker, catalog: FlowsOfDirectory) -> None:
        self._maker = maker
        self._schedules = maker.store.schedules
        self._catalog = catalog
        self._idle: dict[
            str, tuple[tuple[str, int, int], int]
        ] = {}  # schedule -> its definition and state, when it is due next
        self._turns = Turns(self._schedules)

    def describe(self, known: Sequence[KnownEntry]) -> None:
        """Keep what users are shown of the entries, where it has changed."""
        self._turns.describe({item.id: self._description(item) for item in known})

    def turn(self, known: KnownEntry, state: ScheduleState, now: int) -> int:
        """Deal with the slots of an entry that are due; return the time (ms) at which to look again.

        Raises:
            ServerError: the server cannot be used. Errors of this flow alone are logged.
        """
        if state.paused:
            return NEVER
        seen = (known.definition, state.slot, state.since)
        idle = self._idle.get(known.id)
        if idle is not None and idle[0] == seen and now < idle[1]:
            return idle[1]
        return self._turns.take(known.id, lambda: self._turn(known, state, now), now)

    def _turn(self, known: KnownEntry, state: ScheduleState, now: int) -> int:
        for _ in range(_AT_ONCE):
            found = decide(known.series, known.policy, state, now, known.delay)
            if found.slot is None and found.left_out is None:
                again = NEVER if found.next is None else found.next
                self._idle[known.id] = ((known.definition, state.slot, state.since), again)
                return again
            if problem := self._problem(known):
                self._refuse(known, found, problem)
                return NEVER
            after, again = self._carry_out(known, state, found, now)
            if after is None:
                return again
            state = after
        return now

    def _carry_out(self, known: KnownEntry, state: ScheduleState, found: Due, now: int) -> tuple[ScheduleState | None, int]:
        """Do one step; return the state after it, or None and when to look again."""
        if found.left_out is not None:
            left = found.left_out
            claim = SlotClaim("slot", known.id, left.last, state.slot)
            outcome, _ = self._schedules.settle(claim, "left_out", known.policy.catch_up, first=left.first, count=left.count)
            if outcome is not Outcome.DONE:
                return None, now + SOON
            log.info("%s: %s from %s on left out", known.id, plural(left.count, "missed slot"), known.time(left.first))
            return replace(state, slot=left.last), now
        assert found.slot is not None, "something is to be done"
        if found.waits and state.open + state.waiting:
            return None, NEVER
        claim = SlotClaim("slot", known.id, found.slot, state.slot, found.due, found.overlap)
        outcome = self._fire(known, claim, busy=state.open + state.waiting > 0)
        if outcome in _DEALT_WITH:
            made = outcome is not Outcome.SKIPPED
            return replace(state, slot=found.slot, open=state.open + made), now
        return None, NEVER if outcome in {Outcome.BUSY, Outcome.SUSPENDED} else now + SOON

    def _fire(self, known: KnownEntry, claim: SlotClaim, *, busy: bool) -> Outcome:
        """Make the run of a slot, unless the store decides otherwise; return how it was dealt with."""
        if busy and claim.overlap == "skip":  # no need to compile: mostly the run that was open is
            outcome, holder = self._schedules.settle(claim, "skipped", "running")
            if outcome is not Outcome.WRONG_STATE:
                log.info(
                    "%s: slot %s is skipped, run %s is not over",
                    known.id,
                    known.time(claim.slot),
                    holder,
                    extra={"run": holder},
                )
                return Outcome.SKIPPED if outcome is Outcome.DONE else outcome
        compiled = compile_slot(known.flow, known, claim.slot)
        if compiled.plan is None:  # the file is valid, but not for this slot
            outcome, _ = self._schedules.settle(claim, "refused", first_problem(compiled))
            log.error("%s: slot %s cannot run: %s", known.id, known.time(claim.slot), first_problem(compiled))
            return outcome
        offered = self._maker.offer(known, compiled.plan, claim)
        if offered.outcome is Outcome.CONFLICT:  # another scheduler was quicker, or the run is there already
            outcome, _ = self._schedules.settle(claim, "run", run=slot_id(known.id, str(claim.slot)))
            return Outcome.DUPLICATE if outcome is Outcome.DONE else Outcome.CONFLICT
        if offered.outcome is Outcome.DONE:
            log.info(
                "%s: run %s for slot %s", known.id, offered.run, known.time(claim.slot), extra=about(offered.run, compiled.plan)
            )
        return offered.outcome

    def _problem(self, known: KnownEntry) -> str:
        """Return why nothing of a flow can fire now, or ""."""
        if self._catalog.stale:
            return f"{self._catalog.root} cannot be read"
        return "" if known.flow.valid else first_problem(known.flow.compilation)

    def _refuse(self, known: KnownEntry, found: Due, problem: str) -> None:
        slot = found.slot if found.slot is not None else found.left_out.last if found.left_out is not None else 0
        if self._schedules.refuse(known.id, slot, problem, known.notify) is Outcome.DONE:
            log.error("%s: slot %s cannot run: %s", known.id, known.time(slot), problem)

    def _description(self, known: KnownEntry) -> str:
        root, prefix, ships = self._catalog.root, self._maker.queue_prefix, self._maker.ships
        return Description(known.entry, known.flow.path, root, prefix, self._problem(known), known.notify, ships).to_json()
