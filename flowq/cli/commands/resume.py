"""`flowq resume`."""

import click

from flowq.cli.queue_options import queue_options
from flowq.cli.session import Session, pass_session, url_option


@click.command(epilog="Example: flowq resume")
@url_option
@pass_session
@queue_options(passed=False)
def command(session: Session) -> None:
    """Let suspended workers claim jobs again."""
    from flowq.suspension import resume

    click.echo("workers go on" if resume(session.store()) else "workers were not suspended")
