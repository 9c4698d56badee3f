"""The summary of a catalog: what a scheduler tells its parent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from flowq.flows.local_worker.worker import needed_queues
from flowq.schedules.entries import FlowsOfDirectory, KnownEntry

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

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the summary that `to_json` wrote."""
        lists: dict[str, Any] = {name: tuple(data[name]) for name in ("invalid", "queues")}
        return cls(**{**data, **lists, "coming": tuple(Coming(*item) for item in data["coming"])})

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
