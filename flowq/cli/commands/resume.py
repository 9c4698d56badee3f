"""`flowq resume`."""

import click

from flowq.cli.context import CliContext, pass_context, url_option
from flowq.cli.options.queues import queue_options


@click.command(epilog="Example: flowq resume")
@url_option
@pass_context
@queue_options(passed=False)
def command(session: CliContext) -> None:
    """Resume suspended workers."""
    from flowq.suspension import resume

    click.echo("workers resumed" if resume(session.store()) else "workers were not suspended")
