"""The Plan: plain data between the compiler, which makes it, and the store and the workers, which run it.

A plan is complete: a worker needs nothing but the plan, the results of earlier jobs and the code. It is stored with its run, so
that editing the file later changes nothing. Its JSON form carries a version; a reader refuses one it does not know.

Two levels: a `Node` is a job as the file states it (what all its cells share); a `Cell` is one job of the run, with an ordinal
fixed at expansion. The cells of a matrix are additionally counted by a *group* cell (`group=True`), which is never executed: it
depends on all its cells with `done`, ends when they have ended, and carries the edges to jobs that depend on the matrix as a
whole. So n cells above m dependents are n + m edges. A matrix without cells is one job, a join. Groups count other things in the same way: the jobs of a stage, those of a
sub-flow, the cells that fit a `match`. A `foreach` is planned as its group alone; the engine adds the cells, and where there are none the group
counts as a job itself.

A sub-flow is inlined. Its nodes are named `job/inner` and keep the names of their own file in their expressions: `Node.scope` is
the prefix that turns those into names of the plan. In front of it stands a hidden join, the gate, which has the dependencies and the
`if` of the flow job. Handlers are nodes `on_failure/page`, their cells have a `phase` and are no part of the graph.

Values with expressions ("templated" values) are JSON in which
    {"$": "<expression>"}                       stands for a value of whatever type the expression has,
    {"$join": ["text", {"$": "<expr>"}, …]}     for a string put together from parts,
    {"$lit": <value>}                           for a literal map that itself has a key starting with "$".
`flowq.expr.render` turns a templated value into a plain one.
"""

from flowq.plan.cell_names import cell_name
from flowq.plan.plan import PLAN_VERSION, Plan, PlanVersionError
from flowq.plan.records import (
    GATE,
    STAGE,
    Action,
    Cache,
    Cell,
    Concurrency,
    Edge,
    JobFields,
    Json,
    Node,
    RetryPolicy,
    Selection,
    SourcePlace,
    is_gate,
)

__all__ = [
    "GATE",
    "PLAN_VERSION",
    "STAGE",
    "Action",
    "Cache",
    "Cell",
    "Concurrency",
    "Edge",
    "JobFields",
    "Json",
    "Node",
    "Plan",
    "PlanVersionError",
    "RetryPolicy",
    "Selection",
    "SourcePlace",
    "cell_name",
    "is_gate",
]
