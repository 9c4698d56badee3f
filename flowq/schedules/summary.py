"""The summary of a catalog: what a scheduler tells its parent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from flowq.flows.local_worker.worker import needed_queues
from flowq.plan import Plan
from flowq.schedules.directory.catalog import FlowChangedError
from flowq.schedules.entries import FlowsOfDirectory, KnownEntry
from flowq.schedules.slot_runs import compile_slot

_COMING: Final = 20  # slots


@dataclass(frozen=True, slots=True)
class Coming:
    """The next slot of a schedule: its id, the slot (ms), the zone of its times."""

    schedule: str
    slot: int
    timezone: str


@dataclass(frozen=True, slots=True)
class Summary:
    """What a catalog has.

    Attributes:
        name: of the catalog.
        flows: the number of flows.
        invalid: paths of those that are not valid.
        schedules: the number of entries of valid flows.
        queues: what their jobs wait in.
        coming: the next slots, the earliest first.
    """

    name: str
    flows: int
    invalid: tuple[str, ...]
    schedules: int
    queues: tuple[str, ...]
    coming: tuple[Coming, ...]

    @classmethod
    def of(cls, catalog: FlowsOfDirectory, known: Sequence[KnownEntry], now: int) -> Self:
        """Summarize a catalog and its entries at a time (ms)."""
        plans = [flow.compilation.plan for flow in catalog.flows.values()]
        plans += [_plan_of(item, now) for item in known if item.flow.compilation.plan is None]
        firing = [item for item in known if item.flow.valid]
        slots = ((item, item.series.after(now)) for item in firing if not item.entry.paused)
        coming = [Coming(item.id, slot, item.entry.timezone) for item, slot in slots if slot is not None]
        return cls(
            catalog.name,
            len(catalog.flows),
            tuple(flow.path for flow in catalog.flows.values() if not flow.valid),
            len(firing),
            tuple(sorted({queue for plan in plans if plan is not None for queue in needed_queues(plan)})),
            tuple(sorted(coming, key=lambda item: item.slot)[:_COMING]),
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "name": self.name,
            "flows": self.flows,
            "invalid": list(self.invalid),
            "schedules": self.schedules,
            "queues": list(self.queues),
            "coming": [[item.schedule, item.slot, item.timezone] for item in self.coming],
        }


def _plan_of(known: KnownEntry, now: int) -> Plan | None:
    """Return the plan of a flow whose params have values only in the runs of an entry."""
    slot = known.series.after(now)
    if slot is None or not known.flow.valid:
        return None
    try:
        return compile_slot(known.flow, known, slot).plan
    except FlowChangedError:  # it is told again when it has been read
        return None
