"""`flowq requeue`."""

import click

from flowq import defaults
from flowq.cli.context import CliContext, complain, pass_context, url_option
from flowq.cli.options.queues import QueueOptions, queue_options
from flowq.exceptions import InvalidJobOperation, NoSuchJobError
from flowq.flows.views.text import plural


@click.command(epilog="Example: flowq requeue --queue myqueue --all")
@click.argument("job_ids", nargs=-1, metavar="[JOB]...")
@click.option("--queue", "name", default=defaults.QUEUE, show_default=True, metavar="QUEUE", help="Queue of the jobs.")
@click.option("-a", "--all", "all_jobs", is_flag=True, help="Requeue every failed job of the queue.")
@url_option
@pass_context
@queue_options()
def command(session: CliContext, job_ids: tuple[str, ...], name: str, common: QueueOptions, *, all_jobs: bool) -> int:
    """Requeue failed jobs of a queue.

    JOB is the id of a failed or skipped plain job; for failed jobs of runs, use `flowq retry`. Jobs that were skipped because of JOB wait for
    it again. The exit code is 1 if a job could not be requeued.
    """
    from flowq.queue import Queue

    if job_ids and all_jobs:
        raise click.UsageError("give either job ids or --all")
    store = session.store()
    queue = Queue(name, store, job_class=common.job())
    wanted = list(job_ids)
    damaged: dict[str, str] = {}
    if all_jobs:
        failed = store.jobs.get_many(queue.failed_job_registry.get_job_ids(), damaged)
        wanted = [item.id for item in failed if item is not None and item.run is None and item.id not in damaged]
        for why in damaged.values():
            complain(f"error: {why}")
    refused = 0
    for job_id in wanted:
        try:
            queue.requeue(job_id)
        except (NoSuchJobError, InvalidJobOperation) as error:
            complain(f"error: {error}")
            refused += 1
    click.echo(f"requeued {plural(len(wanted) - refused, 'job')} in queue {name}")
    return 1 if refused or damaged else 0
