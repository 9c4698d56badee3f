"""`flowq info`."""

import sys
import time

import click

from flowq.cli.context import CliContext, pass_context, tell_damaged, tell_full, url_option
from flowq.cli.options.queues import queue_options
from flowq.cli.render.output import show, show_json

_WATCH = 2.0  # s between refreshes


@click.command(epilog="Example: flowq info --watch")
@click.argument("queues", nargs=-1, metavar="[QUEUE]...")
@click.option(
    "-i", "--interval", type=click.FloatRange(0.1), metavar="SECONDS", help="Refresh the display at this interval until Ctrl+C."
)
@click.option("--watch", is_flag=True, help="Refresh the display every two seconds until Ctrl+C.")
@click.option("-r", "--raw", is_flag=True, help="Print one plain line per queue and worker, as RQ does.")
@click.option("-Q", "--only-queues", is_flag=True, help="Show only the queues.")
@click.option("-W", "--only-workers", is_flag=True, help="Show only the workers.")
@click.option("-R", "--by-queue", is_flag=True, help="List the workers by queue.")
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

    It shows the jobs of each queue by status, the live workers and cron schedulers and what they do, and the active runs. With
    QUEUE, only those queues and the workers that serve them.
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
            tell_damaged(picture.damaged)
            tell_full(store)
            if interval is None:
                return
            sys.stdout.flush()
            time.sleep(interval)
    except KeyboardInterrupt:  # ends --watch and --interval
        if interval is None:
            raise
