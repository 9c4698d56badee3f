"""`flowq why`."""

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from flowq.cli.completion.candidates import complete_jobs, complete_runs_jobs_and_schedules
from flowq.cli.context import CliContext, pass_context, tell_full, url_option
from flowq.cli.render.output import show, show_json
from flowq.cli.render.plain_job import plain_job_lines
from flowq.cli.render.run_table import commands_lines, retry_command, where, worker_command
from flowq.cli.render.styled_text import Line, indent, wrap
from flowq.cli.render.vocabulary import approval_command, symbol, word
from flowq.cli.targets import only_job, select_jobs, select_target
from flowq.cli.terminal import Terminal
from flowq.exceptions import FlowqError, ServerError, UsageError
from flowq.flows.actions.selection import refuse_several
from flowq.flows.explain.plain_job import explain_plain_job, is_plain_job, plain_job_json
from flowq.flows.explain.queue_state import read_queue_state
from flowq.flows.explain.why import Cause, cause_json, explain
from flowq.flows.views.run_view import RunView, run_view
from flowq.flows.views.snapshot import read_snapshot
from flowq.flows.views.text import plural, safe_line
from flowq.states import JobStatus, Reason
from flowq.store.schema.documents import iso

if TYPE_CHECKING:
    from flowq.plan import Plan
    from flowq.store import Store

_COMMANDS = 4  # most commands proposed
_ROWS = 200  # maximal rows of one fact: of the error text of a job


@click.command(epilog="Example: flowq why @latest publish")
@click.argument("run", required=False, shell_complete=complete_runs_jobs_and_schedules)
@click.argument("job", required=False, shell_complete=complete_jobs)
@click.option("--json", "as_json", is_flag=True, help="Print the chain as a JSON document.")
@url_option
@pass_context
def command(session: CliContext, run: str | None, job: str | None, *, as_json: bool) -> None:
    """Explain why a job is waiting, skipped, failed or queued.

    It follows the chain of causes to one that can be fixed: a line of the flow file, an error and the place where it was raised,
    a missing worker. A single argument is a JOB of the latest run of this directory; a RUN alone is enough if it has one job, or one that failed.
    The id of a job that was enqueued without a flow shows its status and its error. `flowq why SCHEDULE [TIME]` explains why a schedule did not run, at 06:00 say.
    """
    store = session.store()
    if run is not None and job is None and is_plain_job(store, run):
        tell_full(store)
        found = explain_plain_job(store, run)
        if as_json:
            show_json(plain_job_json(found))
        else:
            show(plain_job_lines(found, session.out), session.out)
        return
    try:
        target = select_target(store, run, job)
    except FlowqError as error:
        if run is None or not _explained_schedule(session, store, run, job, error, as_json=as_json):
            raise
        return
    run_id = target.run
    plan, snapshot = read_snapshot(store, run_id)
    view = run_view(plan, snapshot)
    job_name = target.job if target.job is not None else _meant(plan, view)
    cause = explain(plan, view, _ordinal(plan, run_id, job_name), read_queue_state(store, view))
    if as_json:
        show_json({"run": run_id, "file": view.file, **cause_json(cause)})
    else:
        terminal = session.out
        show(why_lines(cause, view, terminal), terminal)


def _meant(plan: "Plan", run: RunView) -> str:
    """Return the name of the job that a question about the whole run is about: the one that made it fail, else its only one."""
    failed = list(dict.fromkeys(job.job for job in run.bad_jobs))
    return failed[0] if len(failed) == 1 else only_job(plan, run.id, "why", failed)


def _explained_schedule(
    session: CliContext, store: "Store", name: str, time: str | None, otherwise: FlowqError, *, as_json: bool
) -> bool:
    """Explain a slot of a schedule; return False if the name is that of none."""
    from flowq.schedules.explain import explain_schedule
    from flowq.schedules.selection import select_schedule

    if isinstance(otherwise, ServerError) or not store.schedules.names():
        return False
    try:
        schedule = select_schedule(store, name)
    except UsageError:
        return False
    try:
        slot, texts = explain_schedule(store, schedule, time)
    except UsageError:
        raise
    except ValueError as error:
        raise UsageError(f"expected a time such as 06:00 or 2026-01-31T06:00, found {time!r}") from error
    if as_json:
        show_json({"schedule": schedule, "slot": iso(slot), "text": texts[0], "details": texts[1:]})
    else:
        lines: list[Line] = [((f"{schedule}: ", "bold"), (safe_line(texts[0]), ""))]
        lines += [((f"  {safe_line(text)}", "dim"),) for text in texts[1:]]
        terminal = session.out
        show([row for line in lines for row in wrap(line, terminal.width, below="    ", unicode=terminal.unicode)], terminal)
    return True


def why_lines(cause: Cause, run: RunView, terminal: Terminal) -> list[Line]:
    """Return the chain as a tree, followed by the commands that fix its causes."""
    lines = list(_tree(cause, run, "", "", terminal))
    advice = list(commands_lines(list(_advice(cause, run))[:_COMMANDS], terminal.width))
    return [*lines, (("", ""),), *advice] if advice else lines


def _ordinal(plan: "Plan", run_id: str, job: str) -> int:
    """Return the ordinal of a job; for the name of a matrix, of its group."""
    target = plan.targets().get(job)
    if target is not None:
        return target
    ordinals = select_jobs(plan, run_id, job)
    if not ordinals:
        raise UsageError(f"{job!r} has no cells in run {run_id}")
    refuse_several(plan, job, ordinals)
    return ordinals[0]


def _tree(cause: Cause, run: RunView, lead: str, below: str, terminal: Terminal) -> Iterator[Line]:
    status = JobStatus.FAILED if cause.failing else cause.status
    text, style = word(status, damaged=cause.damaged, goes_on=cause.failing)
    place = where(run, cause.place)
    branch, corner, bar = ("├ ", "└ ", "│ ") if terminal.unicode else ("|- ", "`- ", "|  ")
    inner = below + (bar if cause.causes else "  ")
    head: Line = (
        (f"{symbol(status, unicode=terminal.unicode)} ", style),
        (safe_line(cause.name), "bold"),
        (f" {text}: ", style),
        (safe_line(cause.text), "bad" if style == "badbold" else ""),
        (f"  ({place})" if place else "", "dim"),
    )
    yield from _wrapped(head, lead, inner, terminal)
    for detail in cause.details:
        yield from _wrapped(((safe_line(detail), "dim"),), inner, inner, terminal)
    if cause.skipped:
        yield from _wrapped(((f"… {plural(cause.skipped, 'step')} further on:", "dim"),), inner, inner, terminal)
    for index, item in enumerate(cause.causes):
        last = index == len(cause.causes) - 1 and not cause.more
        yield from _tree(item, run, below + (corner if last else branch), below + ("  " if last else bar), terminal)
    if cause.more:
        yield from _wrapped(((f"and {cause.more} more", "dim"),), below + corner, below, terminal)


def _wrapped(line: Line, lead: str, below: str, terminal: Terminal) -> Iterator[Line]:
    """Yield a line of the tree as rows; those after the first are indented below its branch."""
    begin = indent(lead, terminal.width)
    yield from wrap(((begin, "dim"), *line), terminal.width, below=below + "  ", most=_ROWS, unicode=terminal.unicode)


def _advice(cause: Cause, run: RunView) -> Iterator[tuple[str, str]]:
    """Yield commands with their purpose, each once."""
    leaves = cause.leaves()
    asked = {job.ordinal: job for job in run.approvals}
    for job in [asked[leaf.ordinal] for leaf in leaves if leaf.ordinal in asked][:2]:
        yield approval_command(job), "decides it, with --reject against it"
    queues = {job.ordinal: job.queue for job in run.jobs}
    unserved = sorted({queues[leaf.ordinal] for leaf in leaves if leaf.reason == Reason.NO_WORKER})
    if unserved and run.local:
        yield f"flowq run --resume {run.id}", "this run has no worker now"
    elif unserved:
        yield worker_command(run, unserved), "serves the queues that have no worker"
    if any(leaf.reason == Reason.SUSPENDED for leaf in leaves):
        yield "flowq resume", "lets the workers start jobs again"
    bad = [leaf for leaf in leaves if leaf.status in {JobStatus.FAILED, JobStatus.STOPPED}]
    for leaf in bad[:2]:
        yield f"flowq logs {run.id} {shlex.quote(safe_line(leaf.name))}", "what it printed"
    if run.ended and (bad or any(leaf.status is JobStatus.CANCELED for leaf in leaves)):
        yield retry_command(run)
