"""`flowq retry`."""

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from flowq.cli.completion.candidates import complete_jobs, complete_runs
from flowq.cli.context import CliContext, complain, pass_context, url_option
from flowq.cli.execution import execute, refuse_workers, tell_absent
from flowq.cli.flow_file import compile_flow, earlier_params
from flowq.cli.follow.follow import last_position
from flowq.cli.interrupts import Interrupts
from flowq.cli.options.flows import Inputs, Manner, execution_options
from flowq.cli.render.output import show, show_json
from flowq.cli.render.styled_text import Line, columns, pad
from flowq.cli.targets import refuse_beside_newer, select_failed_run, select_jobs, select_run, when_orphaned
from flowq.exceptions import InvalidRunOperation, UsageError
from flowq.flows.actions.retry import plan_rerun, plan_retry
from flowq.flows.local_worker.missing_secrets import absent_on_retry
from flowq.flows.views.snapshot import read_plan
from flowq.flows.views.sources import changed_files
from flowq.flows.views.text import plural, safe_line
from flowq.plan import Plan, near
from flowq.slots.timezones import date_in

if TYPE_CHECKING:
    from flowq.flows.actions.reset import RetryPlan
    from flowq.store import Store

_SHOWN = 30  # jobs listed before a retry that is carried out; --dry-run lists all


@click.command(epilog="Example: flowq retry @latest --failed --dry-run")
@click.argument("run", required=False, shell_complete=complete_runs)
@click.option(
    "--failed",
    is_flag=True,
    help="Run again the jobs that failed, were canceled or were skipped because of that, and those that depend on them.",
)
@click.option(
    "--job",
    "jobs",
    metavar="JOB",
    multiple=True,
    shell_complete=complete_jobs,
    help="Run this job again, whatever its status; may be repeated.",
)
@click.option("--only", is_flag=True, help="With --job: do not run the jobs that depend on it.")
@click.option(
    "--reload",
    is_flag=True,
    help="Take what runs again from the present text of the flow file, instead of the text as submitted.",
)
@click.option("--dry-run", is_flag=True, help="Show which jobs would run again and why; change nothing.")
@execution_options
@url_option
@pass_context
def command(
    session: CliContext,
    run: str | None,
    jobs: tuple[str, ...],
    *,
    failed: bool,
    only: bool,
    reload: bool,
    dry_run: bool,
    manner: Manner,
) -> int:
    """Run failed jobs of a run again, and those that depend on them.

    The run keeps its id and the results of the other jobs; its attempt number grows by one. Without RUN: the latest run that
    failed, of those started in this directory (with --job: the latest run). The exit code is the run's.
    """
    if failed == bool(jobs):
        hint = (
            "" if run is None or failed else f"; for the job {run!r} of the latest run: `flowq retry --job {shlex.quote(run)}`"
        )
        raise click.UsageError(f"say what to run again: either --failed or --job JOB{hint}")
    if only and not jobs:
        raise click.UsageError("--only needs --job")
    manner.check()
    store = session.store()
    refuse_workers(store, manner.workers)
    run_id = select_failed_run(store) if run is None and failed else select_run(store, run, change=True)
    refuse_interrupted(store, run_id)
    fresh = _present_plan(session, store, run_id) if reload else None
    retry = _plan_jobs(store, run_id, jobs, fresh, only=only) if jobs else plan_retry(store, run_id, fresh)
    if fresh is None:
        _tell_changed(store, run_id)
    if not manner.cache:
        retry = retry.without_cache()
    if dry_run and manner.as_json:
        show_json(
            {
                "run": retry.run,
                "attempt": retry.attempt + 1,
                "jobs": [{"name": name, "reason": why} for name, why in retry.jobs],
                "skipped": [{"name": name, "reason": why} for name, why in retry.skipped],
            }
        )
        return 0
    if not dry_run and store.runs.require(run_id).local:
        tell_absent(absent_on_retry(store, retry))
    if not manner.as_json and not manner.detach:
        show(_lines(retry, dry_run=dry_run), session.out)
    if dry_run:
        return 0
    if run is None:
        refuse_beside_newer(store, run_id)
    position = last_position(store, run_id)
    with Interrupts() as interrupts:
        retry.apply(store)
        record = store.runs.require(run_id)
        plan = read_plan(store, run_id) if retry.reload is None else Plan.from_json(retry.reload.plan)
        return execute(store, record, plan, interrupts, replace(manner, url=session.given_url), events_after=position)


def refuse_interrupted(store: "Store", run_id: str) -> None:
    """Refuse a run whose command and worker were killed: it is to be resumed.

    Raises:
        InvalidRunOperation: it is one.
    """
    if lost := when_orphaned(store, run_id):
        raise InvalidRunOperation(f"run {run_id} was interrupted and has not ended{lost}; `flowq cancel {run_id}` ends it")


def _present_plan(session: CliContext, store: "Store", run_id: str) -> Plan:
    """Compile the flow file of a run with its params, its date and the root of its files.

    Raises:
        UsageError: the flow is not a file.
        InvalidFlowError: it does not compile.
    """
    run = store.runs.require(run_id)
    if not run.file:
        raise UsageError(f"--reload: the flow of run {run_id} is not a file")
    date = run.date or date_in(run.created_ms, Plan.from_json(store.runs.plan(run_id)).timezone)
    facts = {
        "date": date,
        **{name: value for name, value in (("scheduled_at", run.scheduled_at), ("schedule", run.entry)) if value},
    }
    inputs = Inputs(earlier_params(run), root=run.root or None, run=facts)
    return compile_flow(near(run.file), inputs, session.err)


def _tell_changed(store: "Store", run_id: str) -> None:
    """Warn that the text of the flow is another one now."""
    run = store.runs.require(run_id)
    changed = changed_files(run)
    if changed:
        names = ", ".join(safe_line(near(file)) for file in changed)
        complain(
            f"warning: {names} {'has' if len(changed) == 1 else 'have'} changed since run {run_id} was submitted:"
            " it runs again as submitted; --reload takes the present text"
        )


def _plan_jobs(store: "Store", run_id: str, jobs: tuple[str, ...], fresh: Plan | None, *, only: bool) -> "RetryPlan":
    plan = read_plan(store, run_id)
    chosen = {ordinal for name in jobs for ordinal in select_jobs(plan, run_id, name)}
    return plan_rerun(store, run_id, chosen, only=only, fresh=fresh)


def _lines(retry: "RetryPlan", *, dry_run: bool) -> list[Line]:
    """Return the lines that say which jobs run again or are skipped again, and why."""
    run, skip = ("would run", "would skip") if dry_run else ("runs", "skips")
    most = None if dry_run else _SHOWN
    head = f"attempt {retry.attempt + 1} of run {retry.run}"
    lines = _listed(f"{head} {run} again {plural(len(retry.jobs), 'job')}:", retry.jobs, most)
    if retry.skipped:
        lines += _listed(f"it {skip} again {plural(len(retry.skipped), 'job')}:", retry.skipped, most)
    return lines


def _listed(title: str, jobs: "tuple[tuple[str, str], ...]", most: int | None) -> list[Line]:
    shown = jobs[:most]
    names = max((columns(safe_line(name)) for name, _why in shown), default=0)
    lines: list[Line] = [((title, "bold"),)]
    lines += [((f"  {pad(safe_line(name), names)}  ", ""), (safe_line(why), "dim")) for name, why in shown]
    if len(shown) < len(jobs):
        lines.append(((f"  and {len(jobs) - len(shown)} more", "dim"),))
    return lines
