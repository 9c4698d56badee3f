"""The output of `flowq info`: queues, workers, cron schedulers and active runs, as tables, as RQ's plain lines, or as JSON."""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flowq.cli.render.runs_table import runs_table
from flowq.cli.render.styled_text import Line, columns, pad
from flowq.cli.terminal import Terminal
from flowq.flows.documents.queue_documents import COUNTS, queue_json, worker_json
from flowq.flows.views.orphans import orphaned
from flowq.flows.views.text import plural, safe_line
from flowq.states import JobStatus
from flowq.store.schema.documents import record_json

if TYPE_CHECKING:
    from flowq.store import Store
    from flowq.store.schema.records import QueueRecord, RunRecord, WorkerRecord

_MANY = 100  # workers
_RECENT = 50  # latest runs that are searched for active ones


@dataclass(frozen=True, slots=True)
class Choice:
    """The selected parts and layout."""

    queues: tuple[str, ...] = ()  # () for all
    raw: bool = False
    by_queue: bool = False
    only_queues: bool = False
    only_workers: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """The state of the server at one moment."""

    queues: "list[QueueRecord]"
    workers: "list[WorkerRecord]"
    schedulers: dict[str, dict[str, str]]
    suspended: bool
    runs: "list[RunRecord]"  # active ones
    orphaned: "Collection[str]"  # the ids of those that no worker executes
    damaged: "Mapping[str, str]"  # why records of runs could not be read, by id

    @classmethod
    def taken(cls, store: "Store", queues: tuple[str, ...]) -> "Picture":
        """Read these queues and the workers that serve them; all queues if none is given."""
        damaged: dict[str, str] = {}
        recent = [] if queues else store.runs.recent(_RECENT)
        active = [run for run in store.runs.readable(recent, damaged) if not run.ended]
        return cls(
            [store.queues.get(name) for name in (queues or _named(store))],
            _as_of_now(store, [item for item in store.workers.live() if not queues or set(queues) & set(item.queues)]),
            {name: row for name in sorted(store.crons.schedulers()) if (row := store.crons.scheduler(name)) is not None},
            store.queues.suspended(),
            active,
            orphaned(store, (run.id for run in active), damaged),
            damaged,
        )


def _as_of_now(store: "Store", workers: "list[WorkerRecord]") -> "list[WorkerRecord]":
    """Return the workers with the number of jobs that they execute now: their own word is as old as their last heartbeat, some seconds.

    Of many workers that word is taken: each is two calls.
    """
    if len(workers) > _MANY:
        return workers
    given = {worker.name: store.workers.jobs(worker.name) for worker in workers}
    records = store.jobs.get_many((job for jobs in given.values() for job in jobs), {})
    held = Counter(record.worker for record in records if record is not None and record.status is JobStatus.STARTED)
    return [_with_busy(worker, held[worker.name]) if given[worker.name] else worker for worker in workers]


def _with_busy(worker: "WorkerRecord", busy: int) -> "WorkerRecord":
    state = ("busy" if busy else "idle") if worker.state in {"busy", "idle"} else worker.state
    return replace(worker, busy=busy, state=state)


def lines_of(picture: Picture, choice: Choice, terminal: Terminal) -> list[Line]:
    """Return the lines for a terminal or a pipe."""
    parts = [] if choice.only_workers else [_raw_queues(picture) if choice.raw else _queue_lines(picture.queues)]
    if not choice.only_queues:
        workers = _by_queue if choice.by_queue else _raw_workers if choice.raw else _worker_lines
        parts.append(workers(picture))
        parts += [] if choice.raw or choice.queues else [_scheduler_lines(picture)]
    if picture.runs and not (choice.raw or choice.only_queues or choice.only_workers):
        parts.append(runs_table(picture.runs, terminal, picture.orphaned))
    if not (choice.raw or choice.only_workers):
        parts.append(_totals(picture.queues))
    return _joined(parts, apart=not choice.raw)


def _joined(parts: "list[Iterator[Line]]", *, apart: bool) -> "list[Line]":
    """Return the lines of all parts, with an empty line between parts that are not empty."""
    lines: list[Line] = []
    for part in parts:
        more = list(part)
        if lines and more and apart:
            lines.append((("", ""),))
        lines += more
    return lines


def _named(store: "Store") -> list[str]:
    """Return the queues to show, without the private queues of runs on the embedded server."""
    return [name for name in store.queues.names() if "/" not in name]


def _queue_lines(records: list["QueueRecord"]) -> Iterator[Line]:
    if not records:
        yield (("no queues: a queue exists from its first job on", "dim"),)
        return
    width = max(5, *(columns(safe_line(record.name)) for record in records))
    yield ((pad("QUEUE", width) + "".join(f"  {name.upper():>9}" for name in COUNTS) + "    WORKERS", "dim"),)
    for record in records:
        counts = [getattr(record, name) for name in COUNTS]
        cells: list[tuple[str, str]] = [(pad(safe_line(record.name), width), "bold")]
        for name, count in zip(COUNTS, counts, strict=True):
            cells.append((f"  {count:>9}", "bad" if name == "failed" and count else "" if count else "dim"))
        yield (*cells, (f"  {record.workers:>9}", "warn" if record.queued and not record.workers else ""))
    limited, skipped = sum(record.rate_limited for record in records), sum(record.skipped for record in records)
    if limited:
        yield ((f"{plural(limited, 'job')} waiting for a rate limit", "dim"),)
    if skipped:
        yield ((f"{plural(skipped, 'job')} skipped, because a job before did not succeed", "dim"),)


def _totals(records: list["QueueRecord"]) -> Iterator[Line]:
    """Yield RQ's last line, in its words: scripts look for it."""
    yield ((f"{len(records)} queues, {sum(record.queued for record in records)} jobs total", "dim"),)


def _worker_lines(picture: Picture) -> Iterator[Line]:
    workers = picture.workers
    if picture.suspended:
        yield (("workers are suspended: `flowq resume` resumes them", "warn"),)
    for worker in workers:
        yield (
            (f"{safe_line(worker.name)}  ", "bold"),
            (f"{safe_line(worker.state)}  ", "busy" if worker.busy else ""),
            (f"{worker.busy}/{plural(worker.slots, 'slot')}  {', '.join(safe_line(name) for name in worker.queues)}  ", ""),
            (f"{worker.finished} finished, {worker.failed} failed, {worker.working_ms / 1000:.1f}s working", "dim"),
        )
    yield ((f"{plural(len(workers), 'worker')}" if workers else "no workers: `flowq worker` starts one", "dim"),)


def _by_queue(picture: Picture) -> Iterator[Line]:
    for record in picture.queues:
        names = [f"{safe_line(item.name)} ({safe_line(item.state)})" for item in picture.workers if record.name in item.queues]
        yield ((f"{safe_line(record.name)}: ", "bold"), (", ".join(names) or "no worker", "" if names else "warn"))


def _scheduler_lines(picture: Picture) -> Iterator[Line]:
    for name, row in picture.schedulers.items():
        entries = json.loads(row["cron_jobs"])
        times = [entry["next_enqueue_time"] for entry in entries if entry["next_enqueue_time"]]
        coming = f", next at {min(times)[:19].replace('T', ' ')} UTC" if times else ""
        yield (
            (f"{safe_line(name)}  ", "bold"),
            (f"cron  {safe_line(row['config_file'])}  ", ""),
            (f"{plural(len(entries), 'entry', 'entries')}{coming}", "dim"),
        )


def _raw_queues(picture: Picture) -> Iterator[Line]:
    for item in picture.queues:
        counts = f"{item.queued}, {item.started} executing, {item.finished} finished, {item.failed} failed"
        yield ((f"queue {safe_line(item.name)} {counts}", ""),)


def _raw_workers(picture: Picture) -> Iterator[Line]:
    for item in picture.workers:
        who = f"{safe_line(item.name)} ({safe_line(item.hostname)} {item.pid})"
        what = f"{safe_line(item.state)} {', '.join(safe_line(name) for name in item.queues)}"
        yield ((f"worker {who} {what}. jobs: {item.finished} finished, {item.failed} failed", ""),)


def document(picture: Picture) -> dict[str, object]:
    """Return the JSON document."""
    return {
        "suspended": picture.suspended,
        "queues": [queue_json(record) for record in picture.queues],
        "workers": [worker_json(worker) for worker in picture.workers],
        "runs": [record_json(run, orphaned=run.id in picture.orphaned) for run in picture.runs],
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
