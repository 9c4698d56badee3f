"""Backfills at work: a scheduler makes their next run while fewer than `max` of one are open.

The range of a backfill and how far it has come are in the store, in the step that makes a run visible. So it does not matter which scheduler
makes a run, or whether one dies.
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

from flowq.exceptions import FlowqError, ServerError
from flowq.schedules.directory.catalog import FlowChangedError
from flowq.schedules.entries import FlowsOfDirectory, KnownEntry, code_of
from flowq.schedules.slot_runs import Maker, about, compile_slot, first_problem, log, lowered
from flowq.schedules.turns import NEVER, SOON
from flowq.slots.series import Series, slot_id
from flowq.store.backfills import BackfillRecord
from flowq.store.schedules import NONE, SlotClaim
from flowq.store.schema.outcomes import Outcome

LABEL: Final = "flowq.backfill"
_LOWER: Final = 10  # by which the priority of its jobs is below that of live runs
_LOOKED: Final = 200  # slots whose runs are looked up by one call
_GONE: Final = 30.0  # s without an entry, after which it counts as deleted
_AT_ONCE: Final = 20  # runs made by one turn
_UNSUCCESSFUL: Final = frozenset({"failed", "canceled", "skipped"})


@dataclass(frozen=True, slots=True)
class Range:
    """The slots of a backfill, and which of them are left out.

    Attributes:
        first: the first time, in ms.
        end: slots from then on are not part of it.
        mode: missing (slots without a run), failed (those whose run did not succeed as well) or again (all).
        newest_first: the latest slot comes first.
    """

    first: int
    end: int
    mode: str = "missing"
    newest_first: bool = False

    def slots(self, series: Series, cursor: int = NONE) -> Iterator[int]:
        """Yield the slots that come after a cursor, in the order of the backfill."""
        if not self.newest_first:
            yield from series.between(self.first if cursor == NONE else cursor + 1, self.end)
            return
        slot = series.last(self.first - 1, self.end - 1 if cursor == NONE else cursor - 1)
        while slot is not None:
            yield slot
            slot = series.last(self.first - 1, slot - 1)

    def wants(self, status: str | None) -> bool:
        """Return whether a slot gets a run whose run has this status (None: it has none)."""
        return status is None or self.mode == "again" or (self.mode == "failed" and status in _UNSUCCESSFUL)

    def fields(self) -> dict[str, str | int]:
        """Return it as it is stored."""
        return {"from": self.first, "to": self.end, "mode": self.mode, "newest_first": int(self.newest_first)}

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> "Range":
        """Return the range of a stored backfill."""
        return cls(int(fields["from"]), int(fields["to"]), fields["mode"], fields["newest_first"] == "1")


class Backfiller:
    """Makes the runs of backfills.

    Args:
        maker: makes the runs.
        catalog: the flows.
    """

    def __init__(self, maker: Maker, catalog: FlowsOfDirectory) -> None:
        self._maker = maker
        self._store = maker.store
        self._catalog = catalog
        self._missing: dict[str, float] = {}  # schedules that are not there, and since when (monotonic)

    def turn(self, backfill: str, known: Mapping[str, KnownEntry], now: int) -> int:
        """Make the next runs of a backfill for which there is room; return the time (ms) at which to look again.

        Raises:
            ServerError: the server cannot be used.
        """
        try:
            for _ in range(_AT_ONCE):
                record = self._store.backfills.get(backfill)
                if record is None or record.state != "running" or not self._is_mine(record):
                    return NEVER
                entry = known.get(record.fields["schedule"])
                if entry is None or not entry.flow.valid:
                    self._refuse(record, entry)
                    return NEVER
                self._missing.pop(entry.id, None)
                if record.open >= record.max or not self._step(record, entry):
                    return NEVER
        except FlowChangedError:
            return now + SOON
        except ServerError:
            raise
        except FlowqError as error:
            self._pause(backfill, str(error))
            return NEVER
        return now

    def _step(self, record: BackfillRecord, known: KnownEntry) -> bool:
        """Make one run, or pass over slots that get none; return whether there may be more to do."""
        part = Range.of(record.fields)
        some = list(islice(part.slots(known.series, record.cursor), _LOOKED))
        there = self._store.schedules.existing([slot_id(known.id, str(slot)) for slot in some])
        cursor, passed = record.cursor, 0
        for slot in some:
            if part.wants(there.get(slot_id(known.id, str(slot)))):
                break
            cursor, passed = slot, passed + 1
        if passed or not some:
            self._store.backfills.advance(record.id, record.cursor, cursor, left_out=passed, done=not some)
            return bool(some)
        salt = record.id if slot_id(known.id, str(some[0])) in there else ""
        return self._make(record, known, some[0], salt)

    def _make(self, record: BackfillRecord, known: KnownEntry, slot: int, salt: str) -> bool:
        compiled = compile_slot(known.flow, known, slot, json.loads(record.fields.get("params", "{}")))
        if compiled.plan is None:
            self._pause(record.id, first_problem(compiled))
            return False
        code = code_of(compiled)
        if record.fields.get("code", code) != code and record.fields.get("latest_code") != "1":
            self._pause(record.id, "the flow has changed since the first run")
            return False
        claim = SlotClaim("backfill", known.id, slot, record.cursor, backfill=record.id, code=code)
        by = record.fields.get("by", "")
        made = self._maker.offer(known, lowered(compiled.plan, _LOWER), claim, salt=salt, labels={LABEL: record.id}, by=by)
        if made.outcome is Outcome.DONE:
            log.info(
                "%s: run %s for slot %s of backfill %s",
                known.id,
                made.run,
                known.time(slot),
                record.id,
                extra=about(made.run, compiled.plan),
            )
        elif made.outcome is Outcome.CONFLICT and self._is_taken(made.run, record):
            self._store.backfills.advance(record.id, record.cursor, slot, left_out=1, done=False)
            return True
        return made.there

    def _is_taken(self, run: str, record: BackfillRecord) -> bool:
        """Return whether another run has the id, so that this slot is passed over; else another scheduler is making it."""
        there = self._store.runs.get(run)
        now = self._store.backfills.get(record.id)
        return there is not None and now is not None and now.cursor == record.cursor

    def _is_mine(self, record: BackfillRecord) -> bool:
        return record.fields["schedule"].startswith(f"{self._catalog.name}/") and not self._catalog.stale

    def _refuse(self, record: BackfillRecord, entry: KnownEntry | None) -> None:
        """Pause a backfill whose flow is not valid, or whose entry has not been there for a while: a checkout removes files and adds them."""
        if entry is not None:
            return self._pause(record.id, first_problem(entry.flow.compilation))
        name = record.fields["schedule"]
        if time.monotonic() - self._missing.setdefault(name, time.monotonic()) >= _GONE:
            self._pause(record.id, f"there is no schedule {name} any more")
        return None

    def _pause(self, backfill: str, problem: str) -> None:
        self._store.backfills.change(backfill, "paused", problem)
        log.error("backfill %s is paused: %s", backfill, problem)
