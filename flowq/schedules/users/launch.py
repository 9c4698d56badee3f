"""Runs of flows of a catalog that a user starts: checked as the command line checks them, and submitted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flowq.compiler import Compilation, Diagnostic
from flowq.exceptions import InvalidFlowError
from flowq.flows.actions.selection import select
from flowq.flows.actions.submit import submit
from flowq.flows.forecast.duration import predict
from flowq.flows.forecast.history import read_history
from flowq.flows.local_worker.process import default_slots
from flowq.plan import Json, Plan, Selection
from flowq.plan.foreach import before_run
from flowq.schedules.entries import FlowOfCatalog
from flowq.schedules.slot_runs import Maker, first_problem
from flowq.slots.series import slot_id

if TYPE_CHECKING:
    from flowq.store import Store


@dataclass(frozen=True, slots=True)
class LaunchRequest:
    """A run that a user wants.

    Attributes:
        params: values by name; texts are converted as those of `-p` are.
        labels: added to the flow's.
        selection: a part of the flow; empty: all of it.
        timeout: seconds for the whole run, instead of the flow's; None: the flow's.
        cache: whether jobs with `cache` may take over earlier results.
    """

    params: Mapping[str, Json] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    selection: Selection = field(default_factory=Selection)
    timeout: float | None = None
    cache: bool = True

    def plan(self, compiled: Compilation) -> Plan | None:
        """Return the plan of the run; None if the flow does not compile with these values.

        Raises:
            NoSuchJobError: there is no such job or stage.
            UsageError: a selected job uses one that is not.
        """
        if compiled.plan is None:
            return None
        plan = select(compiled.plan, self.selection)
        plan = plan if self.cache else plan.without_cache()
        return plan.limited(self.timeout)


def launch(maker: Maker, flow: FlowOfCatalog, wish: LaunchRequest, *, by: str, key: str | None = None) -> str:
    """Start a run of a flow; return its id.

    Args:
        maker: where it is submitted.
        flow: the flow.
        wish: what the user wants.
        by: the user.
        key: with the same key, user and flow there is one run, however often this is called.

    Raises:
        InvalidFlowError: the flow does not compile with these values.
        InvalidRunOperation: another run was started with this key.
        FlowChangedError: a file of the flow was written a moment ago.
        NoSuchJobError, UsageError: as of `LaunchRequest.plan`.
    """
    compiled = flow.compile(params=wish.params)
    plan = wish.plan(compiled)
    if plan is None:
        raise InvalidFlowError(f"{flow.name}: {first_problem(compiled)}", compiled.diagnostics)
    return submit(
        maker.store,
        maker.prepared(plan),
        directory=maker.root,
        queue_prefix=maker.queue_prefix,
        run_id=None if key is None else slot_id(f"launch/{flow.path}/{by}", key),
        labels=wish.labels,
        cause="api",
        by=by,
    )


@dataclass(frozen=True, slots=True)
class Check:
    """What would become of a wish: the diagnostics, the plan if there are no errors, and the seconds that it will probably take."""

    diagnostics: tuple[Diagnostic, ...]
    plan: Plan | None
    seconds: float | None


def check(store: "Store", flow: FlowOfCatalog, wish: LaunchRequest) -> Check:
    """Compile a run without submitting it. Raises as of `launch`, but for flows that do not compile."""
    compiled = flow.compile(params=wish.params)
    plan = wish.plan(compiled)
    expected = None if plan is None else predict(before_run(plan), read_history(store, plan.name), default_slots())
    return Check(compiled.diagnostics, plan, None if expected is None else expected.seconds)
