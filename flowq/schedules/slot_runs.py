"""Runs of slots: compile the flow for a slot, and offer the run to the store, which decides whether it is to be."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from flowq.compiler import Compilation
from flowq.flows.actions.shipment import with_shipment
from flowq.flows.actions.submit import Submitted, offer
from flowq.plan import Json, Plan
from flowq.plan.schedule import Scheduled
from flowq.schedules.entries import FlowOfCatalog, KnownEntry
from flowq.slots.series import slot_id
from flowq.store.schedules import SlotClaim

if TYPE_CHECKING:
    from flowq.store import Store

_LOWEST: Final = -1000  # priority of a job
_NOTHING: Final[Mapping[str, Json]] = {}

log: Final = logging.getLogger("flowq.schedules")


def about(run: str, plan: Plan) -> dict[str, str]:
    """Return what records of the log about a run that was made have as fields."""
    return {"run": run, "flow": plan.name}


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes the runs of a catalog's slots.

    Args:
        store: where they are submitted.
        root: the directory that they belong to.
        queue_prefix: in front of the names of their queues.
        ships: the files of the directory travel with them.
        asked: the cause of runs that a user asks for: cli or api.
    """

    store: "Store"
    root: str
    queue_prefix: str = ""
    ships: bool = False
    asked: str = "cli"

    def prepared(self, plan: Plan) -> Plan:
        """Return a plan of a flow of the catalog as it is submitted."""
        return with_shipment(plan, self.root) if self.ships else plan

    def offer(
        self,
        known: KnownEntry,
        plan: Plan,
        claim: SlotClaim,
        *,
        salt: str = "",
        labels: Mapping[str, str] | None = None,
        by: str = "",
    ) -> Submitted:
        """Offer the run of a slot; its id is made of schedule, slot and `salt`."""
        return offer(
            self.store,
            self.prepared(plan),
            directory=self.root,
            queue_prefix=self.queue_prefix,
            run_id=slot_id(known.id, str(claim.slot), salt),
            labels=labels,
            cause="backfill" if claim.kind == "backfill" else "schedule" if claim.kind == "slot" else self.asked,
            by=by or known.id,
            slot=claim,
        )


def compile_slot(flow: FlowOfCatalog, known: KnownEntry, slot: int, params: Mapping[str, Json] = _NOTHING) -> Compilation:
    """Compile a flow for a slot of an entry; `params` take precedence over those of the entry.

    Raises:
        FlowChangedError: a file of it was written meanwhile.
    """
    scheduled = Scheduled(at=slot, entry=known.entry.name, timezone=known.entry.timezone)
    return flow.compile(scheduled=scheduled, params=params) if params else flow.compile(scheduled=scheduled)


def lowered(plan: Plan, by: int) -> Plan:
    """Return a plan whose jobs have a lower priority."""
    return replace(plan, nodes=tuple(replace(node, priority=max(_LOWEST, node.priority - by)) for node in plan.nodes))


def first_problem(compilation: Compilation) -> str:
    """Return the first error of a flow that cannot be compiled, in a line."""
    found = (item for item in compilation.diagnostics if item.severity == "error")
    return next((f"{item.code}: {item.message}" for item in found), "it does not compile")
