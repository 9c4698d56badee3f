"""`flowq suspend`."""

import click

from flowq.cli.context import CliContext, pass_context, url_option
from flowq.cli.options.queues import queue_options
from flowq.durations import format_duration, parse_duration


@click.command(epilog="Example: flowq suspend --duration 10m")
@click.option("--duration", metavar="TIME", help="Resume the workers after this time: seconds, or 10m, 1h, …  [default: never]")
@url_option
@pass_context
@queue_options(passed=False)
def command(session: CliContext, duration: str | None) -> None:
    """Pause all workers.

    They stay paused until `flowq resume`, or for `--duration`. Running jobs are not interrupted.
    """
    from flowq.suspension import suspend

    seconds = None if duration is None else parse_duration(duration)
    if seconds == 0:
        raise click.UsageError("--duration must be more than 0")
    suspend(session.store(), seconds)
    until = "until `flowq resume`" if seconds is None else f"for {format_duration(seconds)}"
    click.echo(f"workers are suspended {until}")
