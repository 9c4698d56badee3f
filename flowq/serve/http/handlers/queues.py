"""Queues and workers."""

from flowq.command import SHUTDOWN
from flowq.exceptions import InvalidJobOperation, NoSuchWorkerError
from flowq.flows.documents.queue_documents import queue_json, worker_json
from flowq.flows.views.run_view import ordinal_of
from flowq.ids import is_member_id, split_member_id
from flowq.plan import Json
from flowq.schedules.users.attention import is_shared
from flowq.serve.http.calls import ApiCall
from flowq.serve.http.lists import in_parts, part
from flowq.serve.http.principals import Role
from flowq.serve.http.replies import no_such
from flowq.serve.http.route import API, Route
from flowq.serve.http.schemas import COUNT, DONE, FLAG, MAP, TEXT, array, body, document, page
from flowq.serve.http.segments import named
from flowq.states import JobStatus
from flowq.store.schema.documents import iso
from flowq.store.schema.outcomes import Outcome


def _queues(call: ApiCall) -> Json:
    names = [name for name in call.store.queues.names() if call.query["all"] or is_shared(name)]
    names, after = part(call.query, names, lambda name: (name,))
    suspended = call.store.queues.suspended()
    items = [queue_json(call.store.queues.get(name)) | _oldest(call, name) | {"suspended": suspended} for name in names]
    return {"items": items, "next": after, "suspended": suspended}


def _oldest(call: ApiCall, queue: str) -> dict[str, Json]:
    """Return since when the first job of a queue exists, or its run."""
    first = call.store.queues.job_ids(queue, length=1)
    record = next(iter(call.store.jobs.get_many(first, {})), None)
    if record is not None and record.created_ms is None and is_member_id(record.id):
        run = next(call.store.runs.readable([split_member_id(record.id)[0]]), None)
        return {"oldest_at": None if run is None else iso(run.created_ms)}
    return {"oldest_at": None if record is None else iso(record.created_ms)}


def _workers(call: ApiCall) -> Json:
    workers, after = part(call.query, call.store.workers.live(), lambda worker: (worker.name,))
    items = [worker_json(worker) | {"jobs": _current(call, worker.name)} for worker in workers]
    return {"items": items, "next": after, "suspended": call.store.queues.suspended()}


def _current(call: ApiCall, worker: str) -> list[dict[str, Json]]:
    """Return the jobs that a worker executes now, as far as the user may know of them."""
    damaged: dict[str, str] = {}
    records = call.store.jobs.get_many(call.store.workers.jobs(worker), damaged)
    found: list[dict[str, Json]] = [{"id": job, "error": why} for job, why in damaged.items() if not call.principal.flows]
    for record in records:
        if record is None or record.id in damaged or record.status is not JobStatus.STARTED or record.worker != worker:
            continue
        run_id = split_member_id(record.id)[0] if is_member_id(record.id) else None
        run = None if run_id is None else next(call.store.runs.readable([run_id]), None)
        if run is None and call.principal.flows:
            continue
        if run is not None and not call.principal.covers(call.site.flow_of(run)):
            continue
        found.append(
            {
                "id": record.id,
                "run": run_id,
                "flow": None if run is None else run.flow,
                "ordinal": ordinal_of(record.id) if run is not None else None,
                "queue": record.queue,
                "started_at": iso(record.started_ms),
            }
        )
    return found


def _suspend(call: ApiCall) -> Json:
    call.store.queues.suspend(call.given("seconds"))
    return {"done": True}


def _resume(call: ApiCall) -> Json:
    return {"done": call.store.queues.resume()}


def _worker(call: ApiCall) -> str:
    name = named(call.path["worker"], (worker.name for worker in call.store.workers.live()))
    if name is None:
        raise no_such("worker", call.path["worker"])
    return name


def _kill(call: ApiCall) -> Json:
    worker = _worker(call)
    job = named(call.path["job"], call.store.workers.jobs(worker))
    if job is None:
        raise no_such(f"job of worker {worker}", call.path["job"])
    outcome = call.store.jobs.cancel(job) if is_member_id(job) else call.store.jobs.stop(job)
    if outcome is not Outcome.DONE:
        raise InvalidJobOperation(f"{job} is not executed any more")
    return {"done": True}


def _stop(call: ApiCall) -> Json:
    name = _worker(call)
    if call.store.workers.command(name, SHUTDOWN) is Outcome.NOT_FOUND:
        raise NoSuchWorkerError(f"there is no worker {name!r} any more")
    return {"done": True}


ROUTES = (
    Route(
        method="GET",
        path=f"{API}/queues",
        role=Role.VIEWER,
        summary="Queues; with `all` also those of local runs",
        query={"all": {"type": "boolean", "default": False}, **in_parts()},
        answer=page(document({"name": TEXT, "queued": COUNT, "started": COUNT, "workers": COUNT, "suspended": FLAG})),
        handler=_queues,
    ),
    Route(
        method="POST",
        path=f"{API}/queues/suspend",
        role=Role.OPERATOR,
        summary="Let no worker begin a job, for some seconds or until they are resumed",
        body=body({"seconds": {"type": ["number", "null"], "exclusiveMinimum": 0, "maximum": 10**9}}),
        answer=DONE,
        handler=_suspend,
    ),
    Route(
        method="POST",
        path=f"{API}/queues/resume",
        role=Role.OPERATOR,
        summary="Let workers begin jobs again",
        body=body({}),
        answer=DONE,
        handler=_resume,
    ),
    Route(
        method="GET",
        path=f"{API}/workers",
        role=Role.VIEWER,
        summary="Live workers and the jobs that they execute",
        query=in_parts(),
        answer=page(document({"name": TEXT, "state": TEXT, "slots": COUNT, "busy": COUNT, "jobs": array(MAP)})),
        handler=_workers,
    ),
    Route(
        method="POST",
        path=f"{API}/workers/{{worker}}/stop",
        role=Role.OPERATOR,
        summary="Let a worker stop after the jobs that it executes now",
        body=body({}),
        answer=DONE,
        handler=_stop,
    ),
    Route(
        method="POST",
        path=f"{API}/workers/{{worker}}/jobs/{{job}}/kill",
        role=Role.OPERATOR,
        summary="End a job that a worker executes now: SIGTERM to its processes, SIGKILL after its `stop_grace`",
        body=body({}),
        answer=DONE,
        errors=(409,),
        handler=_kill,
    ),
)
