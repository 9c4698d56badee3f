"""The plan: plain data that the compiler produces and the store and the workers execute.

A plan is complete: a worker needs only the plan, the results of earlier jobs and the user's code. It is stored with its run, so that
later edits of the file do not affect the run. Its JSON form has a version; a reader refuses an unknown one.

Two levels: a `Node` is a job as the file declares it, shared by all its cells; a `Cell` is one job of the run, with an ordinal
fixed at expansion. The cells of a matrix are additionally counted by a *group* cell (`group=True`), which is never executed: it
depends on all its cells with `done`, ends when they have ended, and is the parent of the jobs that depend on the whole matrix. So n
cells and m dependents need n + m edges. A matrix without cells is one job, a join. Groups also count the jobs of a stage, those of a sub-flow, and the cells that fit a
`match`. A `foreach` is planned as its group alone; the engine adds the cells; without any, the group
itself counts as a job.

A sub-flow is inlined. Its nodes are named `job/inner` and use the names of their own file in expressions: `Node.scope` is the
prefix that turns those into names of the plan. Its nodes depend on a hidden join, the gate, which has the dependencies and the
`if` of the flow job. Handlers are nodes `on_failure/page`; their cells have a `phase` and are not part of the graph.

Values with expressions ("templated" values) are JSON in which
    {"$": "<expression>"}                       is the value of the expression, of any type,
    {"$join": ["text", {"$": "<expr>"}, …]}     is a string joined from parts,
    {"$lit": <value>}                           is a literal map that itself has a key starting with "$".
`flowq.expr.render` turns a templated value into a plain one.
"""

from flowq.plan.cell_names import cell_name
from flowq.plan.plan import PLAN_VERSION, Plan, PlanVersionError
from flowq.plan.records import (
    FLOW_DIRECTORY,
    GATE,
    OPEN_QUEUE,
    STAGE,
    Action,
    Artifact,
    Cache,
    Cell,
    Concurrency,
    Edge,
    Fetch,
    JobFields,
    Json,
    Node,
    RetryPolicy,
    Selection,
    SourcePlace,
    as_of,
    in_queue,
    is_gate,
    near,
)

__all__ = [
    "FLOW_DIRECTORY",
    "GATE",
    "OPEN_QUEUE",
    "PLAN_VERSION",
    "STAGE",
    "Action",
    "Artifact",
    "Cache",
    "Cell",
    "Concurrency",
    "Edge",
    "Fetch",
    "JobFields",
    "Json",
    "Node",
    "Plan",
    "PlanVersionError",
    "RetryPolicy",
    "Selection",
    "SourcePlace",
    "as_of",
    "cell_name",
    "in_queue",
    "is_gate",
    "near",
]
