"""`flowq suspend`."""

import click

from flowq.cli import exit_codes
from flowq.cli.context import CliContext, complain, pass_context, url_option
from flowq.cli.options.queues import queue_options
from flowq.durations import format_duration, parse_duration


@click.command(epilog="Example: flowq suspend --duration 10m")
@click.option("--duration", metavar="TIME", help="Resume the workers after this time: seconds, or 10m, 1h, …  [default: never]")
@url_option
@pass_context
@queue_options(passed=False)
def command(session: CliContext, duration: str | None) -> int:
    """Pause all workers.

    They stay paused until `flowq resume`, or for `--duration`. Running jobs are not interrupted.
    """
    from flowq.suspension import suspend

    seconds = None if duration is None else parse_duration(duration)
    if seconds is not None and seconds <= 0:
        complain(f"error: Duration must be an integer greater than 1 (seconds), or a time such as 10m, found {duration!r}")
        return exit_codes.FAILED  # as in RQ
    suspend(session.store(), seconds)
    until = "until `flowq resume`" if seconds is None else f"for {format_duration(seconds)}"
    click.echo(f"workers are suspended {until}")
    return exit_codes.OK
