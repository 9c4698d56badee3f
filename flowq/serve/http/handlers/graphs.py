"""Pictures of runs and flows: the positions of their graph, and the timeline. They are laid out here, not in browsers."""

import threading
from collections import OrderedDict

from flowq.flows.documents.run_document import plan_hash
from flowq.flows.render.graph.positions import graph_layout_json
from flowq.flows.render.timeline_document import timeline_json
from flowq.flows.views.run_view import run_view
from flowq.flows.views.snapshot import read_events, read_plan, read_snapshot
from flowq.plan import Json, Plan
from flowq.plan.foreach import before_run
from flowq.serve.http.calls import ApiCall
from flowq.serve.http.principals import Role
from flowq.serve.http.replies import RefusedError
from flowq.serve.http.route import API, Route
from flowq.serve.http.schemas import MAP, TIME, array, document

_LAYOUTS = 64  # that are kept; one of 10,000 jobs takes a second
_FOLD = {"fold": {"type": "boolean", "default": True}}
_GRAPH = document({"boxes": array(MAP), "edges": array(array({})), "columns": {}, "rows": {}, "plan": {"type": "string"}})


class _Layouts:
    """Layouts by the hash of their plan: a layout never changes with the states of jobs."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, bool], dict[str, Json]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, plan: Plan, *, fold: bool) -> dict[str, Json]:
        """Return the layout of a plan."""
        key = (plan_hash(plan), fold)
        with self._lock:
            found = self._kept.get(key)
        if found is None:
            found = graph_layout_json(plan, cells=not fold) | {"plan": key[0], "fold": fold}
            with self._lock:
                self._kept[key] = found
                while len(self._kept) > _LAYOUTS:
                    self._kept.popitem(last=False)
        return found


_layouts = _Layouts()


def _of_run(call: ApiCall) -> Json:
    return _layouts.of(read_plan(call.store, call.run.id), fold=call.query["fold"])


def _of_flow(call: ApiCall) -> Json:
    plan = call.flow.compilation.plan
    if plan is None and call.flow.valid:  # params lack values
        plan = call.flow.compile(without_values=True).plan
    if plan is None:
        raise RefusedError(409, "no_plan", f"{call.flow.name} has no graph, because it is not valid")
    return _layouts.of(before_run(plan), fold=call.query["fold"])


def _timeline(call: ApiCall) -> Json:
    plan, snapshot = read_snapshot(call.store, call.run.id)
    return timeline_json(plan, run_view(plan, snapshot), read_events(call.store, call.run.id))


ROUTES = (
    Route(
        method="GET",
        path=f"{API}/runs/{{run}}/graph",
        role=Role.VIEWER,
        summary="The graph of a run, laid out; with `fold=0` with a box for each cell of a matrix. States are in the table of jobs",
        query=_FOLD,
        answer=_GRAPH,
        handler=_of_run,
    ),
    Route(
        method="GET",
        path=f"{API}/runs/{{run}}/timeline",
        role=Role.VIEWER,
        summary="When each job waited, was queued and was executed",
        answer=document({"begin": TIME, "end": TIME, "now": TIME, "bars": array(MAP)}),
        handler=_timeline,
    ),
    Route(
        method="GET",
        path=f"{API}/flows/{{flow}}/graph",
        role=Role.VIEWER,
        summary="The graph of a flow, laid out",
        query=_FOLD,
        answer=_GRAPH,
        errors=(409,),
        handler=_of_flow,
    ),
)
