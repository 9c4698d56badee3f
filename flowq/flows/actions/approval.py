"""Decisions about approvals, and their record."""

import getpass
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING

from flowq.exceptions import InvalidJobOperation, NoSuchJobError
from flowq.flows.actions.selection import find_cell
from flowq.ids import member_id
from flowq.plan import Plan
from flowq.states import Reason
from flowq.store.schema.outcomes import Outcome

if TYPE_CHECKING:
    from flowq.store import Store


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision. `by`: the name of the person; None: the user of this process."""

    approved: bool
    by: str | None = None
    comment: str = ""

    @property
    def who(self) -> str:
        """The name that is recorded."""
        return self.by or user()


def user() -> str:
    """Return the name of the user of this process, as far as the system knows it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def waiting(store: "Store", run: str, plan: Plan) -> list[str]:
    """Return the names of the approvals of a run that wait for a decision."""
    cells = [cell for cell in plan.jobs() if plan.node_of(cell).action.kind == "approval"]
    records = store.runs.jobs(run, [cell.ordinal for cell in cells])
    return [
        cell.name
        for cell, record in zip(cells, records, strict=True)
        if record is not None and record.reason == Reason.APPROVAL
    ]


def decide(store: "Store", run: str, plan: Plan, name: str, decision: Decision) -> None:
    """Approve or reject.

    Args:
        store: where the run is.
        run: its id.
        plan: of the run, with the cells of its foreach jobs.
        name: of the approval (of one cell, where there are several).
        decision: the user's decision.

    Raises:
        NoSuchJobError: the run has no such job.
        InvalidJobOperation: the job is no approval, or does not wait for a decision.
    """
    cell = find_cell(plan, name)
    cells = plan.cells_of().get(name) if cell is None else None
    if cells and plan.node_of(plan.cells[cells[0]]).action.kind == "approval":
        raise InvalidJobOperation(f"{name!r} of run {run} is several approvals, decide about one; {_hint(store, run, plan)}")
    if cell is None:
        near = get_close_matches(name, [*plan.cells_of(), *(cell.name for cell in plan.shown_jobs())], n=1, cutoff=0.5)
        meant = f"did you mean {near[0]!r}? " if near else ""
        raise NoSuchJobError(f"run {run} has no job {name!r}; {meant}{_hint(store, run, plan)}")
    if plan.node_of(cell).action.kind != "approval":
        raise InvalidJobOperation(f"{name!r} of run {run} is no approval; {_hint(store, run, plan)}")
    job = member_id(run, cell.ordinal)
    if decision.approved:
        at = datetime.fromtimestamp(store.now_ms() / 1000, UTC).isoformat(timespec="seconds")
        value = {"approved": True, "by": decision.who, "at": at, "comment": decision.comment}
        outcome = store.jobs.approve(job, json.dumps(value).encode(), by=decision.who, comment=decision.comment)
    else:
        text = f"rejected by {decision.who}" + (f": {decision.comment}" if decision.comment else "")
        outcome = store.jobs.reject(job, text.encode("utf-8", "backslashreplace"), by=decision.who, comment=decision.comment)
    if outcome not in {Outcome.DONE, Outcome.DUPLICATE}:
        record = store.jobs.get(job)
        what = "is gone" if record is None else f"is {record.status}" + (f" ({record.reason})" if record.reason else "")
        raise InvalidJobOperation(f"{name!r} of run {run} does not wait for a decision, it {what}; {_hint(store, run, plan)}")


def _hint(store: "Store", run: str, plan: Plan) -> str:
    names = waiting(store, run, plan)
    return f"waiting for a decision: {', '.join(names)}" if names else "no job of the run waits for a decision"
