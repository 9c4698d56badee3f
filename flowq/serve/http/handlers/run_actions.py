"""Changes of runs: retry, cancel, resume, delete, and the same again."""

import json

from flowq.exceptions import InvalidRunOperation
from flowq.flows.actions.cancellation import cancel_run
from flowq.flows.actions.reset import RetryPlan
from flowq.flows.actions.retry import plan_rerun, plan_retry
from flowq.flows.actions.selection import find_jobs
from flowq.flows.local_worker.detached import ensure_worker, refuse_secretless
from flowq.flows.run import Run
from flowq.flows.views.orphans import orphaned
from flowq.flows.views.snapshot import read_plan
from flowq.plan import Json
from flowq.schedules.users.launch import LaunchRequest, launch
from flowq.serve.http.calls import ApiCall
from flowq.serve.http.handlers.flows import maker_of, wish_of
from flowq.serve.http.principals import Role
from flowq.serve.http.replies import RefusedError, Reply
from flowq.serve.http.route import API, Route
from flowq.serve.http.schemas import COUNT, DONE, FLAG, LABELS, PARAMS, TEXT, array, body, document, text

_RUN = f"{API}/runs/{{run}}"
_REASONS = array(document({"name": TEXT, "reason": TEXT}))


def _retry(call: ApiCall) -> Json:
    run = call.run
    if not run.ended and orphaned(call.store, [run.id]):
        raise InvalidRunOperation(f"run {run.id} was interrupted and has not ended: resume it, or cancel it")
    planned = _planned(call)
    if not call.given("dry_run", False):
        refuse_secretless(call.store, run, planned)
        planned.apply(call.store)
        ensure_worker(call.store, run.id)
    return {
        "run": run.id,
        "attempt": planned.attempt + 1,
        "jobs": [{"name": name, "reason": why} for name, why in planned.jobs],
        "skipped": [{"name": name, "reason": why} for name, why in planned.skipped],
    }


def _planned(call: ApiCall) -> RetryPlan:
    names, failed = call.given("jobs", []), call.given("failed", False)
    if failed == bool(names):
        raise RefusedError(400, "body", "say what to run again: either `failed` or `jobs`")
    if failed:
        return plan_retry(call.store, call.run.id)
    plan = read_plan(call.store, call.run.id)
    chosen = {ordinal for name in names for ordinal in find_jobs(plan, name, f"run {call.run.id}")}
    return plan_rerun(call.store, call.run.id, chosen, only=call.given("only", False))


def _cancel(call: ApiCall) -> Json:
    return {"done": True, "note": cancel_run(call.store, call.run.id, force=call.given("force", False)) or None}


def _resume(call: ApiCall) -> Json:
    if call.run.ended:
        raise InvalidRunOperation(f"run {call.run.id} has ended ({call.run.status}): there is nothing to resume")
    return {"done": ensure_worker(call.store, call.run.id)}


def _delete(call: ApiCall) -> Reply:
    Run(call.store, call.run.id).delete()
    return Reply(204)


def _again(call: ApiCall) -> Reply:
    run, catalog = call.run, call.site.catalog
    name = (call.target.flow_id or "").partition("/")[2]
    if catalog is None or name not in call.site.flows or call.site.flow_id(name) != call.target.flow_id:
        raise RefusedError(
            409, "no_flow", f"the flow of run {run.id} is not one of the directory: `flowq run --again {run.id}`"
        )
    given, flow = wish_of(call), call.site.flows[name]
    stored = json.loads(run.params or "{}")
    known = {param.name for param in flow.compilation.params} if flow.valid else stored.keys()  # else the launch says why
    wish = LaunchRequest(
        {**{param: value for param, value in stored.items() if param in known}, **given.params},
        {**json.loads(run.labels or "{}"), **given.labels},
        read_plan(call.store, run.id).selection,
    )
    made = launch(maker_of(call), flow, wish, by=call.principal.name)
    dropped = [param for param in stored if param not in known]
    return Reply(
        201, {"id": made, "dropped_params": dropped}, headers={"Location": f"{call.site.options.prefix}{API}/runs/{made}"}
    )


ROUTES = (
    Route(
        method="POST",
        path=f"{_RUN}/retry",
        role=Role.OPERATOR,
        summary="Run failed or named jobs again, and those that depend on them; with `dry_run` only say which",
        body=body(
            {"failed": FLAG, "jobs": array(text(500), 1000), "only": FLAG, "dry_run": FLAG},
        ),
        answer=document({"run": TEXT, "attempt": COUNT, "jobs": _REASONS, "skipped": _REASONS}),
        errors=(409,),
        handler=_retry,
    ),
    Route(
        method="POST",
        path=f"{_RUN}/cancel",
        role=Role.OPERATOR,
        summary="Cancel a run; with `force` its handlers too",
        body=body({"force": FLAG}),
        answer=DONE,
        errors=(409,),
        handler=_cancel,
    ),
    Route(
        method="POST",
        path=f"{_RUN}/resume",
        role=Role.OPERATOR,
        summary="Continue a run of `flowq run` whose command was killed",
        body=body({}),
        answer=DONE,
        errors=(409,),
        handler=_resume,
    ),
    Route(
        method="POST",
        path=f"{_RUN}/again",
        role=Role.OPERATOR,
        status=201,
        summary="Start a run like this one, with its labels and the params that the flow still has; values in the body replace them",
        body=body({"params": PARAMS, "labels": LABELS}),
        answer=document({"id": TEXT, "dropped_params": array(TEXT)}),
        errors=(409, 422),
        handler=_again,
    ),
    Route(
        method="DELETE",
        path=_RUN,
        role=Role.ADMIN,
        status=204,
        summary="Delete a run that has ended, with its results and its output",
        answer={},
        errors=(409,),
        handler=_delete,
    ),
)
