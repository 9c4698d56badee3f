"""What users ask of a schedule: a run now or of a slot, and backfills."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flowq import ids
from flowq.compiler import Compilation, compile_file
from flowq.exceptions import InvalidFlowError, InvalidRunOperation, UsageError
from flowq.flows.actions.submit import offer
from flowq.plan import Json
from flowq.schedules.backfill import Range
from flowq.schedules.entries import Description, KnownEntry, events_of, known_entry
from flowq.schedules.slot_runs import Maker, compile_slot, first_problem
from flowq.slots.series import slot_id
from flowq.slots.timezones import time_in
from flowq.store.schedules import SlotClaim

if TYPE_CHECKING:
    from flowq.store import Store

ASKED: Final = 100  # slots of a backfill for which no user need be asked
MOST: Final = 10_000  # slots of a backfill


@dataclass(frozen=True, slots=True)
class FlowFile:
    """A flow file outside of a catalog, as a scheduler's flow."""

    name: str
    path: str
    problem: str = ""

    @property
    def compilation(self) -> Compilation:
        """That of its present text."""
        return self.compile()

    @property
    def valid(self) -> bool:
        """Whether it compiles."""
        return self.compilation.plan is not None

    def compile(self, **more: Any) -> Compilation:
        """Compile it; arguments as of `compile_file`."""
        return compile_file(self.path, **{"date": datetime.now(UTC), **more})


def known_schedule(store: "Store", schedule: str) -> tuple[KnownEntry, Description]:
    """Return a schedule by its id, as the scheduler described it.

    Raises:
        UsageError: nothing usable is known of it.
    """
    record = store.schedules.get_many([schedule])[0]
    found = None if record is None else Description.from_json(record.description)
    if record is not None and (events := events_of(record.description)):
        raise UsageError(
            f"{schedule} has no slots, because events start its runs ({events}): `flowq schedule history {schedule}` lists them,"
            " `flowq run` starts its flow by hand"
        )
    if found is None:
        raise UsageError(f"no scheduler of this version of flowq has told what {schedule} is: `flowq serve DIR` starts one")
    catalog, _, rest = schedule.partition("/")
    flow = FlowFile(rest.rpartition(":")[0], found.path)
    return known_entry(catalog, flow, found.entry), found


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for a run.

    Attributes:
        by: the user.
        cause: cli or api.
        key: with the same key, user and schedule there is one run without a slot, however often it is asked for.
    """

    by: str
    cause: str = "cli"
    key: str | None = None


def trigger(store: "Store", schedule: str, slot: int | None, params: Mapping[str, Json], asked: Asked) -> str:
    """Start a run of an entry now; return its id.

    Args:
        store: where it is submitted.
        schedule: the id of the schedule.
        slot: the run is that of this slot (ms), with the same id; None: it is of none.
        params: values that take precedence over those of the entry.
        asked: by whom.

    Raises:
        UsageError: that is not a slot, or the flow file is not on this machine.
        InvalidFlowError: the flow does not compile.
        InvalidRunOperation: the slot has another run.
    """
    known, described = known_schedule(store, schedule)
    if slot is not None and next(known.series.between(slot, slot + 1), None) is None:
        raise UsageError(f"{time_in(slot, known.entry.timezone)} is no slot of {schedule}{beside(known, slot)}")
    if not Path(described.path).is_file():
        raise UsageError(f"{described.path} is not on this machine: run this command where the scheduler runs")
    run_id = None if asked.key is None or slot is not None else slot_id(f"trigger/{schedule}/{asked.by}", asked.key)
    if run_id is not None and store.runs.get(run_id) is not None:
        return run_id
    at = store.now_ms() if slot is None else slot
    compiled = compile_slot(known.flow, known, at, params)
    if compiled.plan is None:
        raise InvalidFlowError(f"{described.path}: {first_problem(compiled)}", compiled.diagnostics)
    claim = SlotClaim("hand", schedule, at)
    maker = Maker(store, described.root, described.queue_prefix, described.ships, asked.cause)
    if slot is not None:
        made = maker.offer(known, compiled.plan, claim, by=asked.by)
    else:
        made = offer(
            store,
            maker.prepared(compiled.plan),
            directory=maker.root,
            queue_prefix=maker.queue_prefix,
            run_id=run_id,
            cause=asked.cause,
            by=asked.by,
            slot=claim,
        )
    if not made.there:
        raise InvalidRunOperation(
            f"the slot {time_in(at, known.entry.timezone)} has another run already: `flowq status {made.run}`"
        )
    return made.run


@dataclass(frozen=True, slots=True)
class PlannedSlot:
    """A slot of a backfill: when it is, the run that there is, with its status, and whether it gets one."""

    slot: int
    run: str | None
    status: str | None
    wanted: bool


def plan_backfill(store: "Store", schedule: str, part: Range) -> list[PlannedSlot]:
    """Return the slots of a backfill, in its order, without making any run.

    Raises:
        UsageError: there are none, or more than 10,000.
    """
    known, _ = known_schedule(store, schedule)
    slots = list(islice(part.slots(known.series), MOST + 1))
    zone = known.entry.timezone
    if not slots:
        raise UsageError(f"{schedule} has no slot from {time_in(part.first, zone)} to {time_in(part.end, zone)}")
    if len(slots) > MOST:
        raise UsageError(f"a backfill has {MOST:,} slots at most: choose a shorter time")
    runs = [slot_id(schedule, str(slot)) for slot in slots]
    there = store.schedules.existing(runs)
    return [
        PlannedSlot(slot, run if run in there else None, there.get(run), part.wants(there.get(run)))
        for slot, run in zip(slots, runs, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class BackfillWish:
    """A backfill that a user wants.

    Attributes:
        schedule: the id of the schedule.
        part: which slots.
        most: runs of it that are open at once.
        params: values that take precedence over those of the entry.
        latest_code: go on when the flow's file changes.
        by: the user.
    """

    schedule: str
    part: Range
    most: int = 1
    params: Mapping[str, Json] = field(default_factory=dict)
    latest_code: bool = False
    by: str = ""

    def begin(self, store: "Store") -> str:
        """Begin it; return its id. Schedulers carry it out."""
        backfill = ids.run_id()
        fields: dict[str, str | int] = {"schedule": self.schedule, "max": self.most, "by": self.by}
        fields |= {"params": json.dumps(dict(self.params)), "latest_code": int(self.latest_code)}
        store.backfills.create(backfill, self.part.fields() | fields)
        return backfill


def beside(known: KnownEntry, slot: int) -> str:
    """Return the slots around a time, as the end of a sentence."""
    zone = known.entry.timezone
    around = (known.series.last(slot - 32 * 86_400_000, slot), known.series.after(slot))
    shown = " and ".join(time_in(item, zone) for item in around if item is not None)
    return f"; beside it are {shown}" if shown else ""
