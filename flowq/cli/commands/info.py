"""`flowq info`."""

import sys
import time

import click

from flowq.cli.context import CliContext, pass_context, url_option
from flowq.cli.options.queues import queue_options
from flowq.cli.render.output import show, show_json

_WATCH = 2.0  # s between two looks


@click.command(epilog="Example: flowq info --watch")
@click.argument("queues", nargs=-1, metavar="[QUEUE]...")
@click.option("-i", "--interval", type=click.FloatRange(0.1), metavar="SECONDS", help="Stay and show it again and again.")
@click.option("--watch", is_flag=True, help="Stay, and show it again every two seconds.")
@click.option("-r", "--raw", is_flag=True, help="One plain line per queue and worker, as RQ prints them.")
@click.option("-Q", "--only-queues", is_flag=True, help="Only the queues.")
@click.option("-W", "--only-workers", is_flag=True, help="Only the workers.")
@click.option("-R", "--by-queue", is_flag=True, help="The workers by the queue they serve.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@url_option
@pass_context
@queue_options(passed=False)
def command(
    session: CliContext,
    queues: tuple[str, ...],
    interval: float | None,
    *,
    watch: bool,
    raw: bool,
    only_queues: bool,
    only_workers: bool,
    by_queue: bool,
    as_json: bool,
) -> None:
    """Show queues and workers.

    Of queues the jobs by status, of workers (and cron schedulers) those that live and what they do, of runs those that go on. With QUEUE,
    only those queues and the workers that serve them.
    """
    if watch and interval is None:
        interval = _WATCH
    if only_queues and only_workers:
        raise click.UsageError("--only-queues and --only-workers leave nothing to show")
    if raw and as_json:
        raise click.UsageError("--raw and --json exclude each other")
    from flowq.cli.render.queue_tables import Choice, Picture, document, lines_of

    choice = Choice(queues, raw=raw, by_queue=by_queue, only_queues=only_queues, only_workers=only_workers)
    store = session.store()
    try:
        while True:
            picture = Picture.taken(store, queues)
            if as_json:
                show_json(document(picture))
            else:
                lines = lines_of(picture, choice, session.out)
                if interval is not None and session.out.live:
                    click.clear()
                show(lines, session.out)
            if interval is None:
                return
            sys.stdout.flush()
            time.sleep(interval)
    except KeyboardInterrupt:  # how watching ends
        if interval is None:
            raise
