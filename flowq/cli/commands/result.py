"""`flowq result`."""

import json
from typing import TYPE_CHECKING

import click

from flowq.cli.completion.candidates import complete_jobs, complete_runs_and_jobs
from flowq.cli.context import CliContext, pass_context, url_option
from flowq.cli.render.result_table import results_csv
from flowq.cli.targets import only_job, select_jobs, select_target
from flowq.cli.terminal import echo
from flowq.exceptions import InvalidJobOperation, UsageError
from flowq.flows.actions.selection import refuse_several
from flowq.flows.documents.plain_result import plain_result
from flowq.flows.explain.plain_job import is_plain_job
from flowq.flows.views.job_result import result_of
from flowq.flows.views.snapshot import read_plan
from flowq.flows.views.text import safe_bytes, safe_json
from flowq.plan import Plan
from flowq.states import JobStatus

if TYPE_CHECKING:
    from flowq.store import Store


@click.command(epilog="Example: flowq result @latest fetch | jq .path")
@click.argument("run", required=False, shell_complete=complete_runs_and_jobs)
@click.argument("job", required=False, shell_complete=complete_jobs)
@click.option(
    "--csv", "as_csv", is_flag=True, help="Print the results of a matrix or foreach as a table, with the values of each cell."
)
@url_option
@pass_context
def command(session: CliContext, run: str | None, job: str | None, *, as_csv: bool) -> None:
    """Print the result of a job as JSON.

    A single argument is a JOB of the latest run of this directory, or the id of a job that was enqueued without a flow; a RUN alone is enough if it has one job. For the name of a matrix, it prints the list of its cells' results in expansion order, null for a cell without a result.
    """
    store = session.store()
    if not as_csv and run is not None and job is None and is_plain_job(store, run):
        echo(safe_json(plain_result(store, run), indent=2))
        return
    target = select_target(store, run, job)
    run_id = target.run
    plan = read_plan(store, run_id)
    job = target.job if target.job is not None else only_job(plan, run_id, "result")
    ordinals = select_jobs(plan, run_id, job)
    named = {node.name: node for node in plan.nodes}.get(job)
    if as_csv:
        found = result_of(store, run_id, plan, job) if named is not None and named.matrix and named.outputs is None else None
        if not isinstance(found, list):
            raise UsageError(f"--csv is for the results of a matrix or foreach, and {job!r} is none")
        echo(results_csv(plan, job, found))
    elif named is not None and (named.matrix or named.outputs is not None):
        echo(safe_json(result_of(store, run_id, plan, job), indent=2))
    else:
        refuse_several(plan, job, ordinals)
        echo(_result(store, run_id, plan, ordinals[0]))


def _result(store: "Store", run_id: str, plan: Plan, ordinal: int) -> str:
    """Return one job's result as JSON.

    Raises:
        InvalidJobOperation: the job has no result, because it has not finished.
    """
    ((status, value),) = store.runs.results(run_id, [ordinal])
    name = plan.cells[ordinal].name
    if status is None:
        raise InvalidJobOperation(
            f"the result of {name!r} is no longer kept (its result_ttl or the run's retention has passed)"
        )
    if status is not JobStatus.FINISHED:
        raise InvalidJobOperation(f"{name!r} has no result, it is {status}: `flowq status {run_id}` shows why")
    if not value:
        return "null"
    try:
        return safe_json(json.loads(value), indent=2)
    except RecursionError:  # nested deeper than Python's parser can read: return the stored text
        return safe_bytes(value)
