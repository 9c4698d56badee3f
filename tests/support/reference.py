"""The end of every job of a plan, computed from the rules in plain Python: what the store must arrive at."""

from collections.abc import Mapping

from flowq.flows import rules
from flowq.plan import Plan
from flowq.states import JobStatus


def expected(plan: Plan, outcomes: Mapping[str, str]) -> dict[str, str]:
    """Return each job's end (with its reason after a slash) when the jobs that are executed end as `outcomes` says."""
    ends: list[rules.End] = []
    out: dict[str, str] = {}
    for cell in plan.cells:
        if cell.group:
            ends.append(rules.group_end(ends[edge.parent] for edge in cell.parents))
            continue
        broken = [edge for edge in cell.parents if not rules.holds(ends[edge.parent], edge.condition)]
        if broken:
            ends.append(rules.End(JobStatus.SKIPPED))
            out[cell.name] = "|".join(sorted({f"skipped/{rules.skip_reason(ends[edge.parent])}" for edge in broken}))
            continue
        wanted = "finished" if plan.node_of(cell).action.kind == "join" else outcomes.get(cell.name, "finished")
        ends.append(rules.End(JobStatus(wanted.removesuffix("!")), allowed=wanted.endswith("!")))
        out[cell.name] = {"failed": "failed/error", "failed!": "failed/error", "finished": "finished", "stopped": "stopped"}[
            wanted
        ]
    return out


def differences(actual: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, tuple[str | None, str]]:
    """Return what differs; where several broken edges explain a skip, the first to be decided names the reason."""
    return {name: (actual.get(name), text) for name, text in wanted.items() if actual.get(name) not in text.split("|")}
