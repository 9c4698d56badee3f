"""`flowq approve`."""

import click

from flowq.cli.context import CliContext, pass_context, url_option
from flowq.cli.targets import select_run
from flowq.flows.actions import approval
from flowq.flows.views.snapshot import read_plan
from flowq.flows.views.text import safe_line


@click.command(epilog='Example: flowq approve @latest sign-off --comment "figures checked"')
@click.argument("run")
@click.argument("job")
@click.option("--reject", is_flag=True, help="Reject it: the job fails with reason `rejected`.")
@click.option("--comment", metavar="TEXT", default="", help="Comment, stored with the decision.")
@click.option("--by", metavar="NAME", default=None, help="Who decides.  [default: the user who runs this command]")
@url_option
@pass_context
def command(session: CliContext, run: str, job: str, reject: bool, comment: str, by: str | None) -> None:
    """Approve or reject a job that waits for approval.

    The run records who decided, when and why.
    """
    store = session.store()
    run_id = select_run(store, run)
    decision = approval.Decision(not reject, by, comment)
    approval.decide(store, run_id, read_plan(store, run_id), job, decision)
    click.echo(f"{'rejected' if reject else 'approved'} {safe_line(job)} of run {run_id} as {safe_line(decision.who)}")
