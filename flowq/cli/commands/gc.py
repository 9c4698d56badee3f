"""`flowq gc`."""

from collections.abc import Iterator

import click

from flowq.cli.context import CliContext, pass_context, url_option
from flowq.cli.options.types import Duration
from flowq.cli.render.output import show, show_json
from flowq.cli.render.styled_text import Line
from flowq.flows.actions.garbage_collection import Garbage, Wish, find_garbage, garbage_json
from flowq.flows.views.text import plural

_SHOWN = 8  # ids per kind


@click.command(epilog="Example: flowq gc --older-than 30d --keep 10 --dry-run")
@click.option(
    "--older-than", type=Duration(), metavar="DURATION", help="Also delete runs that ended longer ago than this (7d, 12h)."
)
@click.option(
    "--keep",
    type=click.IntRange(0),
    metavar="N",
    help="Keep the latest N runs of each flow; without --older-than, delete all others that have ended.",
)
@click.option("--flow", metavar="NAME", help="With --older-than or --keep: only runs of this flow.")
@click.option("--dry-run", is_flag=True, help="Show what would be deleted; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
@url_option
@pass_context
def command(
    session: CliContext, older_than: float | None, keep: int | None, flow: str | None, *, dry_run: bool, as_json: bool
) -> None:
    """Delete expired data from the server.

    These are runs whose retention has passed, incomplete submissions and retries, and entries of expired plain jobs. Workers
    delete them too; use this command on a server without workers. With --older-than or --keep, it also deletes old runs. Where
    there is a file store (FLOWQ_STORE), it also deletes what has been there for a day and no run has: only this command does.
    """
    wish = Wish(older_than, keep, flow)
    if flow is not None and not wish:
        raise click.UsageError("--flow needs --older-than or --keep")
    store = session.store()
    found = find_garbage(store, wish)
    gone = found if dry_run else found.remove(store)
    if as_json:
        show_json({"dry_run": dry_run, **garbage_json(gone)})
    else:
        show(_lines(gone, dry_run=dry_run), session.out)


def _lines(gone: Garbage, *, dry_run: bool) -> Iterator[Line]:
    verb = "would remove" if dry_run else "removed"
    for noun, why, runs in (
        ("run", "retention has passed", gone.expired),
        ("run", "chosen by --older-than and --keep", gone.chosen),
        ("submission", "died halfway", gone.unfinished),
        ("retry", "died halfway", gone.retries),
    ):
        if runs:
            names = ", ".join(runs[:_SHOWN]) + (f" and {len(runs) - _SHOWN} more" if len(runs) > _SHOWN else "")
            count = plural(len(runs), noun, "retries" if noun == "retry" else "")
            yield ((f"{verb} {count} ({why}): ", ""), (names, "dim"))
    if gone.entries:
        count = plural(sum(gone.entries.values()), "entry", "entries")
        yield ((f"{verb} {count} of expired jobs in {plural(len(gone.entries), 'queue')}", ""),)
    if gone.blobs:
        yield ((f"{verb} {plural(len(gone.blobs), 'file')} from the file store that no run has", ""),)
    if not gone:
        yield (("nothing to remove", "good"),)
