"""`flowq worker-pool`."""

import sys

import click

from flowq import defaults
from flowq.cli.context import CliContext, pass_context, url_option
from flowq.cli.options.queues import QueueOptions, logging_options, queue_options


@click.command(epilog="Example: flowq worker-pool high default -n 3")
@click.argument("queues", nargs=-1, metavar="[QUEUE]...")
@click.option(
    "-n", "--num-workers", type=click.IntRange(1, 512), default=1, show_default=True, metavar="N", help="How many workers."
)
@click.option("-b", "--burst", is_flag=True, help="Stop when the queues are empty.")
@click.option(
    "--exception-handler",
    "handlers",
    multiple=True,
    metavar="FUNCTION",
    help="Call this function when a job fails; may be repeated.",
)
@logging_options("-l", "--logging-level", "--log-level")
@url_option
@pass_context
@queue_options()
def command(
    session: CliContext,
    queues: tuple[str, ...],
    num_workers: int,
    handlers: tuple[str, ...],
    log: dict[str, str],
    common: QueueOptions,
    *,
    burst: bool,
) -> None:
    """Run several workers, and replace those that die.

    Each worker is a process with its own jobs; `flowq worker -c N` is one worker with N jobs. After the first Ctrl+C the workers
    finish their jobs and stop; a second one requeues them.
    """
    from flowq.worker.worker import Worker
    from flowq.worker_pool import WorkerPool

    common.set_up_logging()
    pool = WorkerPool(
        queues or common.queues() or (defaults.QUEUE,),
        session.store(),
        num_workers,
        common.worker_class or Worker,
        common.serializer,
        common.job_class,
        common.queue_class,
        [common.function(name, "--exception-handler") for name in handlers],
    )
    sys.stdout.flush()
    pool.start(burst, log["level"].upper(), log_format=log["format"], date_format=log["dates"])
