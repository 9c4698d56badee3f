"""`flowq cancel`."""

import time
from typing import TYPE_CHECKING, Final

import click

from flowq import defaults
from flowq.cli.completion.candidates import complete_jobs, complete_runs
from flowq.cli.context import CliContext, complain, pass_context, url_option
from flowq.cli.execution import is_embedded
from flowq.cli.targets import select_jobs, select_open_run
from flowq.cli.terminal import echo
from flowq.durations import format_duration
from flowq.exceptions import InvalidJobOperation
from flowq.flows.actions.cancellation import cancel_run
from flowq.flows.views.orphans import orphaned
from flowq.flows.views.snapshot import read_plan
from flowq.flows.views.text import plural, safe_line
from flowq.ids import member_id
from flowq.states import JobStatus
from flowq.store.schema.outcomes import Outcome

if TYPE_CHECKING:
    from flowq.store import Store

_LOOK: Final = 0.2  # s between sweeps; a longer time without any would not count for a lease
_LONGEST: Final = defaults.LEASE + 2.0  # s until the lease of a dead worker has run out
_DONE = frozenset({Outcome.DONE, Outcome.DUPLICATE})


@click.command(epilog="Example: flowq cancel 7k2m --job deploy")
@click.argument("run", required=False, shell_complete=complete_runs)
@click.option(
    "--job",
    metavar="JOB",
    shell_complete=complete_jobs,
    help="Cancel only this job: its name, a cell's name (all cells of a matrix by its name), or an id.",
)
@click.option("--force", is_flag=True, help="Kill the handlers of the run too (on_cancel, on_exit), if they run already.")
@url_option
@pass_context
def command(session: CliContext, run: str | None, job: str | None, *, force: bool) -> None:
    """Cancel a run, or one job of it.

    Running jobs are killed, waiting ones never start; handlers clean up. Without RUN: the latest run of this directory that has
    not ended.
    """
    if force and job is not None:
        raise click.UsageError("--force is for the handlers of a run: not with --job")
    store = session.store()
    run_id = select_open_run(store, run)
    if job is None:
        remark = cancel_run(store, run_id, force=force)
        if is_embedded(store):
            _reap(store, run_id)
        if remark:
            complain(safe_line(remark))
        else:
            echo(f"canceling run {run_id}: flowq status {run_id}")
        return
    plan = read_plan(store, run_id)
    ordinals = select_jobs(plan, run_id, job)
    canceled = sum(store.jobs.cancel(member_id(run_id, ordinal)) in _DONE for ordinal in ordinals)
    name = safe_line(job)
    if not canceled:
        raise InvalidJobOperation(f"{job!r} of run {run_id} has already ended: `flowq status {run_id}` shows how")
    echo(f"canceling {name} of run {run_id}" + (f" ({plural(canceled, 'job')})" if len(ordinals) > 1 else ""))


def _reap(store: "Store", run_id: str) -> None:
    """End the jobs of a run whose worker is dead: no other process sweeps, and a later command would find their leases as they are now."""
    store.workers.declare_gone()
    told, deadline = False, time.monotonic() + _LONGEST
    while True:
        while store.workers.sweep(defaults.LEASE).more:
            pass
        run = store.runs.get(run_id)
        if run is None or not run.counts.get(JobStatus.STARTED) or not orphaned(store, [run_id]) or time.monotonic() > deadline:
            return
        if not told:
            complain(f"run {run_id} has no worker now: waiting up to {format_duration(_LONGEST)} until its jobs count as lost")
            told = True
        time.sleep(_LOOK)
