"""Runs of events: the event is judged by its trigger, the flow compiled with its values, and the run offered to the store.

The run's id is made of trigger and key, and that the event is dealt with is noted in the step that makes the run visible: however often it is
offered, there is one run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from flowq import expr
from flowq.flows.actions.submit import offer
from flowq.flows.views.text import safe_line
from flowq.plan import Json
from flowq.plan.trigger import Trigger
from flowq.schedules.entries import FlowOfCatalog
from flowq.schedules.slot_runs import Maker, about, first_problem, log
from flowq.slots.series import slot_id
from flowq.store.schedules import EventClaim
from flowq.store.schema.outcomes import Outcome

CAUSES: Final = {"files": "file", "flow": "flow", "webhook": "webhook"}
"""What is noted of a run that a trigger of a kind has started."""


@dataclass(frozen=True, slots=True)
class KnownTrigger:
    """A trigger of a flow of the catalog, with its id."""

    id: str
    flow: FlowOfCatalog
    trigger: Trigger


@dataclass(frozen=True, slots=True)
class EventRun:
    """What became of an event.

    Attributes:
        outcome: of the store: done, or why the event has to be offered again.
        run: the run that is there for it, "" if there is none.
        reason: why there is none: if_false, or the first problem of the flow.
        repeated: the run was there before.
    """

    outcome: Outcome
    run: str = ""
    reason: str = ""
    repeated: bool = False


def start_run(maker: Maker, known: KnownTrigger, claim: EventClaim, data: Mapping[str, Json]) -> EventRun:
    """Start the run of an event, unless it is none for the trigger.

    Args:
        maker: where runs are submitted.
        known: the trigger.
        claim: the event.
        data: what expressions see of it.

    Raises:
        FlowChangedError: a file of the flow was written meanwhile.
        FlowqError: the `if` or the params of the trigger have no value for this event.
    """
    schedules = maker.store.schedules
    scope: dict[str, Json] = {"event": dict(data)}
    if known.trigger.condition and expr.evaluate(known.trigger.condition, scope) is not True:
        return EventRun(schedules.settle_event(claim, "left_out", "if_false"), reason="if_false")
    params = expr.render(dict(known.trigger.params), scope)
    assert isinstance(params, dict), "a map stays one"
    compiled = known.flow.compile(params=params)
    if compiled.plan is None:
        problem = first_problem(compiled)
        log.error("%s: %s cannot run: %s", known.id, _event(known.trigger, claim.key), problem)
        return EventRun(schedules.settle_event(claim, "refused", problem), reason=problem)
    offered = offer(
        maker.store,
        maker.prepared(compiled.plan),
        directory=maker.root,
        queue_prefix=maker.queue_prefix,
        run_id=slot_id(known.id, claim.key),
        labels=known.trigger.labels,
        cause=CAUSES[known.trigger.kind],
        by=known.id,
        slot=claim,
    )
    if offered.outcome is Outcome.DONE:
        log.info(
            "%s: run %s for %s",
            known.id,
            offered.run,
            _event(known.trigger, claim.key),
            extra=about(offered.run, compiled.plan),
        )
        return EventRun(Outcome.DONE, offered.run)
    if offered.outcome is Outcome.CONFLICT and offered.run in schedules.existing([offered.run]):
        return EventRun(schedules.settle_event(claim, "run", run=offered.run), offered.run, repeated=True)
    if offered.outcome in {Outcome.DUPLICATE, Outcome.SKIPPED}:
        run = offered.run if offered.outcome is Outcome.DUPLICATE else ""
        return EventRun(Outcome.DONE, run, "" if run else f"run {offered.holder} is open", repeated=True)
    return EventRun(offered.outcome)


def _event(trigger: Trigger, key: str) -> str:
    """Return what a user calls an event: the path of a file without size and time, the run without its attempt."""
    return safe_line(key.rsplit("|", {"files": 2, "flow": 1}.get(trigger.kind, 0))[0])
