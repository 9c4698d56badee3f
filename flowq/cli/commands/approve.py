"""`flowq approve`."""

import sys
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final

import click

from flowq.cli import exit_codes
from flowq.cli.completion.candidates import complete_approvals, complete_approvals_and_runs
from flowq.cli.context import CliContext, complain, pass_context, url_option
from flowq.cli.render.output import show
from flowq.cli.render.styled_text import Line
from flowq.cli.render.vocabulary import approval_command
from flowq.cli.targets import open_runs_elsewhere, open_runs_here, select_target, when_orphaned
from flowq.exceptions import InvalidJobOperation, UsageError
from flowq.flows.actions import approval
from flowq.flows.views.run_view import JobView, RunView
from flowq.flows.views.snapshot import read_plan, read_view
from flowq.flows.views.text import plural, safe_line

if TYPE_CHECKING:
    from flowq.store import Store

_LOOKED_AT: Final = 20  # runs of other directories: each is read as a whole


@click.command(epilog='Example: flowq approve sign-off --comment "figures checked"')
@click.argument("run", required=False, shell_complete=complete_approvals_and_runs)
@click.argument("job", required=False, shell_complete=complete_approvals)
@click.option("--reject", is_flag=True, help="Reject it: the job fails with reason `rejected`.")
@click.option("--comment", metavar="TEXT", default="", help="Comment, stored with the decision.")
@click.option("--by", metavar="NAME", default=None, help="Who decides.  [default: the user who runs this command]")
@url_option
@pass_context
def command(session: CliContext, run: str | None, job: str | None, reject: bool, comment: str, by: str | None) -> int:
    """Approve or reject a job that waits for approval.

    A single argument is a RUN, or a JOB of the latest run of this directory. Without a JOB it lists what waits, in the RUN or in the
    runs of this directory. If that is one job, it asks on a terminal whether to approve it. The run records who decided, when
    and why.
    """
    store = session.store()
    decision = approval.Decision(not reject, by, comment)
    target = None if run is None else select_target(store, run, job, change=True)
    if target is not None and target.job is not None:
        run_id, job_name = target.run, target.job
    else:
        waiting = list(_waiting(store, [item.id for item in open_runs_here(store)] if target is None else [target.run]))
        where = "in this directory" if target is None else f"in run {target.run}"
        if not waiting:
            raise InvalidJobOperation(f"nothing waits for approval {where}{_elsewhere(store) if target is None else ''}")
        found = _only(session, waiting, where, "reject" if reject else "approve")
        if found is None:
            return exit_codes.FAILED
        run_id, job_name = found
    approval.decide(store, run_id, read_plan(store, run_id), job_name, decision)
    click.echo(f"{'rejected' if reject else 'approved'} {safe_line(job_name)} of run {run_id} as {safe_line(decision.who)}")
    if lost := when_orphaned(store, run_id):
        complain(f"run {run_id} goes on when it is resumed{lost}")
    return 0


def _waiting(store: "Store", runs: list[str]) -> Iterator[tuple[RunView, JobView]]:
    """Yield the approvals that wait for a decision, with their runs."""
    for run_id in runs:
        view = read_view(store, run_id)
        for job in view.approvals:
            yield view, job


def _elsewhere(store: "Store") -> str:
    """Return the end of a sentence about what waits in another directory, such as one that is served."""
    for run in islice(open_runs_elsewhere(store), _LOOKED_AT):
        for _, job in _waiting(store, [run.id]):
            return f"; in {safe_line(run.directory)} waits: {approval_command(job)}"
    return ""


def _only(session: CliContext, waiting: list[tuple[RunView, JobView]], where: str, verb: str) -> tuple[str, str] | None:
    """Show what waits, and return the run and the name of the only job after the user has agreed; None if not.

    Raises:
        UsageError: several jobs wait, or there is no terminal to ask on.
    """
    show((_line(run, job) for run, job in waiting), session.out)
    run, job = waiting[0]
    option = " --reject" if verb == "reject" else ""
    if len(waiting) > 1:
        raise UsageError(f"{plural(len(waiting), 'job')} wait for approval {where}: name one, {approval_command(job)}{option}")
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"there is no terminal to ask on: {approval_command(job)}{option}")
    return (run.id, job.name) if click.confirm(f"{verb} it?", err=True) else None


def _line(run: RunView, job: JobView) -> Line:
    message = safe_line(job.approval.message) if job.approval is not None else ""
    return (
        (f"{approval_command(job)}", "bold"),
        (f"  {safe_line(run.flow)}", ""),
        (f"  {message}" if message else "", "warn"),
    )
