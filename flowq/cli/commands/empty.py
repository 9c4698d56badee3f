"""`flowq empty`."""

import click

from flowq.cli.context import CliContext, pass_context, url_option
from flowq.cli.options.queues import QueueOptions, queue_options
from flowq.flows.views.text import plural, safe_line


@click.command(epilog="Example: flowq empty low")
@click.argument("queues", nargs=-1, metavar="[QUEUE]...")
@click.option("-a", "--all", "all_queues", is_flag=True, help="Empty every queue.")
@url_option
@pass_context
@queue_options()
def command(session: CliContext, queues: tuple[str, ...], common: QueueOptions, *, all_queues: bool) -> None:
    """Delete the jobs that wait in queues.

    Running, scheduled and ended jobs stay, and so do the jobs of runs: `flowq cancel` cancels those.
    """
    if queues and all_queues:
        raise click.UsageError("name the queues to empty, or --all")
    names = session.store().queues.names() if all_queues else queues
    if not names:
        click.echo("nothing to do: there is no queue" if all_queues else "nothing to do: name the queues to empty, or --all")
    for name in names:
        click.echo(f"deleted {plural(common.queue(name, session).empty(), 'job')} of queue {safe_line(name)}")
