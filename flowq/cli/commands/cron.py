"""`flowq cron`."""

import click

from flowq.cli.context import CliContext, pass_context, url_option
from flowq.cli.options.queues import LEVELS, QueueOptions, queue_options


@click.command(epilog="Example: flowq cron cron_config.py --timezone Europe/Berlin")
@click.argument("configuration", metavar="CONFIG")
@click.option(
    "-l",
    "--logging-level",
    type=click.Choice(LEVELS, case_sensitive=False),
    default="info",
    show_default=True,
    help="Log level.",
)
@click.option("--name", metavar="NAME", help="Name of the scheduler.  [default: made from host and process]")
@click.option("--timezone", metavar="ZONE", help="Time zone of cron expressions that name none.  [default: the local one]")
@click.option("--check", is_flag=True, help="Only show the entries and when they are due next; no server is needed.")
@url_option
@pass_context
@queue_options()
def command(
    session: CliContext,
    configuration: str,
    logging_level: str,
    name: str | None,
    timezone: str | None,
    common: QueueOptions,
    *,
    check: bool,
) -> None:
    """Enqueue jobs on a schedule.

    CONFIG is a Python file, or the dotted name of a module, that calls `flowq.cron.register`. Several schedulers may run at once.
    The first Ctrl+C ends it.
    """
    from flowq.cron import CronScheduler
    from flowq.slots.timezones import named

    common.set_up_logging()
    named(timezone)  # report a wrong zone before the configuration is executed
    if check:
        _show(configuration, timezone, session)
        return
    scheduler = CronScheduler(
        session.store(),
        logging_level.upper(),
        name or "",
        timezone=timezone,
        queue_class=common.queue_class,
        job_class=common.job_class,
        serializer=common.serializer,
    )
    scheduler.load_config_from_file(configuration)
    scheduler.start()


def _show(configuration: str, timezone: str | None, session: CliContext) -> None:
    """Print the entries of a configuration, each with the time when it is next due."""
    from flowq.cli.render.output import show
    from flowq.cli.render.styled_text import columns, pad
    from flowq.cron import registration
    from flowq.flows.views.text import safe_line

    entries = registration.entries(configuration, timezone)
    rows = [("NAME", "QUEUE", "WHEN", "NEXT")]
    for entry in entries:
        coming = entry.next_enqueue_time
        then = "at once" if coming is None else f"{coming.astimezone(entry.timezone):%Y-%m-%d %H:%M:%S %z}"
        rows.append((safe_line(entry.name), safe_line(entry.queue_name), safe_line(entry.when()), then))
    widths = [max(columns(row[index]) for row in rows) for index in range(3)]
    lines = [
        (("  ".join([*(pad(cell, width) for cell, width in zip(row, widths, strict=False)), row[3]]), ""),) for row in rows
    ]
    show([((lines[0][0][0], "dim"),), *lines[1:]], session.out)
