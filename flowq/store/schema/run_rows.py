"""Records of runs, their history and their output, from the hashes and streams of the store."""

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache, partial
from typing import Final, TypeVar

from flowq.exceptions import CorruptRecordError
from flowq.states import JobStatus, RunStatus
from flowq.store.schema.instants import instant
from flowq.store.schema.log_streams import separate
from flowq.store.schema.records import Event, LogEntry, RunRecord

Row = tuple[str, Mapping[bytes, bytes]]
"""An entry of a stream: its position and its fields."""
_T = TypeVar("_T")

_log = logging.getLogger(__name__)


def events_of(run: str, rows: Iterable[Row]) -> list[Event]:
    """Return entries of a run's history. One that cannot be read is left out, and logged once."""
    return [one for seq, row in rows if (one := _readable("history", run, seq, partial(_event, run, seq, row))) is not None]


def logs_of(run: str, rows: Iterable[Row]) -> list[LogEntry]:
    """Return the output in entries of a run's log, likewise."""
    return [one for seq, row in rows for one in _readable("output", run, seq, partial(_log_entries, seq, row)) or ()]


def end_before(position: str) -> str:
    """Return the end of a range of a stream up to a position, without it. "+": of all the stream."""
    first = not position.strip("0-")  # it is of no entry, and the server refuses to look before it
    return position if position == "+" or first else f"({position}"


def _readable(kind: str, run: str, seq: str, read: Callable[[], _T]) -> _T | None:
    try:
        return read()
    except (ValueError, KeyError) as error:
        why = f"it has no {error.args[0].decode()}" if isinstance(error, KeyError) else error
        _tell(f"entry {seq} of the {kind} of run {run} cannot be read, and is left out: {why}")
        return None


@lru_cache(1000)  # readers come to an entry again as long as it is the last one
def _tell(text: str) -> None:
    _log.warning("%s", text)


def _log_entries(seq: str, row: Mapping[bytes, bytes]) -> list[LogEntry]:
    """Return the output in one entry of a run's log: one for each change of streams."""
    job, execution, at_ms = row[b"j"].decode(), int(row[b"x"]), int(seq.partition("-")[0])
    offset = int(row[b"o"]) if b"o" in row else None
    found = []
    for stream, data in separate(row[b"s"].decode(), row[b"d"]):
        found.append(LogEntry(seq, at_ms, job, execution, stream, data, offset))
        offset = None if offset is None else offset + len(data)
    return found


def _event(run: str, seq: str, row: Mapping[bytes, bytes]) -> Event:
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
        why = "; ".join(_unreadable(fields)) or str(error)
        raise CorruptRecordError(
            f"the record of run {run} cannot be read: {why} (`flowq delete {run}` removes such a run)"
        ) from error


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


_SHOWN_GATES: Final = frozenset({JobStatus.FAILED, JobStatus.STOPPED})
"""Users see the gate of a sub-flow as the job with `flow` if it has ended so: its `if` could not be evaluated, say."""


def _record_of(run: str, fields: Mapping[str, str]) -> RunRecord:
    counts, gates = _counts(fields, "jobs:"), _counts(fields, "gates:")
    hidden = {status: count for status, count in gates.items() if status not in _SHOWN_GATES}
    counts = {status: count - hidden.get(status, 0) for status, count in counts.items() if count > hidden.get(status, 0)}
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
        params=_object(fields.get("params", "{}")),
        labels=_object(fields.get("labels", "{}")),
        total=int(fields.get("total", 0)) - sum(hidden.values()),
        open=int(fields.get("open", 0)),
        warnings=int(fields.get("warnings", 0)),
        canceling=fields.get("cancel") in {"1", "2"},
        timed_out=fields.get("cancel") in {"run_timeout", "lost"},
        outcome=RunStatus(fields["outcome"]) if "outcome" in fields else None,
        semaphore=fields.get("semaphore"),
        signature=fields.get("signature", ""),
        plan_attempt=fields.get("plan_attempt", ""),
        sources=_object(fields.get("sources", "{}")),
        date=fields.get("date", ""),
        root=fields.get("root", ""),
        notices=fields.get("notify", ""),
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


def _counts(fields: Mapping[str, str], prefix: str) -> dict[JobStatus, int]:
    """Return the counts of a run's record that have this prefix, by status."""
    return {
        JobStatus(name.removeprefix(prefix)): int(value)
        for name, value in fields.items()
        if name.startswith(prefix) and name != f"{prefix}-" and int(value) > 0
    }


def _object(text: str) -> str:
    """Return the text of a JSON object; it is decoded by those who need it."""
    if text != "{}" and not isinstance(json.loads(text), dict):
        raise ValueError(f"no object: {text[:100]!r}")
    return text


_READERS: Final[Mapping[str, Callable[[str], object]]] = {
    **dict.fromkeys(("status", "outcome"), RunStatus),
    **dict.fromkeys(("attempt", "total", "open", "warnings", "left_out", "retention"), int),
    **dict.fromkeys(("created_at", "started_at", "ended_at", "slot"), instant),
    **dict.fromkeys(("params", "labels", "sources"), _object),
}
"""What reads the fields that are no texts; counts of jobs are integers, too."""


def _unreadable(fields: Mapping[str, str]) -> Iterator[str]:
    """Yield what is wrong with each field that cannot be read."""
    yield from (f"{name}: it is missing" for name in ("attempt", "created_at") if name not in fields)
    for name, value in fields.items():
        try:
            _READERS.get(name, int if name.startswith(("jobs:", "gates:")) else str)(value)
        except (ValueError, OverflowError) as error:
            yield f"{name}: {error}"
