"""The result of a name: of a job its own, of a matrix or foreach the list of its cells', of a sub-flow its outputs."""

from typing import TYPE_CHECKING

from flowq.plan import Action, Json, Node, Plan
from flowq.worker.supervisor.expressions.job_outputs import Shape, read_upstream

if TYPE_CHECKING:
    from flowq.store import Store


def result_of(store: "Store", run_id: str, plan: Plan, name: str) -> Json:
    """Return the current value of the expression `jobs.<name>.result`; null if there is no result.

    Raises:
        EvalError: of a sub-flow, its outputs have no value.
    """
    reader = Node(name="", line=0, action=Action("join"), queue="", timeout=None, reads=(name,))
    found: Json = read_upstream(store, Shape.of(run_id, plan), reader)[name]
    return found["result"]
