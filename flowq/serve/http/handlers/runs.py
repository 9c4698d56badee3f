"""Runs: lists, one run, and its documents."""

import time

from flowq.flows.documents.run_document import COLUMNS, jobs_table, run_document
from flowq.flows.documents.run_sources import sources_json
from flowq.flows.forecast.history import read_history
from flowq.flows.forecast.outlook import outlook
from flowq.flows.local_worker.process import default_slots
from flowq.flows.views.json_documents import event_json
from flowq.flows.views.run_list import ORPHANED, RunFilter, moment_ms, select_runs, summary_json
from flowq.flows.views.run_view import RunView, run_view
from flowq.flows.views.snapshot import read_plan, read_snapshot
from flowq.plan import Json, Plan
from flowq.serve.http.calls import ApiCall
from flowq.serve.http.lists import cursor, in_parts, read_cursor, wrong_cursor
from flowq.serve.http.principals import Role
from flowq.serve.http.route import API, Route
from flowq.serve.http.schemas import COUNT, MAP, RUN, TEXT, TIME, array, document, integer, one_of, page, text
from flowq.states import CAUSES, RunStatus
from flowq.store.schema.records import RunRecord

_STATUSES = (*(str(status) for status in RunStatus), ORPHANED)
_POSITION = text(40, r"^\d{1,15}(-\d{1,15})?$")


def _runs(call: ApiCall) -> Json:
    query, now = call.query, call.store.now_ms()
    labels = [label.partition("=") for label in query.get("label", ())]
    chosen = RunFilter(
        status=query.get("status"),
        since_ms=moment_ms(query["since"], now, "since") if "since" in query else None,
        until_ms=moment_ms(query["until"], now, "until") if "until" in query else None,
        labels=tuple((name, value) for name, _, value in labels),
        cause=query.get("cause"),
        schedule=query.get("schedule"),
        text=query.get("q"),
    )
    flow = query.get("flow")

    def visible(run: RunRecord) -> bool:
        belongs = call.site.flow_of(run)
        return call.principal.covers(belongs) and (flow is None or run.flow == flow or belongs.partition("/")[2] == flow)

    found = select_runs(call.store, chosen, query["limit"], after=_after(call), visible=visible)
    items = [summary_json(run, now, lost=run.id in found.orphaned) for run in found.runs]
    # Of which flow a run is whose record cannot be read is not known, so only those who may see all runs are told.
    damaged: list[Json] = [{"id": run, "error": why} for run, why in found.damaged.items() if not call.principal.flows]
    return {"items": items, "next": None if found.next is None else cursor(found.next), "damaged": damaged}


def _after(call: ApiCall) -> tuple[int, str] | None:
    match read_cursor(call.query):
        case None:
            return None
        case (int(created), str(run)):
            return created, run
        case _:
            raise wrong_cursor()


def _run(call: ApiCall) -> Json:
    position = call.store.runs.position(call.run.id)
    plan, snapshot = read_snapshot(call.store, call.run.id)
    view = run_view(plan, snapshot)
    document = run_document(plan, view, position=position, expected_end_ms=_expected_end(call, plan, view))
    return document | {"catalog_flow": _launchable(call), "timezone": plan.timezone or "UTC"}


def _launchable(call: ApiCall) -> str | None:
    """Return the flow of the directory that a run is of, None if it can be started from no page."""
    name = call.site.flow_of(call.run).partition("/")[2]
    return name if name in call.site.flows else None


def _expected_end(call: ApiCall, plan: Plan, run: RunView) -> int | None:
    if run.ended or run.started_ms is None:
        return None
    found = outlook(plan, read_history(call.store, run.flow, before=run.id), default_slots())
    left = None if found is None else found.left(run)
    return None if left is None else time.time_ns() // 1_000_000 + round(left * 1000)


def _jobs(call: ApiCall) -> Json:
    position = call.store.runs.position(call.run.id)
    table = jobs_table(run_view(*read_snapshot(call.store, call.run.id)))
    rows = table["rows"]
    first = call.query["offset"]
    last = first + call.query["limit"]
    return {
        "columns": table["columns"],
        "rows": rows[first:last],
        "position": position,
        "next": last if last < len(rows) else None,
    }


def _events(call: ApiCall) -> Json:
    plan = read_plan(call.store, call.run.id)
    found = call.store.runs.events(call.run.id, after=call.query["after"], count=call.query["limit"])
    return {"items": [event_json(event, plan) for event in found], "next": found[-1].seq if found else None}


def _source(call: ApiCall) -> Json:
    return {"files": sources_json(call.run)}


ROUTES = (
    Route(
        method="GET",
        path=f"{API}/runs",
        role=Role.VIEWER,
        summary="The latest runs, newest first",
        query={
            "flow": text(500),
            "status": one_of(*_STATUSES),
            "label": array(text(1000, "=")),
            "cause": one_of(*CAUSES),
            "schedule": text(500),
            "since": text(40),
            "until": text(40),
            "q": text(200),
            **in_parts(200, 50),
        },
        answer=page(RUN, damaged=array(document({"id": TEXT, "error": TEXT}))),
        handler=_runs,
    ),
    Route(
        method="GET",
        path=f"{API}/runs/{{run}}",
        role=Role.VIEWER,
        summary="A run without its jobs",
        answer=document(
            {
                "id": TEXT,
                "status": TEXT,
                "position": TEXT,
                "size": COUNT,
                "expected_end": TIME,
                "nodes": array(MAP),
                "damaged": array(MAP),
            }
        ),
        handler=_run,
    ),
    Route(
        method="GET",
        path=f"{API}/runs/{{run}}/jobs",
        role=Role.VIEWER,
        summary=f"All jobs of a run, as rows of {', '.join(COLUMNS)}",
        query={"limit": integer(1, 20_000, 20_000), "offset": integer(0, 10_000_000, 0)},
        answer=document(
            {"columns": array(TEXT), "rows": array(array({})), "position": TEXT, "next": {"type": ["integer", "null"]}}
        ),
        handler=_jobs,
    ),
    Route(
        method="GET",
        path=f"{API}/runs/{{run}}/events",
        role=Role.VIEWER,
        summary="The changes of a run, as `flowq run --json` prints them",
        query={"after": {**_POSITION, "default": "0"}, "limit": integer(1, 5000, 1000)},
        answer=page(MAP),
        handler=_events,
    ),
    Route(
        method="GET",
        path=f"{API}/runs/{{run}}/source",
        role=Role.VIEWER,
        summary="The text of the flow files of a run, where it is still the one that was submitted",
        answer=document({"files": array(MAP)}),
        handler=_source,
    ),
)
