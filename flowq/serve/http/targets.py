"""What a path names: looked up, never put together."""

from collections.abc import Mapping

from flowq.ids import is_run_id
from flowq.plan import Cell, Plan
from flowq.serve.http.calls import ApiCall, PathTarget
from flowq.serve.http.replies import no_such
from flowq.serve.http.segments import named
from flowq.serve.http.site import Site
from flowq.store.schema.records import RunRecord


def find_target(site: Site, path: Mapping[str, str]) -> PathTarget:
    """Return what the parts of a path name.

    Raises:
        RefusedError: there is no such thing.
    """
    if "run" in path:
        run = find_run(site, path["run"])
        return PathTarget(site.flow_of(run), run=run)
    if "flow" in path:
        name = named(path["flow"], site.flows)
        if name is None:
            raise no_such("flow", path["flow"])
        return PathTarget(site.flow_id(name), flow=site.flows[name])
    if "schedule" in path:
        schedule = named(path["schedule"], site.store.schedules.names())
        if schedule is None:
            raise no_such("schedule", path["schedule"])
        return PathTarget(schedule.rpartition(":")[0], schedule=schedule)
    if "backfill" in path:
        backfill = path["backfill"]
        record = site.store.backfills.get(backfill) if is_run_id(backfill) else None
        if record is None:
            raise no_such("backfill", backfill)
        return PathTarget(record.fields.get("schedule", "").rpartition(":")[0], backfill=backfill)
    return PathTarget()


def find_run(site: Site, given: str) -> RunRecord:
    """Return a run by its exact id.

    Raises:
        RefusedError: there is none.
    """
    run = site.store.runs.get(given) if is_run_id(given) else None
    if run is None:
        raise no_such("run", given)
    return run


def find_job(call: ApiCall, plan: Plan) -> Cell:
    """Return the job of a run that the path names, by its ordinal or its name.

    Raises:
        RefusedError: there is none.
    """
    given = call.path["job"]
    jobs = {cell.name: cell for cell in plan.shown_jobs()}
    if given.isascii() and given.isdigit() and len(given) < 10:
        ordinal = int(given)
        found = plan.cells[ordinal] if ordinal < len(plan.cells) and not plan.cells[ordinal].group else None
    else:
        name = named(given, jobs)
        found = None if name is None else jobs[name]
    if found is None:
        raise no_such(f"job in run {call.run.id} called", given)
    return found
