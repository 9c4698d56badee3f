"""Records of jobs and results, made from Redis data. `job_fields` defines each field of a job's hash."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from flowq.exceptions import CorruptRecordError
from flowq.ids import split_member_id
from flowq.states import JobStatus, Reason
from flowq.store.schema.instants import instant
from flowq.store.schema.records import JobRecord, ResultRecord

_UNREADABLE: Final = (ValueError, TypeError, KeyError, OverflowError)
RESULT_FIELDS: Final = ("outcome", "token", "ended_at", "started_at", "worker")
TIME_FIELDS: Final = ("status", "reason", "started_at", "ended_at")
_LONGEST: Final = 1e9  # s that a job may have taken
_MOST_CELLS: Final = 200_000  # of a job: a damaged number is not expanded
_RESULT_TYPES: Final = {
    "finished": "successful",
    "retried": "retried",
    "stopped": "stopped",
    "exceeded": "max_retries_exceeded",
}


def job_record(job: str, row: Mapping[bytes, bytes]) -> JobRecord | None:
    """Return the record of a job's hash, None of an empty one.

    Raises:
        CorruptRecordError: the hash is not what flowq wrote.
    """
    if not row:
        return None
    try:
        return _job_record(job, row)
    except _UNREADABLE as error:
        why = "; ".join(f"{name}: {text}" for name, text in _unreadable(row).items()) or str(error)
        raise CorruptRecordError(f"the record of job {job} cannot be read: {why}") from error


def job_records(rows: Iterable[tuple[str, Mapping[bytes, bytes]]], damaged: dict[str, str] | None) -> list[JobRecord | None]:
    """Return the records of many jobs.

    With `damaged`, of one that cannot be read there is what can be, None if not even its status can, and `damaged` gets why, by id.
    """
    found: list[JobRecord | None] = []
    for job, row in rows:
        try:
            found.append(job_record(job, row))
        except CorruptRecordError as error:
            if damaged is None:
                raise
            damaged[job] = str(error)
            found.append(_salvaged(job, row))
    return found


def _salvaged(job: str, row: Mapping[bytes, bytes]) -> JobRecord | None:
    bad = _unreadable(row)
    return None if "status" in bad else _job_record(job, {name: value for name, value in row.items() if _text(name) not in bad})


def _unreadable(row: Mapping[bytes, bytes]) -> dict[str, str]:
    """Return the names of the fields that cannot be read, each with the reason."""
    bad = {} if b"status" in row else {"status": "it is missing"}
    for name, value in row.items():
        try:
            _READERS.get(name.decode(), str)(value.decode("utf-8", "replace"))
        except _UNREADABLE as error:
            bad[_text(name)] = str(error)
    return bad


def _job_record(job: str, row: Mapping[bytes, bytes]) -> JobRecord:
    fields = {name.decode(): value.decode("utf-8", "replace") for name, value in row.items()}
    run = fields.get("run")
    return JobRecord(
        id=job,
        status=JobStatus(fields["status"]),
        queue=fields.get("queue", ""),
        run=run,
        ordinal=split_member_id(job)[1] if run else None,
        reason=fields.get("reason"),
        created_ms=instant(fields.get("created_at")),
        enqueued_ms=instant(fields.get("enqueued_at")),
        started_ms=instant(fields.get("started_at")),
        ended_ms=instant(fields.get("ended_at")),
        due_ms=instant(fields.get("due")),
        attempt=int(fields.get("attempt", 0)),
        execution=_execution(fields.get("token")),
        worker=fields.get("worker"),
        pending=int(fields.get("pending", 0)),
        allowed=fields.get("allowed") == "1",
        retries=_retries(fields.get("retry")),
        exit_code=_integer(fields.get("exit_code")),
        kind=fields.get("kind", ""),
        members=_members(fields.get("members")),
        returns=int(fields.get("returns", 0)),
        repeated=int(fields.get("repeated", 0)),
        serializer=fields.get("serializer"),
        sync=fields.get("sync") == "1",
        awaits=_semaphores(fields.get("semaphores", "")) if "parked" in fields else (),
        cell_of=_integer(fields.get("cell_of")),
        message=fields.get("message", ""),
        decided_by=fields.get("decided_by"),
        decided_ms=instant(fields.get("decided_at")),
        comment=fields.get("comment", ""),
        cache=_cache(fields.get("cache")),
        fields=fields,
    )


def members_of(job: str, text: bytes | None, cells: bytes | None) -> range | None:
    """Return the ordinals of the cells of a group of its field `members`, None of none. `cells`: how many ordinals its run has.

    Raises:
        CorruptRecordError: it is not what flowq wrote.
    """
    try:
        return None if text is None else _within(_members(_text(text)), cells)
    except ValueError as error:
        raise CorruptRecordError(f"the record of job {job} cannot be read: members: {error}") from error


def _within(found: range | None, cells: bytes | None) -> range | None:
    """Return these ordinals if the run has them. `cells` is None of a run that is deleted meanwhile."""
    if found is not None and cells is not None and found.stop > int(cells):
        raise ValueError(f"{found.start} to {found.stop - 1} are no cells of a run that has {int(cells)}")
    return found


def status_of(text: bytes | None) -> JobStatus | None:
    """Return the status of a job of its field, None of none.

    Raises:
        CorruptRecordError: it is not what flowq wrote.
    """
    try:
        return JobStatus(text.decode("utf-8", "replace")) if text else None
    except ValueError as error:
        raise CorruptRecordError(f"the record of a job cannot be read: {error}") from error


def _semaphores(lines: str) -> tuple[str, ...]:
    return tuple(line.partition(" ")[2] for line in lines.split("\n"))


def _integer(text: str | None) -> int | None:
    return None if text is None else int(float(text))


def _execution(token: str | None) -> int:
    return int(token.partition("-")[0]) if token else 0


def _retries(policy: str | None) -> int:
    return int(policy.partition("|")[0]) if policy else 0


def _cache(text: str | None) -> str | None:
    if text is not None and not {"hit", "reason", "run"} <= dict(json.loads(text)).keys():
        raise ValueError(f"{text[:100]!r} has not all of hit, reason and run")
    return text


def _members(text: str | None) -> range | None:
    if text is None:
        return None
    first, count = map(int, text.split())
    if first < 0 or not 0 <= count <= _MOST_CELLS:
        raise ValueError(f"{text[:100]!r} are no cells of a run")
    return range(first, first + count)


_READERS: Final[Mapping[str, Callable[[str], object]]] = {
    "status": JobStatus,
    **dict.fromkeys(("created_at", "enqueued_at", "started_at", "ended_at", "due", "decided_at"), instant),
    **dict.fromkeys(("attempt", "pending", "returns", "repeated"), int),
    **dict.fromkeys(("exit_code", "cell_of"), _integer),
    "token": _execution,
    "retry": _retries,
    "members": _members,
    "cache": _cache,
}
"""What reads the fields that are no texts."""


def _result_type(outcome: bytes) -> str:
    return _RESULT_TYPES.get(_text(outcome), "failed")


def latest_result(fields: Sequence[bytes | None], value: bytes | None) -> ResultRecord | None:
    """Return the result of the latest execution, of `RESULT_FIELDS` and the stored value; None while there is none.

    Raises:
        CorruptRecordError: it is not what flowq wrote.
    """
    outcome, token, ended, started, worker = fields
    if outcome is None or outcome == b"unclaimed":
        return None
    try:
        begun = int(started) if started else None
        return ResultRecord(_result_type(outcome), _execution(_text(token)), int(ended or 0), value, begun, _text(worker))
    except ValueError as error:
        raise CorruptRecordError(f"a result cannot be read: {error}") from error


def older_result(item: bytes) -> ResultRecord:
    """Return the result of an earlier execution, of its entry in the list of results.

    Raises:
        CorruptRecordError: it is not what flowq wrote.
    """
    head, _, value = item.partition(b"\n")
    try:
        outcome, execution, ended, has_value, started, worker = head.split(b" ", 5)
        kept, begun = value if has_value == b"1" else None, int(started) if started else None
        return ResultRecord(_result_type(outcome), int(execution), int(ended), kept, begun, _text(worker))
    except ValueError as error:
        raise CorruptRecordError(f"an earlier result cannot be read: {error}") from error


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")


def seconds_of(status: bytes | None, reason: bytes | None, started: bytes | None, ended: bytes | None) -> float | None:
    """Return the seconds that a job took, of its `TIME_FIELDS`; None where it did not finish, took an earlier result over, or its record is damaged."""
    if status != JobStatus.FINISHED.encode() or reason == Reason.CACHED.encode() or started is None or ended is None:
        return None
    try:
        taken = (float(ended) - float(started)) / 1000
    except ValueError:
        return None
    return max(0.0, taken) if taken < _LONGEST else None  # nor of one whose times are infinite, or no numbers
