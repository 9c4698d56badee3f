"""`flowq info`."""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from flowq.cli.listing import runs_table
from flowq.cli.output import show, show_json
from flowq.cli.queue_options import queue_options
from flowq.cli.segments import Line, columns, pad
from flowq.cli.session import Session, Terminal, pass_session, url_option
from flowq.cli.wording import plural
from flowq.flows.documents import record_json
from flowq.flows.textsafe import safe_line

if TYPE_CHECKING:
    from flowq.store import Store
    from flowq.store.records import QueueRecord, RunRecord, WorkerRecord

_WATCH = 2.0  # s between two looks
_RECENT = 50  # runs among which those that go on are looked for
_COUNTS = ("queued", "started", "deferred", "scheduled", "finished", "failed", "canceled")


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
@pass_session
@queue_options(passed=False)
def command(
    session: Session,
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
    store = session.store()
    try:
        while True:
            picture = _Picture.taken(store, queues)
            if as_json:
                show_json(_document(picture))
            else:
                parts = [] if only_workers else [_raw_queues(picture) if raw else _queue_lines(picture.queues)]
                if not only_queues:
                    parts += [_raw_workers(picture)] if raw else [_by_queue(picture) if by_queue else _worker_lines(picture)]
                    parts += [] if raw or queues else [_scheduler_lines(picture)]
                if not (raw or queues or only_queues or only_workers):
                    parts.append(_run_lines(picture, session.out))
                if interval is not None and session.out.live:
                    click.clear()
                show(_joined(parts, apart=not raw), session.out)
            if interval is None:
                return
            sys.stdout.flush()
            time.sleep(interval)
    except KeyboardInterrupt:  # how watching ends
        if interval is None:
            raise


@dataclass(frozen=True, slots=True)
class _Picture:
    """What is shown, as one look saw it."""

    queues: "list[QueueRecord]"
    workers: "list[WorkerRecord]"
    schedulers: dict[str, dict[str, str]]
    suspended: bool
    runs: "list[RunRecord]"

    @classmethod
    def taken(cls, store: "Store", queues: tuple[str, ...]) -> "_Picture":
        """Look at these queues and who serves them, or at all."""
        return cls(
            [store.queues.get(name) for name in (queues or _named(store))],
            [item for item in store.workers.all() if not queues or set(queues) & set(item.queues)],
            {name: row for name in sorted(store.crons.schedulers()) if (row := store.crons.scheduler(name)) is not None},
            store.queues.suspended(),
            [] if queues else [run for run in map(store.runs.get, store.runs.recent(_RECENT)) if run and not run.ended],
        )


def _joined(parts: "list[Iterator[Line]]", *, apart: bool) -> "list[Line]":
    """Return the lines of several parts, those that have any, with an empty line between them."""
    lines: list[Line] = []
    for part in parts:
        more = list(part)
        if lines and more and apart:
            lines.append((("", ""),))
        lines += more
    return lines


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


def _worker_lines(picture: _Picture) -> Iterator[Line]:
    workers = picture.workers
    if picture.suspended:
        yield (("workers are suspended: `flowq resume` lets them go on", "warn"),)
    for worker in workers:
        yield (
            (f"{safe_line(worker.name)}  ", "bold"),
            (f"{safe_line(worker.state)}  ", "busy" if worker.busy else ""),
            (f"{worker.busy}/{worker.slots} slots  {', '.join(safe_line(name) for name in worker.queues)}  ", ""),
            (f"{worker.finished} finished, {worker.failed} failed, {worker.working_ms / 1000:.1f}s working", "dim"),
        )
    yield ((f"{plural(len(workers), 'worker')}" if workers else "no workers: `flowq worker` starts one", "dim"),)


def _run_lines(picture: _Picture, terminal: Terminal) -> Iterator[Line]:
    if picture.runs:
        yield from runs_table(picture.runs, terminal)


def _by_queue(picture: _Picture) -> Iterator[Line]:
    for record in picture.queues:
        names = [f"{safe_line(item.name)} ({safe_line(item.state)})" for item in picture.workers if record.name in item.queues]
        yield ((f"{safe_line(record.name)}: ", "bold"), (", ".join(names) or "nobody", "" if names else "warn"))


def _scheduler_lines(picture: _Picture) -> Iterator[Line]:
    for name, row in picture.schedulers.items():
        entries = json.loads(row["cron_jobs"])
        times = [entry["next_enqueue_time"] for entry in entries if entry["next_enqueue_time"]]
        coming = f", next at {min(times)[:19].replace('T', ' ')} UTC" if times else ""
        yield (
            (f"{safe_line(name)}  ", "bold"),
            (f"cron  {safe_line(row['config_file'])}  ", ""),
            (f"{plural(len(entries), 'entry', 'entries')}{coming}", "dim"),
        )


def _raw_queues(picture: _Picture) -> Iterator[Line]:
    for item in picture.queues:
        counts = f"{item.queued}, {item.started} executing, {item.finished} finished, {item.failed} failed"
        yield ((f"queue {safe_line(item.name)} {counts}", ""),)


def _raw_workers(picture: _Picture) -> Iterator[Line]:
    for item in picture.workers:
        who = f"{safe_line(item.name)} ({safe_line(item.hostname)} {item.pid})"
        what = f"{safe_line(item.state)} {', '.join(safe_line(name) for name in item.queues)}"
        yield ((f"worker {who} {what}. jobs: {item.finished} finished, {item.failed} failed", ""),)


def _document(picture: _Picture) -> dict[str, object]:
    return {
        "suspended": picture.suspended,
        "queues": [
            {"name": record.name, "workers": record.workers} | {name: getattr(record, name) for name in _COUNTS}
            for record in picture.queues
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
            for worker in picture.workers
        ],
        "runs": [record_json(run) for run in picture.runs],
        "schedulers": [
            {
                "name": name,
                "hostname": row["hostname"],
                "pid": int(row["pid"]),
                "configuration": row["config_file"],
                "entries": json.loads(row["cron_jobs"]),
            }
            for name, row in picture.schedulers.items()
        ],
    }
