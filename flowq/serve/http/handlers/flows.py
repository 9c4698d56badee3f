"""Flows of the directory: lists, one flow, checks and launches."""

from flowq.flows.views.run_list import RunFilter, select_runs
from flowq.plan import Json, Selection
from flowq.schedules.slot_runs import Maker
from flowq.schedules.users.flow_documents import Around, check_json, flow_json, item_json, source_text
from flowq.schedules.users.launch import LaunchRequest, check, launch
from flowq.schedules.views import read_schedules
from flowq.serve.http.calls import ApiCall
from flowq.serve.http.lists import in_parts, part
from flowq.serve.http.principals import Role
from flowq.serve.http.replies import Reply, no_such
from flowq.serve.http.route import API, Route
from flowq.serve.http.schemas import (
    DIAGNOSTIC,
    FLAG,
    LABELS,
    MAP,
    PARAMS,
    SECONDS,
    TEXT,
    Schema,
    array,
    body,
    document,
    page,
    text,
)

_SCANNED = 1000  # latest runs among which those of the flows are
_NAMES: Schema = array(text(500), 1000)
_WISH: Schema = body(
    {
        "params": PARAMS,
        "labels": LABELS,
        "selection": body({"jobs": _NAMES, "stages": _NAMES, "until": _NAMES, "without": _NAMES}),
        "timeout": {"type": ["number", "null"], "exclusiveMinimum": 0, "maximum": 10**9},
        "cache": FLAG,
    }
)


def _flows(call: ApiCall) -> Json:
    flows = call.site.flows
    visible = (name for name in flows if call.principal.covers(call.site.flow_id(name)))
    names, after = part(call.query, visible, lambda name: (name,))
    around = _around(call, names)
    return {"items": [item_json(flows[name], around) for name in names], "next": after}


def _around(call: ApiCall, names: list[str]) -> Around:
    assert call.site.catalog is not None or not names, "flows have a catalog"
    prefix = "" if call.site.catalog is None else f"{call.site.catalog.name}/"
    wanted = {prefix + name for name in names}
    runs = select_runs(call.store, RunFilter(), _SCANNED, visible=lambda run: call.site.flow_of(run) in wanted).runs
    schedules = [name for name in call.store.schedules.names() if name.rpartition(":")[0] in wanted]
    pairs = ((call.site.flow_of(run).removeprefix(prefix), run) for run in runs)
    return Around.of(names, pairs, read_schedules(call.store, schedules))


def _flow(call: ApiCall) -> Json:
    return flow_json(call.store, call.flow, _around(call, [call.flow.name]))


def _source(call: ApiCall) -> Json:
    found = source_text(call.flow)
    if found is None:
        raise no_such("file of the flow", call.flow.name)
    return {"files": [{"file": call.flow.path, "text": found, "note": None}]}


def _check(call: ApiCall) -> Json:
    return check_json(call.flow, check(call.store, call.flow, wish_of(call)))


def _launch(call: ApiCall) -> Reply:
    run = launch(maker_of(call), call.flow, wish_of(call), by=call.principal.name, key=call.idempotency_key)
    return Reply(201, {"id": run}, headers={"Location": f"{call.site.options.prefix}{API}/runs/{run}"})


def maker_of(call: ApiCall) -> Maker:
    """Return what makes runs of the directory's flows."""
    assert call.site.catalog is not None, "a flow has a catalog"
    options = call.site.options
    return Maker(call.store, call.site.catalog.root, options.queue_prefix, options.ships)


def wish_of(call: ApiCall) -> LaunchRequest:
    """Return what the body asks for."""
    selected = call.given("selection", {})
    parts = (tuple(selected.get(name, ())) for name in ("jobs", "stages", "until", "without"))
    return LaunchRequest(
        call.given("params", {}), call.given("labels", {}), Selection(*parts), call.given("timeout"), call.given("cache", True)
    )


ROUTES = (
    Route(
        method="GET",
        path=f"{API}/flows",
        role=Role.VIEWER,
        summary="The flows of the directory, by name",
        query=in_parts(),
        answer=page(document({"name": TEXT, "file": TEXT, "valid": FLAG, "description": TEXT, "last_runs": array(MAP)})),
        handler=_flows,
    ),
    Route(
        method="GET",
        path=f"{API}/flows/{{flow}}",
        role=Role.VIEWER,
        summary="A flow with its params, schedules, triggers and diagnostics",
        answer=document({"name": TEXT, "params": array(MAP), "diagnostics": array(DIAGNOSTIC), "expected_seconds": SECONDS}),
        handler=_flow,
    ),
    Route(
        method="GET",
        path=f"{API}/flows/{{flow}}/source",
        role=Role.VIEWER,
        summary="The present text of a flow",
        answer=document({"files": array(MAP)}),
        handler=_source,
    ),
    Route(
        method="POST",
        path=f"{API}/flows/{{flow}}/check",
        role=Role.OPERATOR,
        harmless=True,
        summary="Compile a run without starting it",
        body=_WISH,
        answer=document(
            {"valid": FLAG, "diagnostics": array(DIAGNOSTIC), "params": MAP, "plan": {}, "expected_seconds": SECONDS}
        ),
        errors=(409,),
        handler=_check,
    ),
    Route(
        method="POST",
        path=f"{API}/flows/{{flow}}/runs",
        role=Role.OPERATOR,
        status=201,
        needs_key=True,
        summary="Start a run",
        body=_WISH,
        answer=document({"id": TEXT}),
        errors=(409, 422),
        handler=_launch,
    ),
)
