"""What was read from the streams of a run, as messages: the newest state of each job, however often it changed."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flowq.flows.views.job_log import entry_row
from flowq.flows.views.run_view import ordinal_of
from flowq.plan import Json
from flowq.serve.http.live.topics import Topic
from flowq.store.schema.documents import iso
from flowq.store.schema.records import Event, LogEntry, RunRecord


def run_message(run: RunRecord, rows: Iterable[Sequence[Json]], position: str, *, expanded: bool = False) -> dict[str, Any]:
    """Return the message about a run: its state, and the jobs that have changed. `expanded`: it has more jobs than before."""
    return {
        "topic": f"run:{run.id}",
        "status": str(run.status),
        "attempt": run.attempt,
        "canceling": run.canceling and not run.ended,
        "started_at": iso(run.started_ms),
        "ended_at": iso(run.ended_ms),
        "counts": {str(status): count for status, count in run.counts.items()},
        "not_needed": run.not_needed,
        "jobs": list(rows),
        "expanded": expanded,
        "position": position,
    }


def job_rows(events: Iterable[Event]) -> list[list[Json]]:
    """Return the newest state of each job: ordinal, status, reason, attempt, time."""
    rows: dict[int, list[Json]] = {}
    for event in events:
        ordinal = ordinal_of(event.job)
        if ordinal is not None:
            rows[ordinal] = [ordinal, event.new, event.reason, event.attempt, iso(event.at_ms)]
    return list(rows.values())


def log_messages(run: str, entries: Sequence[LogEntry], topics: Iterable[Topic]) -> Mapping[Topic, dict[str, Any]]:
    """Return the message of each topic that is about this output."""
    found: dict[Topic, dict[str, Any]] = {}
    for topic in topics:
        rows = [entry_row(entry) for entry in entries if topic.ordinal in {None, ordinal_of(entry.job)}]
        if topic.kind == "log" and topic.run == run and rows:
            found[topic] = {"topic": str(topic), "entries": rows}
    return found
