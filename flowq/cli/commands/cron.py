"""`flowq cron`."""

import click

from flowq.cli.queue_options import LEVELS, QueueOptions, queue_options
from flowq.cli.session import Session, pass_session, url_option


@click.command(epilog="Example: flowq cron cron_config.py --timezone Europe/Berlin")
@click.argument("configuration", metavar="CONFIG")
@click.option(
    "-l",
    "--logging-level",
    type=click.Choice(LEVELS, case_sensitive=False),
    default="info",
    show_default=True,
    help="How much it tells.",
)
@click.option("--name", metavar="NAME", help="Name of the scheduler.  [default: made from host and process]")
@click.option("--timezone", metavar="ZONE", help="Of cron expressions that do not say theirs.  [default: the local one]")
@url_option
@pass_session
@queue_options()
def command(
    session: Session, configuration: str, logging_level: str, name: str | None, timezone: str | None, common: QueueOptions
) -> None:
    """Put jobs on queues at their times.

    CONFIG is a Python file, or the dotted name of a module, that calls `flowq.cron.register`. Several schedulers may run at once.
    The first Ctrl+C ends it.
    """
    from flowq.cron import CronScheduler
    from flowq.cron.zones import named

    common.set_up_logging()
    named(timezone)  # a wrong one is said before the configuration is executed
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
