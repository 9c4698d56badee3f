"""Jobs of a run: one job, its result, its explanation, its output, decisions and cancels."""

from collections.abc import AsyncIterator

from starlette.concurrency import iterate_in_threadpool

from flowq.flows.actions.approval import Decision, decide
from flowq.flows.documents.run_document import attempts_of, job_document
from flowq.flows.explain.queue_state import read_queue_state
from flowq.flows.explain.why import cause_json, explain
from flowq.flows.local_worker.detached import ensure_worker
from flowq.flows.run import Run
from flowq.flows.views.artifacts import with_artifacts
from flowq.flows.views.job_log import BYTES, LogChoice, read_page, read_page_before
from flowq.flows.views.job_result import result_of
from flowq.flows.views.log_bytes import find_text, read_chunks, read_part
from flowq.flows.views.run_view import run_view
from flowq.flows.views.snapshot import read_events, read_plan, read_snapshot
from flowq.ids import member_id
from flowq.plan import Json
from flowq.serve.http.calls import ApiCall
from flowq.serve.http.principals import Role
from flowq.serve.http.replies import JSON, Reply, no_such
from flowq.serve.http.route import API, Route
from flowq.serve.http.schemas import COUNT, DONE, FLAG, MAP, TEXT, array, body, document, integer, one_of, text
from flowq.serve.http.targets import find_job

_TEXT = "text/plain; charset=utf-8"
_JOB = f"{API}/runs/{{run}}/jobs/{{job}}"
_POSITION = r"^\d{1,15}(-\d{1,15})?$"
_LOG_QUERY = {
    "offset": integer(0, 2**40, 0),
    "tail": integer(0, BYTES),
    "limit": integer(1, BYTES, BYTES),
    "after": text(40, _POSITION),
    "execution": integer(0, 10**6),
    "stream": one_of("out", "err"),
    "find": {**text(500), "minLength": 1},
    "download": {"type": "boolean", "default": False},
}
_HITS = 1000
_ENTRIES = 2000


def _job(call: ApiCall) -> Json:
    plan, snapshot = read_snapshot(call.store, call.run.id)
    cell = find_job(call, plan)
    view = with_artifacts(call.store, run_view(plan, snapshot))
    job = next((job for job in (*view.jobs, *view.gates) if job.ordinal == cell.ordinal), None)
    if job is None:
        raise no_such("job", call.path["job"])
    own = member_id(call.run.id, cell.ordinal)
    events = [event for event in read_events(call.store, call.run.id) if event.job == own]
    return job_document(plan, view, job, attempts_of(events))


def _result(call: ApiCall) -> Json:
    plan = read_plan(call.store, call.run.id)
    cell = find_job(call, plan)
    if cell.name in plan.targets():
        return {"result": result_of(call.store, call.run.id, plan, cell.name)}
    return {"result": Run(call.store, call.run.id).result(cell.name)}


def _why(call: ApiCall) -> Json:
    plan, snapshot = read_snapshot(call.store, call.run.id)
    cell = find_job(call, plan)
    view = run_view(plan, snapshot)
    cause = explain(plan, view, cell.ordinal, read_queue_state(call.store, view))
    return {"run": call.run.id, "file": view.file, **cause_json(cause)}


def _log(call: ApiCall) -> Reply | Json:
    query = call.query
    cell = find_job(call, read_plan(call.store, call.run.id))
    choice = LogChoice(cell.ordinal, query.get("execution"), query.get("stream"))
    if query.get("find"):
        return find_text(call.store, call.run.id, choice, query["find"], _HITS, offset=query["offset"])
    if query["download"]:
        return _download(call, choice)
    if "after" in query or call.headers.get("accept", "").startswith(JSON):
        return read_page(call.store, call.run.id, choice, query.get("after", "0"), min(query["limit"], _ENTRIES))
    tail = query.get("tail")
    limit = query["limit"] if tail is None else tail
    part = read_part(call.store, call.run.id, choice, offset=query["offset"], limit=limit, tail=tail is not None)
    last = part.first + len(part.data)
    headers = {"Flowq-Log-Range": f"{part.first}-{last}/{part.total}", "Flowq-Log-Dropped": str(part.dropped)}
    return Reply(200, part.data, _TEXT, headers)


def _download(call: ApiCall, choice: LogChoice) -> Reply:
    def stream() -> AsyncIterator[bytes]:
        return iterate_in_threadpool(read_chunks(call.store, call.run.id, choice))

    headers = {"Content-Disposition": f'attachment; filename="{call.run.id}-{choice.ordinal}.log"'}
    return Reply(200, None, _TEXT, headers, stream=stream)


def _logs(call: ApiCall) -> Json:
    if "before" in call.query:
        return read_page_before(call.store, call.run.id, call.query["before"], call.query["limit"])
    return read_page(call.store, call.run.id, LogChoice(), call.query["after"], call.query["limit"])


def _approve(call: ApiCall) -> Json:
    plan = read_plan(call.store, call.run.id)
    cell = find_job(call, plan)
    approved = call.body["decision"] == "approved"
    decide(call.store, call.run.id, plan, cell.name, Decision(approved, call.principal.name, call.given("comment", "")))
    ensure_worker(call.store, call.run.id)
    return {"done": True}


def _cancel(call: ApiCall) -> Json:
    cell = find_job(call, read_plan(call.store, call.run.id))
    Run(call.store, call.run.id).cancel(cell.name)
    return {"done": True}


ROUTES = (
    Route(
        method="GET",
        path=_JOB,
        role=Role.VIEWER,
        summary="A job, by its ordinal or its name",
        answer=document({"name": TEXT, "ordinal": COUNT, "status": {}, "attempts_list": array(MAP)}),
        handler=_job,
    ),
    Route(
        method="GET",
        path=f"{_JOB}/result",
        role=Role.VIEWER,
        summary="The result of a job",
        answer=document({"result": {}}),
        handler=_result,
    ),
    Route(
        method="GET",
        path=f"{_JOB}/why",
        role=Role.VIEWER,
        summary="Why a job is in its state, as `flowq why --json` prints it",
        answer=document({"run": TEXT, "name": TEXT, "text": TEXT, "causes": array(MAP)}),
        handler=_why,
    ),
    Route(
        method="GET",
        path=f"{_JOB}/log",
        role=Role.VIEWER,
        summary=(
            "What a job printed: bytes (`Flowq-Log-Range` says which of how many), or with `after` or `Accept: application/json`"
            " entries of position, time, ordinal, stream and text; with `find` the lines that have a text in them, from `offset` on"
        ),
        query=_LOG_QUERY,
        answer=document({"entries": array(array({})), "hits": array(array({})), "next": {}}, ["entries", "hits", "next"]),
        media_types=(JSON, "text/plain"),
        handler=_log,
    ),
    Route(
        method="GET",
        path=f"{API}/runs/{{run}}/log",
        role=Role.VIEWER,
        summary="What all jobs of a run printed, as entries of position, time, ordinal, stream and text; with `before` (`+`: the end) the latest",
        query={
            "after": {**text(40, _POSITION), "default": "0"},
            "before": text(40, r"^(\+|\d{1,15}(-\d{1,15})?)$"),
            "limit": integer(1, 5000, 1000),
        },
        answer=document({"entries": array(array({})), "next": TEXT, "more": FLAG, "dropped": COUNT}),
        handler=_logs,
    ),
    Route(
        method="POST",
        path=f"{_JOB}/approve",
        role=Role.OPERATOR,
        summary="Approve or reject a job that waits for it",
        body=body({"decision": one_of("approved", "rejected"), "comment": text(2000)}, ["decision"]),
        answer=DONE,
        errors=(409,),
        handler=_approve,
    ),
    Route(
        method="POST",
        path=f"{_JOB}/cancel",
        role=Role.OPERATOR,
        summary="Cancel a job",
        body=body({}),
        answer=DONE,
        errors=(409,),
        handler=_cancel,
    ),
)
