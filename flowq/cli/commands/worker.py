"""`flowq worker`."""

import os
import sys

import click

from flowq import defaults
from flowq.cli.session import Session, pass_session, url_option

_LEVELS = ("debug", "info", "warning", "error")


@click.command(epilog="Example: flowq worker high default -c 4")
@click.argument("queues", nargs=-1, metavar="[QUEUE]...")
@click.option(
    "-c",
    "--concurrency",
    type=click.IntRange(1, 512),
    default=1,
    show_default=True,
    metavar="N",
    help="Jobs executed side by side.",
)
@click.option("--burst", is_flag=True, help="Stop when there is nothing left to do.")
@click.option("--name", metavar="NAME", help="Name of the worker.  [default: made from host and process]")
@click.option("--max-jobs", type=click.IntRange(1), metavar="N", help="Stop after N jobs.")
@click.option("--max-idle", type=click.FloatRange(0), metavar="SECONDS", help="Stop after so long without a job.")
@click.option("--preload", multiple=True, metavar="MODULE", help="Import this before the first job; may be repeated.")
@click.option("--log-level", type=click.Choice(_LEVELS), default="info", show_default=True, help="How much the worker tells.")
@url_option
@pass_session
def command(
    session: Session,
    queues: tuple[str, ...],
    concurrency: int,
    name: str | None,
    max_jobs: int | None,
    max_idle: float | None,
    preload: tuple[str, ...],
    log_level: str,
    *,
    burst: bool,
) -> None:
    """Execute jobs of the given queues.

    Queues are served in the order given; without one, the queue "default". The first Ctrl+C finishes the running jobs, the
    second hands them back.
    """
    argv = ["-c", str(concurrency), "--log-level", log_level]
    argv += ["--burst"] if burst else []
    for option, value in (("--name", name), ("--max-jobs", max_jobs), ("--max-idle", max_idle)):
        argv += [option, str(value)] if value is not None else []
    for module in preload:
        argv += ["--preload", module]
    # The worker takes this process's place: a lean program of its own that signals and supervisors reach directly. The
    # address of the server goes by the environment, because everybody on the machine can read a command line.
    environment = dict(os.environ)
    if session.url is not None:
        environment["FLOWQ_REDIS_URL"] = session.url
    sys.stdout.flush()
    os.execve(
        sys.executable,
        [sys.executable, "-P", "-m", "flowq.worker.main", *argv, "--", *(queues or (defaults.QUEUE,))],
        environment,
    )
