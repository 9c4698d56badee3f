"""Records of runs, their history and their output, from the hashes and streams of the store."""

import json
from collections.abc import Iterable, Mapping

from flowq.exceptions import CorruptRecordError
from flowq.states import JobStatus, RunStatus
from flowq.store.schema.instants import instant
from flowq.store.schema.log_streams import separate
from flowq.store.schema.records import Event, LogEntry, RunRecord


def log_entries(seq: str, row: Mapping[bytes, bytes]) -> list[LogEntry]:
    """Return the output in one entry of a run's log: one for each change of streams."""
    job, execution, at_ms = row[b"j"].decode(), int(row[b"x"]), int(seq.partition("-")[0])
    offset = int(row[b"o"]) if b"o" in row else None
    found = []
    for stream, data in separate(row[b"s"].decode(), row[b"d"]):
        found.append(LogEntry(seq, at_ms, job, execution, stream, data, offset))
        offset = None if offset is None else offset + len(data)
    return found


def event(run: str, seq: str, row: Mapping[bytes, bytes]) -> Event:
    """Return an entry of a run's history."""
    return Event(
        seq=seq,
        at_ms=int(seq.partition("-")[0]),
        run=run,
        job=row[b"j"].decode() or None,
        old=row[b"f"].decode(),
        new=row[b"t"].decode(),
        reason=row[b"r"].decode() or None,
        execution=int(row[b"x"]),
        attempt=int(row[b"a"] or 0),
    )


def run_record(run: str, row: Mapping[bytes, bytes]) -> RunRecord | None:
    """Return the record of a run, None when there is none, or it is on its way in or out.

    Raises:
        CorruptRecordError: it is not what flowq wrote.
    """
    fields = {name.decode("utf-8", "replace"): value.decode("utf-8", "surrogateescape") for name, value in row.items()}
    if fields.get("status") in {None, "staging", "collecting"}:
        return None
    try:
        return _record_of(run, fields)
    except (ValueError, KeyError, OverflowError) as error:
        raise CorruptRecordError(f"the record of run {run} cannot be read: {error}") from error


def run_records(rows: Iterable[tuple[str, Mapping[bytes, bytes]]], damaged: dict[str, str]) -> list[RunRecord | None]:
    """Return the records of runs for a list of them, as `run_record` does; one that cannot be read is None, and `damaged` gets why, by id."""
    found: list[RunRecord | None] = []
    for run, row in rows:
        try:
            found.append(run_record(run, row))
        except CorruptRecordError as error:
            damaged[run] = str(error)
            found.append(None)
    return found


def _record_of(run: str, fields: Mapping[str, str]) -> RunRecord:
    counts = {
        JobStatus(name.removeprefix("jobs:")): int(value)
        for name, value in fields.items()
        if name.startswith("jobs:") and name != "jobs:-" and int(value) > 0
    }
    return RunRecord(
        id=run,
        flow=fields.get("flow", ""),
        status=RunStatus(fields["status"]),
        attempt=int(fields["attempt"]),
        created_ms=instant(fields["created_at"]),
        started_ms=instant(fields.get("started_at")),
        ended_ms=instant(fields.get("ended_at")),
        directory=fields.get("directory", ""),
        file=fields.get("file", ""),
        local=fields.get("local") == "1",
        params=_object(fields, "params"),
        labels=_object(fields, "labels"),
        total=int(fields.get("total", 0)),
        open=int(fields.get("open", 0)),
        warnings=int(fields.get("warnings", 0)),
        canceling=fields.get("cancel") in {"1", "2"},
        timed_out=fields.get("cancel") in {"run_timeout", "lost"},
        outcome=RunStatus(fields["outcome"]) if "outcome" in fields else None,
        semaphore=fields.get("semaphore"),
        signature=fields.get("signature", ""),
        plan_attempt=fields.get("plan_attempt", ""),
        sources=_object(fields, "sources"),
        date=fields.get("date", ""),
        root=fields.get("root", ""),
        notifies="notify" in fields,
        queue_prefix=run if fields.get("local") == "1" else fields.get("queue_prefix", ""),
        schedule=fields.get("schedule", ""),
        slot=instant(fields.get("slot")),
        scheduled_at=fields.get("scheduled_at", ""),
        entry=fields.get("entry", ""),
        cause=fields.get("cause", ""),
        by=fields.get("by", ""),
        commit=fields.get("commit", ""),
        dirty=fields.get("dirty") == "1",
        waits_for=fields.get("waits_for") or fields.get("semaphore", ""),
        bundle=fields.get("bundle", ""),
        bundle_root=fields.get("bundle_root", ""),
        bundle_requires=fields.get("bundle_requires", ""),
        turned_away_by=fields.get("turned_away_by", ""),
        left_out=int(fields.get("left_out", 0)),
        idle_handlers=int(fields.get("idle_handlers", 0)),
        retention=int(fields.get("retention", 0)) / 1000,
        counts=counts,
    )


def _object(fields: Mapping[str, str], name: str) -> str:
    """Return the text of a JSON object; it is decoded by those who need it."""
    text = fields.get(name, "{}")
    if text != "{}" and not isinstance(json.loads(text), dict):
        raise ValueError(f"{name} is no object: {text[:100]!r}")
    return text
