"""Another text of a flow for a run that is retried: what runs again gets its present definition, the rest is kept.

The jobs must be the same: the names of all cells, also of those that users do not see. They keep their ordinals, so the new plan is put
into the order of the run's. A job whose dependencies have changed runs again, and all below it. A job that stays as it is keeps the
definition that it was executed with; only its place is that in the present text. Name, labels, `retention`, `keep`, `timezone` and `concurrency` of
the run stay as they were submitted, so does a timeout that was given to the run, and one that was submitted without messages sends none.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from flowq import signing
from flowq.exceptions import InvalidRunOperation
from flowq.flows.actions.selection import select
from flowq.flows.actions.submit import run_fields, staged_jobs
from flowq.plan import Cell, Edge, Plan, as_of, in_queue
from flowq.plan.foreach import before_run
from flowq.store.retry_upload import NewPlan, ResetJob
from flowq.store.run_upload import StagedJob
from flowq.store.schema.records import RunRecord

_OF_RUN = ("timeout", "sources", "expiry_times", "notify", "queues")  # fields of the run's record that come from the plan
_NOT_DEFINED = frozenset({"pending", "phase", "verdict"})  # fields of a job that its reset writes, or that never change
_NAMED = 5  # jobs named in a message


@dataclass(frozen=True, slots=True)
class Reload:
    """The present text for a run. `plan` has the run's ordinals; `changed` are the jobs that run again because of it, with the reason."""

    run: RunRecord
    before: Plan
    plan: Plan
    changed: Mapping[int, str]

    def apply(self, resets: Sequence[ResetJob], attempt: int, whole: Plan) -> tuple[tuple[ResetJob, ...], NewPlan]:
        """Return the resets with their new definitions and those of other dependents, and the new plan.

        Args:
            resets: the jobs that run again.
            attempt: the attempt that the retry begins.
            whole: `plan` with the cells of its foreach jobs.
        """
        new = self._mixed({job.ordinal for job in resets}, whole)
        before, after = _staged(self.before, self.run), _staged(new, self.run)
        groups = {cell.node: cell.ordinal for cell in new.cells if cell.group and not cell.hidden}
        out = [replace(job, definition=_definition(job.ordinal, after, groups, whole)) for job in resets]
        again = {job.ordinal for job in resets}
        out += [
            ResetJob(job.ordinal, 0, kept=True, definition=_json({}, job.children))
            for job, old in zip(after, before, strict=True)
            if job.ordinal not in again and set(job.children) != set(old.children)
        ]
        text = new.to_json().encode("utf-8", "surrogatepass")
        known = run_fields(new, local=self.run.local, queue_prefix=self.run.queue_prefix, labels={})
        fields = {name: known[name] for name in _OF_RUN if name in known} | {"plan_attempt": attempt}
        if signed := signing.signature(text, "plan of run", self.run.id, self.run.directory):
            fields["signature"] = signed
        return tuple(out), NewPlan(text, fields)

    def _mixed(self, again: set[int], whole: Plan) -> Plan:
        """Return the plan in which nodes that are not executed again are those that were executed.

        A cell that is not stays in its queue, and keeps what it had for itself, also where others of its matrix are.
        """
        before = {node.name: node for node in self.before.nodes}
        changed = {whole.cells[ordinal].node for ordinal in again}
        nodes = tuple(
            node if index in changed else replace(before[node.name], line=node.line, file=node.file)
            for index, node in enumerate(self.plan.nodes)
        )
        cells = (
            new
            if new.group or new.ordinal in again
            else as_of(in_queue(new, nodes[new.node], self.before.queue_of(old)), nodes[new.node], self.before.node_of(old))
            for old, new in zip(self.before.cells, self.plan.cells, strict=True)
        )
        return replace(self.plan, nodes=nodes, cells=tuple(cells))


def reload_plan(run: RunRecord, stored: Plan, fresh: Plan) -> Reload:
    """Return what the present text changes in a run.

    Args:
        run: the record of the run.
        stored: its plan.
        fresh: the plan of the present text, of the whole flow.

    Raises:
        InvalidRunOperation: it cannot be taken over; the message says why.
        NoSuchJobError, UsageError: the selected part of the flow is no part of the present text.
    """
    if run.bundle:
        raise _refusal(run, "its files travelled with it, so it has those of its submission")
    if fresh.concurrency != stored.concurrency:
        raise _refusal(run, "its `concurrency` has changed")
    plan = _reordered(run, stored, select(fresh, stored.selection))
    changed: dict[int, str] = {}
    for old, new in zip(stored.cells, plan.cells, strict=True):
        late = next((edge.parent for edge in new.parents if edge.parent > new.ordinal), None)
        if late is not None:
            raise _refusal(run, f"{new.label} now depends on {plan.cells[late].label}, which stands behind it in this run")
        if set(old.parents) != set(new.parents) and not new.phase:
            changed[new.ordinal] = "its dependencies have changed"
        elif new.group and not new.hidden and stored.node_of(old).foreach != plan.node_of(new).foreach:
            changed[new.ordinal] = "its list has changed"
    plan = replace(
        plan,
        notify=plan.notify if run.notices else (),
        name=stored.name,
        labels=stored.labels,
        retention=stored.retention,
        timezone=stored.timezone,
        timeout=stored.timeout if stored.own_timeout else plan.timeout,
        own_timeout=stored.own_timeout,
    )
    return Reload(run, stored, plan, changed)


def _reordered(run: RunRecord, stored: Plan, fresh: Plan) -> Plan:
    """Return the plan with the ordinals of the stored one."""
    places = {_key(stored, cell): cell.ordinal for cell in stored.cells}
    found = [_key(fresh, cell) for cell in fresh.cells]
    if len(places) != len(found) or set(places) != set(found):
        raise _refusal(run, _difference(stored, fresh))
    ordinals = [places[key] for key in found]
    cells = [
        replace(
            cell,
            ordinal=ordinals[cell.ordinal],
            parents=tuple(Edge(ordinals[edge.parent], edge.condition) for edge in cell.parents),
        )
        for cell in fresh.cells
    ]
    return replace(fresh, cells=tuple(sorted(cells, key=lambda cell: cell.ordinal)))


def _key(plan: Plan, cell: Cell) -> tuple[str, str, bool, bool, str]:
    return (plan.node_of(cell).name, cell.name, cell.group, cell.hidden, cell.phase)


def _difference(stored: Plan, fresh: Plan) -> str:
    before, after = ([cell.name for cell in before_run(plan).shown_jobs()] for plan in (stored, fresh))
    parts = [
        f"{what}: {', '.join(names[:_NAMED])}{', …' if len(names) > _NAMED else ''}"
        for what, names in (
            ("new", [name for name in after if name not in set(before)]),
            ("gone", [name for name in before if name not in set(after)]),
        )
        if names
    ]
    return f"it has other jobs ({'; '.join(parts)})" if parts else "its stages, matrices or sub-flows have changed"


def _refusal(run: RunRecord, why: str) -> InvalidRunOperation:
    return InvalidRunOperation(
        f"the present text cannot be taken over into run {run.id}: {why}. Nothing was changed;"
        f" `flowq run --again {run.id}` starts a new run with it, without --reload the text as submitted runs"
    )


def _staged(plan: Plan, run: RunRecord) -> list[StagedJob]:
    return list(staged_jobs(plan, run.id, queue_prefix=run.queue_prefix))


def _definition(ordinal: int, jobs: Sequence[StagedJob], groups: Mapping[int, int], whole: Plan) -> str:
    """Return the definition of a job, for a cell of a foreach by the fields that its group has for its cells."""
    if ordinal < len(jobs):
        return _json(jobs[ordinal].fields, jobs[ordinal].children)
    template = jobs[groups[whole.cells[ordinal].node]].fields.items()
    return _json({name.removeprefix("cell:"): value for name, value in template if name.startswith("cell:")}, None)


def _json(fields: Mapping[str, str | int], children: Sequence[tuple[int, str]] | None) -> str:
    flat = [str(part) for name, value in fields.items() if name not in _NOT_DEFINED for part in (name, value)]
    edges = None if children is None else [f"{child}|{condition}" for child, condition in children]
    return json.dumps([flat, edges], separators=(",", ":"))
