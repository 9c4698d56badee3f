"""`flowq status`."""

from typing import TYPE_CHECKING

import click

from flowq.cli import exit_codes
from flowq.cli.completion.candidates import complete_runs
from flowq.cli.context import CliContext, complain, pass_context, tell_full, url_option, zone_option
from flowq.cli.options.flows import Manner, output_option
from flowq.cli.render.output import show, show_json
from flowq.cli.render.plain_job import plain_job_lines
from flowq.cli.render.reports import Reporting
from flowq.cli.render.run_table import run_lines
from flowq.cli.render.summary_table import summary_table
from flowq.cli.targets import select_run, tell_orphaned
from flowq.exceptions import UsageError
from flowq.flows.explain.plain_job import PlainJob, explain_plain_job, is_plain_job, plain_job_json
from flowq.flows.views.artifacts import with_artifacts
from flowq.flows.views.json_documents import run_json
from flowq.flows.views.run_summary import LARGE, read_summary
from flowq.flows.views.run_view import RunView
from flowq.flows.views.snapshot import read_view
from flowq.states import JobStatus

if TYPE_CHECKING:
    from flowq.store import Store


@click.command(epilog="Example: flowq status @latest --failed")
@click.argument("run", required=False, shell_complete=complete_runs)
@click.option("--json", "as_json", is_flag=True, help="Print the run as one JSON document.")
@click.option("--watch", is_flag=True, help="Follow: show every change until the run has ended.")
@output_option
@click.option("--failed", is_flag=True, help="Show only the jobs that failed.")
@click.option(
    "--all", "every", is_flag=True, help="Show each job, also of a run of more than 1000, which is summed up otherwise."
)
@click.option("--junit", metavar="FILE", help="Also write a JUnit report: one test case per job.")
@click.option("--exit-status", is_flag=True, help="Exit with the code of the run (1 while it has not ended).")
@zone_option
@url_option
@pass_context
def command(
    session: CliContext,
    run: str | None,
    *,
    as_json: bool,
    watch: bool,
    output: str | None,
    failed: bool,
    every: bool,
    junit: str | None,
    exit_status: bool,
) -> int:
    """Show a run: its jobs, their states and why.

    RUN is an id or its beginning, @latest, or @2 for the second latest. Without RUN: the latest run of this directory, else the
    latest of all. The exit code is 0 whatever the run's status, unless --exit-status asks for it. The id of a job that was enqueued
    without a flow shows its status and its error.
    """
    manner = Manner(as_json=as_json, reporting=Reporting(junit), output=output)
    manner.check()
    if output is not None and not watch:
        raise click.UsageError("--output is for --watch, which follows the run")
    store = session.store()
    if run is not None and is_plain_job(store, run):
        given = {"--watch": watch, "--failed": failed, "--all": every, "--junit": junit}
        if unfit := next((name for name, value in given.items() if value), None):
            raise UsageError(f"{run!r} is the id of a job that is in no run: {unfit} is for runs")
        tell_full(store)
        return _show_plain_job(session, explain_plain_job(store, run), as_json=as_json, exit_status=exit_status)
    run_id = select_run(store, run)
    tell_full(store)
    if watch:
        tell_orphaned(store, run_id)
        return _watch(store, run_id, manner, exit_status=exit_status)
    record = store.runs.require(run_id)
    if record.total > LARGE and not (every or as_json or failed or junit):
        summary = read_summary(store, record)
        show(summary_table(summary, session.out), session.out)
        return _code(summary.run) if exit_status else 0
    view = read_view(store, run_id)
    manner.reporting.write(store, view)
    if as_json:
        show_json(run_json(with_artifacts(store, view)))
    else:
        terminal = session.out
        show(run_lines(view, terminal, failed_only=failed), terminal)
    return _code(view) if exit_status else 0


def _show_plain_job(session: CliContext, found: PlainJob, *, as_json: bool, exit_status: bool) -> int:
    if as_json:
        show_json(plain_job_json(found))
    else:
        show(plain_job_lines(found, session.out, times=True), session.out)
    record = found.record
    if not exit_status or record.status is JobStatus.FINISHED:
        return exit_codes.OK
    if not record.ended:
        complain(f"job {record.id} has not ended")
    return exit_codes.CANCELED if record.status is JobStatus.CANCELED else exit_codes.FAILED


def _watch(store: "Store", run_id: str, manner: Manner, *, exit_status: bool) -> int:
    from flowq.cli.follow.follow import Following
    from flowq.cli.interrupts import Interrupts

    with Interrupts() as interrupts:
        code = Following(store, run_id, interrupts, manner=manner, only_watching=True).to_the_end()
    return code if exit_status or code == exit_codes.INTERRUPTED else 0


def _code(view: RunView) -> int:
    if not view.ended:
        complain(f"run {view.id} has not ended: --watch waits for it")
    return exit_codes.of_run(view)
