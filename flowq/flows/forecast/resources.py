"""What the jobs of a run would ask of their machines, as far as that is known before it."""

from flowq.exceptions import UsageError
from flowq.expr import EvalError, render, written
from flowq.plan import Cell, Json, Plan
from flowq.plan.resources import describe_resources, parse_resource


def expected_resources(plan: Plan, cell: Cell) -> dict[str, Json]:
    """Return the amount of each resource of a job, in its unit; as it is written if its value is known in the run only."""
    node = plan.node_of(cell)
    scope = {
        "params": plan.params_of(node),
        "run": {"attempt": 1, "name": plan.name, "date": plan.date},
        "matrix": cell.matrix or {},
    }
    out: dict[str, Json] = {}
    for name, value in node.resources.items():
        try:
            found = render(value, scope)
            if found is not None and found != "":
                out[name] = parse_resource(name, found)
        except (EvalError, UsageError):
            out[name] = written(value) if isinstance(value, (str, dict)) else value
    return out


def describe(amounts: dict[str, Json]) -> str:
    """Return amounts as a user writes them: `cpus 4, memory 8G`."""
    return ", ".join(
        f"{name} {amount}" if isinstance(amount, str) else describe_resources({name: amount})
        for name, amount in amounts.items()
    )
