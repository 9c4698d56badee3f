"""`flowq info`."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from flowq.cli.output import show, show_json
from flowq.cli.segments import Line, columns, pad
from flowq.cli.session import Session, pass_session, url_option
from flowq.cli.wording import plural
from flowq.flows.textsafe import safe_line

if TYPE_CHECKING:
    from flowq.store import Store
    from flowq.store.records import QueueRecord, WorkerRecord

_COUNTS = ("queued", "started", "deferred", "scheduled", "finished", "failed", "canceled")


@click.command(epilog="Example: flowq info --interval 2")
@click.argument("queues", nargs=-1, metavar="[QUEUE]...")
@click.option("-i", "--interval", type=click.FloatRange(0.1), metavar="SECONDS", help="Stay and show it again and again.")
@click.option("-Q", "--only-queues", is_flag=True, help="Only the queues.")
@click.option("-W", "--only-workers", is_flag=True, help="Only the workers.")
@click.option("-R", "--by-queue", is_flag=True, help="The workers by the queue they serve.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@url_option
@pass_session
def command(
    session: Session,
    queues: tuple[str, ...],
    interval: float | None,
    *,
    only_queues: bool,
    only_workers: bool,
    by_queue: bool,
    as_json: bool,
) -> None:
    """Show queues and workers.

    Of queues the jobs by status, of workers those that live and what they do. With QUEUE, only those queues and the workers that serve them.
    """
    if only_queues and only_workers:
        raise click.UsageError("--only-queues and --only-workers leave nothing to show")
    store = session.store()
    while True:
        records = [store.queues.get(name) for name in (queues or _named(store))]
        workers = [item for item in store.workers.all() if not queues or set(queues) & set(item.queues)]
        suspended = store.queues.suspended()
        if as_json:
            show_json(_document(records, workers, suspended=suspended))
        else:
            lines = [] if only_workers else list(_queue_lines(records))
            if not only_queues:
                lines += [(("", ""),)] if lines else []
                lines += list(_by_queue(records, workers) if by_queue else _worker_lines(workers, suspended=suspended))
            if interval is not None and session.out.live:
                click.clear()
            show(lines, session.out)
        if interval is None:
            return
        time.sleep(interval)


def _named(store: "Store") -> list[str]:
    """Return the queues to show: not those that a run on the embedded server has for itself."""
    return [name for name in store.queues.names() if "/" not in name]


def _queue_lines(records: list["QueueRecord"]) -> Iterator[Line]:
    if not records:
        yield (("no queues: a queue exists from its first job on", "dim"),)
        return
    width = max(5, *(columns(safe_line(record.name)) for record in records))
    yield ((pad("QUEUE", width) + "".join(f"  {name.upper():>9}" for name in _COUNTS) + "    WORKERS", "dim"),)
    for record in records:
        counts = [getattr(record, name) for name in _COUNTS]
        cells: list[tuple[str, str]] = [(pad(safe_line(record.name), width), "bold")]
        for name, count in zip(_COUNTS, counts, strict=True):
            cells.append((f"  {count:>9}", "bad" if name == "failed" and count else "" if count else "dim"))
        yield (*cells, (f"  {record.workers:>9}", "warn" if record.queued and not record.workers else ""))
    yield ((f"{plural(len(records), 'queue')}, {plural(sum(record.queued for record in records), 'job')} waiting", "dim"),)


def _worker_lines(workers: list["WorkerRecord"], *, suspended: bool) -> Iterator[Line]:
    if suspended:
        yield (("workers are suspended: `flowq resume` lets them go on", "warn"),)
    for worker in workers:
        yield (
            (f"{safe_line(worker.name)}  ", "bold"),
            (f"{safe_line(worker.state)}  ", "busy" if worker.busy else ""),
            (f"{worker.busy}/{worker.slots} slots  {', '.join(safe_line(name) for name in worker.queues)}  ", ""),
            (f"{worker.finished} finished, {worker.failed} failed, {worker.working_ms / 1000:.1f}s working", "dim"),
        )
    yield ((f"{plural(len(workers), 'worker')}" if workers else "no workers: `flowq worker` starts one", "dim"),)


def _by_queue(records: list["QueueRecord"], workers: list["WorkerRecord"]) -> Iterator[Line]:
    for record in records:
        names = [safe_line(worker.name) for worker in workers if record.name in worker.queues]
        yield ((f"{safe_line(record.name)}: ", "bold"), (", ".join(names) or "nobody", "" if names else "warn"))


def _document(records: list["QueueRecord"], workers: list["WorkerRecord"], *, suspended: bool) -> dict[str, object]:
    return {
        "suspended": suspended,
        "queues": [
            {"name": record.name, "workers": record.workers} | {name: getattr(record, name) for name in _COUNTS}
            for record in records
        ],
        "workers": [
            {
                "name": worker.name,
                "queues": list(worker.queues),
                "hostname": worker.hostname,
                "pid": worker.pid,
                "state": worker.state,
                "slots": worker.slots,
                "busy": worker.busy,
                "finished": worker.finished,
                "failed": worker.failed,
                "working_seconds": worker.working_ms / 1000,
            }
            for worker in workers
        ],
    }
