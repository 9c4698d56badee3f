"""Runs: submit, cancel, retry, read.

Submission is staged in chunks that no reader sees and made visible by one flip; a retry likewise. Both are named by a nonce, so a
step whose reply was lost is sent again safely.
"""

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from flowq import defaults, ids
from flowq.exceptions import (
    AmbiguousRunError,
    CorruptRecordError,
    DataLostError,
    InvalidRunOperation,
    NoSuchRunError,
    TooLargeError,
)
from flowq.ids import member_id
from flowq.states import JobStatus, RunStatus
from flowq.store import retry_upload, run_upload
from flowq.store.client.pipelining import run_ahead
from flowq.store.client.session import Session
from flowq.store.jobs import Jobs
from flowq.store.retry_upload import NewPlan, ResetJob
from flowq.store.run_streams import RunStreams
from flowq.store.run_upload import StagedJob
from flowq.store.schema.job_rows import TIME_FIELDS, members_of, seconds_of, status_of
from flowq.store.schema.outcomes import Outcome
from flowq.store.schema.records import JobRecord, RunRecord
from flowq.store.schema.run_rows import run_record, run_records

if TYPE_CHECKING:
    from flowq.store.schedules import EventClaim, SlotClaim

_CHUNK: Final = 500  # records read by one pipeline
_AT_ONCE: Final = 20  # runs read by one pipeline, of which the first may do
_DISMANTLED: Final = 200  # jobs that go with one call
_STATUSES: Final = 1000  # jobs whose statuses are read by one call: 2 ms of the server


class Runs(RunStreams):
    """The store's view of runs."""

    def __init__(self, session: Session, jobs: Jobs) -> None:
        super().__init__(session)
        self._jobs = jobs

    # -- transitions ----------------------------------------------------------------------------------------------------------

    def submit(
        self,
        run: str,
        nonce: str,
        jobs: Iterable[StagedJob],
        *,
        plan: bytes,
        directory: str,
        fields: Mapping[str, str | int],
    ) -> Outcome:
        """Submit a run that is for no slot, see `submit_slot`."""
        return self.submit_slot(run, nonce, jobs, None, plan=plan, directory=directory, fields=fields)[0]

    def submit_slot(  # noqa: PLR0913 - the three parts of a run, its id and nonce, and the slot that it is for
        self,
        run: str,
        nonce: str,
        jobs: Iterable[StagedJob],
        claim: "SlotClaim | EventClaim | None",
        *,
        plan: bytes,
        directory: str,
        fields: Mapping[str, str | int],
    ) -> tuple[Outcome, str]:
        """Submit a run: all of it becomes visible at one instant, or nothing does.

        Args:
            run: the run's id.
            nonce: identifies this submission; the same again is a duplicate, another one for the same id a conflict.
            jobs: every job and group, in ordinal order; those with a field `phase` are handlers, not part of the graph.
            claim: the slot that it is for: what becomes of the slot is decided and noted at that same instant.
            plan: the stored plan.
            directory: where the run belongs, for `latest`.
            fields: further fields of the run's record; must hold `total` (jobs without groups) and `retention` (ms).

        Returns:
            The outcome. For a slot it may also be `SUSPENDED`, `TOO_EARLY`, `BUSY`, or `SKIPPED`, with the run in its place.

        Raises:
            TooLargeError: the plan is over `defaults.MAX_PLAN`.
            DataLostError: the staged data was lost, so nothing was submitted.
        """
        if len(plan) > defaults.MAX_PLAN:
            raise TooLargeError(
                f"the compiled flow takes {len(plan):,} bytes, at most {defaults.MAX_PLAN:,} are allowed: split the flow"
            )
        chunks = 0
        for reply in run_ahead(self._session, "run/upload_jobs", run_upload.calls(run, nonce, jobs, plan)):
            outcome = Outcome(reply[0].decode())
            if outcome is Outcome.CONFLICT:
                return outcome, ""
            if outcome is Outcome.WRONG_STATE:
                raise DataLostError(
                    f"the upload of run {run} was lost: the server lost its data, or the upload stalled for more than a minute;"
                    " submit the run again"
                )
            chunks += 1
        key = directory_key(directory)
        pairs = [part for pair in {**fields, "directory": directory, "directory_key": key}.items() for part in pair]
        arguments = [] if claim is None else claim.arguments()
        reply, holder = self._session.run("run/publish", run, nonce, chunks, key, pairs, arguments)
        return Outcome(reply.decode()), holder.decode()

    def cancel(self, run: str, *, handlers: bool = True) -> Outcome:
        """Cancel the jobs of a run that have not ended; its handlers still run.

        While they do, `handlers` says whether they are canceled too, or the answer is `CONFLICT`.
        """
        return Outcome(self._session.run("run/cancel", run, ids.nonce(), handlers)[0].decode())

    def reset(self, run: str, nonce: str, attempt: int, jobs: Sequence[ResetJob], new: NewPlan | None = None) -> Outcome:
        """Retry a run: these jobs are executed again.

        Args:
            run: the run's id.
            nonce: identifies this retry.
            attempt: the attempt that the caller saw; a newer one is `WRONG_STATE`.
            jobs: the jobs.
            new: the plan with which they are executed, if it is another one.
        """
        chunks = 0
        for piece, entries in retry_upload.chunks(jobs, new):
            outcome = Outcome(self._session.run("run/upload_retry", run, nonce, chunks, piece, entries)[0].decode())
            if outcome not in {Outcome.DONE, Outcome.DUPLICATE}:
                return outcome
            chunks += 1
        return Outcome(self._session.run("run/retry", run, nonce, chunks, attempt)[0].decode())

    def delete(self, run: str) -> Outcome:
        """Delete a run that has ended, before its retention has passed. From the first step on no reader finds it any more."""
        outcome, left = self._session.run("run/delete", run, _DISMANTLED)
        if int(left):
            self.collect(run)
        return Outcome(outcome.decode())

    def collect(self, run: str) -> Outcome:
        """Delete a run whose retention has passed, or whose submitter or deleter died; in bounded steps."""
        while True:
            outcome, left = self._session.run("run/collect_garbage", run, _DISMANTLED)
            if not int(left):
                return Outcome(outcome.decode())

    def unstage(self, run: str) -> Outcome:
        """Drop the staged data of a retry that died before it took effect."""
        return Outcome(self._session.run("run/discard_upload", run)[0].decode())

    # -- finding --------------------------------------------------------------------------------------------------------------

    def resolve(self, prefix: str) -> str:
        """Return the id of the run that is called or whose id starts so; a random id may also be given in capital letters.

        Raises:
            NoSuchRunError: there is none.
            AmbiguousRunError: there are several.
        """
        names: list[str] = []
        for spelling in dict.fromkeys((prefix, prefix.lower())):
            with self._session.translated:
                found = self._session.client.zrangebylex(
                    self._keys("run_ids"), f"[{spelling}", f"[{spelling}\xff", start=0, num=5
                )
            names = names or [item.decode() for item in found]
            if found and found[0].decode() == spelling:  # it sorts before all that begin with it
                return spelling
        if not names:
            raise NoSuchRunError(f"no run with the id {prefix!r}: `flowq runs` lists them all")
        if len(names) > 1:
            raise AmbiguousRunError(f"{prefix!r} fits several runs ({', '.join(names)}): give more characters", names)
        return names[0]

    def recent(self, limit: int = 20, directory: str | None = None) -> list[str]:
        """Return the ids of the latest runs, newest first, of one directory or of all."""
        key = self._keys("runs") if directory is None else self._keys("directory", directory_key(directory))
        with self._session.translated:
            return [item.decode() for item in self._session.client.zrevrange(key, 0, limit - 1)]

    def before(self, cursor: tuple[int, str] | None, count: int) -> list[tuple[int, str]]:
        """Return when runs were created (ms) and their ids, newest first; with a cursor, which is such a pair, those after it."""
        key, highest = self._keys("runs"), "+inf" if cursor is None else str(cursor[0])
        start = 0
        while True:
            with self._session.translated:
                rows = self._session.client.zrevrangebyscore(key, highest, "-inf", start=start, num=count, withscores=True)
            found = [(int(score), item.decode()) for item, score in rows]
            later = [pair for pair in found if cursor is None or pair < cursor]
            if later or len(found) < count:
                return later
            start += count  # more runs than that were created in the same millisecond

    def latest(self, directory: str | None = None, *, failed: bool = False) -> str | None:
        """Return the id of the latest run (that failed), or None. Looks at the latest 100 at most when `failed`."""
        recent = self.recent(100 if failed else 1, directory)
        if not failed:
            return recent[0] if recent else None
        unsuccessful = (run.id for run in self.readable(recent) if run.status in {RunStatus.FAILED, RunStatus.CANCELED})
        return next(unsuccessful, None)

    def due(self) -> Iterator[tuple[str, bool]]:
        """Yield the runs that are due to be collected: their ids, and whether they ever became visible.

        Workers collect them as they go, where there are some.
        """
        now, position = self._session.now_ms(), 0
        while True:
            with self._session.translated:
                page = self._session.client.zrangebyscore(self._keys("timers"), "-inf", now, start=position, num=_CHUNK)
                runs = [name for kind, _, name in (item.decode().partition("|") for item in page) if kind == "collect"]
                pipe = self._session.client.pipeline(transaction=False)
                for run in runs:
                    pipe.hget(self._keys("run", run), "status")
                states = pipe.execute()
            yield from ((run, status != b"staging") for run, status in zip(runs, states, strict=True) if status is not None)
            position += len(page)
            if len(page) < _CHUNK:
                return

    def staged_retries(self, runs: Iterable[str]) -> list[str]:
        """Return the runs that hold staged data of a retry: in an ended run, a retry that has not taken effect."""
        wanted = list(runs)
        found: list[str] = []
        for start in range(0, len(wanted), _CHUNK):
            some = wanted[start : start + _CHUNK]
            with self._session.translated:
                pipe = self._session.client.pipeline(transaction=False)
                for run in some:
                    pipe.exists(self._keys("staging", run))
                    pipe.hget(self._keys("run", run), "ended_at")
                answers = pipe.execute()
            found += [run for index, run in enumerate(some) if answers[2 * index] and answers[2 * index + 1]]
        return found

    # -- reading --------------------------------------------------------------------------------------------------------------

    def get(self, run: str) -> RunRecord | None:
        """Return the record of a run, None when there is none (or it is still being staged)."""
        with self._session.translated:
            row = self._session.client.hgetall(self._keys("run", run))
        return run_record(run, row)

    def get_many(self, runs: Iterable[str], damaged: dict[str, str]) -> list[RunRecord | None]:
        """Return the records of runs, as `get`; None of one that cannot be read, and why in `damaged`, by the run's id."""
        wanted = list(runs)
        with self._session.translated:
            pipe = self._session.client.pipeline(transaction=False)
            for run in wanted:
                pipe.hgetall(self._keys("run", run))
            rows = pipe.execute()
        return run_records(zip(wanted, rows, strict=True), damaged)

    def readable(self, runs: Iterable[str], damaged: dict[str, str] | None = None) -> Iterator[RunRecord]:
        """Yield the records of those runs that there are, some at once; `damaged` as in `get_many`."""
        wanted = list(runs)
        for start in range(0, len(wanted), _AT_ONCE):
            records = self.get_many(wanted[start : start + _AT_ONCE], {} if damaged is None else damaged)
            yield from (record for record in records if record is not None)

    def require(self, run: str) -> RunRecord:
        """Return the record of a run.

        Raises:
            NoSuchRunError: there is none.
        """
        record = self.get(run)
        if record is None:
            raise NoSuchRunError(f"no run with the id {run!r}: `flowq runs` lists them all")
        return record

    def plan(self, run: str) -> bytes:
        """Return the stored plan of a run.

        Raises:
            NoSuchRunError: there is none.
            CorruptRecordError: it is not what flowq wrote.
        """
        with self._session.translated:
            found = run_upload.read(partial(self._session.client.getrange, self._keys("plan", run)))
        if not found and self.get(run) is None:
            raise NoSuchRunError(f"no run with the id {run!r}: `flowq runs` lists them all")
        unread = f"the stored plan of run {run} cannot be read: {{}} (`flowq delete {run}` removes such a run)"
        if not found:
            raise CorruptRecordError(unread.format("it is missing"))
        try:
            return run_upload.unpack(found)
        except (zlib.error, ValueError) as error:
            raise CorruptRecordError(unread.format(error)) from error

    def jobs(self, run: str, ordinals: Iterable[int], damaged: dict[str, str] | None = None) -> list[JobRecord | None]:
        """Return the records of jobs of a run, as `Jobs.get_many`."""
        return self._jobs.get_many((member_id(run, ordinal) for ordinal in ordinals), damaged)

    def latest_finished(self, flow: str) -> str | None:
        """Return the run of a flow that finished last and has executed its jobs, None if there is none any more.

        Args:
            flow: its file, absolute; its name where it is no file.
        """
        with self._session.translated:
            found = self._session.client.hget(self._keys("latest"), flow)
        return found.decode() if isinstance(found, bytes) else None

    def durations(self, run: str, count: int) -> list[float | None]:
        """Return the seconds that each of the first `count` jobs of a run took, as `seconds_of` says."""
        seconds: list[float | None] = []
        for start in range(0, count, _CHUNK):
            with self._session.translated:
                pipe = self._session.client.pipeline(transaction=False)
                for ordinal in range(start, min(start + _CHUNK, count)):
                    pipe.hmget(self._keys("job", member_id(run, ordinal)), TIME_FIELDS)
                rows = pipe.execute(raise_on_error=False)  # of a damaged key, which is no hash, there is an error
            seconds += [seconds_of(*found) if isinstance(found, list) else None for found in rows]
        return seconds

    def statuses(self, run: str, count: int) -> Iterator[str]:
        """Yield a letter for each of the first `count` jobs and groups of a run, many at once: the status, see `flowq.states.LETTERS`.

        The server reads the next ones while the caller works on these.
        """
        calls = ((run, first, min(first + _STATUSES, count) - 1) for first in range(0, count, _STATUSES))
        for reply in run_ahead(self._session, "run/read_statuses", calls):
            yield reply.decode()

    def members(self, run: str, groups: Sequence[int]) -> dict[int, range | None]:
        """Return for each foreach (by the ordinal of its group) the ordinals of its cells, None where its list is not known."""
        with self._session.translated:
            pipe = self._session.client.pipeline(transaction=False)
            for ordinal in groups:
                pipe.hget(self._keys("job", member_id(run, ordinal)), "members")
            pipe.hget(self._keys("run", run), "cells")
            *found, cells = pipe.execute() if groups else [None]
        return {ordinal: members_of(member_id(run, ordinal), text, cells) for ordinal, text in zip(groups, found, strict=True)}

    def results(self, run: str, ordinals: Iterable[int]) -> list[tuple[JobStatus | None, bytes | None]]:
        """Return status and stored value (JSON of a finished job, the error's text of a failed one) per ordinal."""
        out: list[tuple[JobStatus | None, bytes | None]] = []
        for rows in self._pipelined(run, ordinals):
            for index in range(0, len(rows), 2):
                status = rows[index]
                out.append((status_of(status), rows[index + 1]))
        return out

    def errors(self, run: str, ordinals: Iterable[int]) -> list[bytes | None]:
        """Return the text of the latest error per ordinal, None where the job did not fail."""
        failing = {JobStatus.FAILED, JobStatus.STOPPED, JobStatus.SCHEDULED, JobStatus.QUEUED}
        return [value if status in failing else None for status, value in self.results(run, ordinals)]

    def _pipelined(self, run: str, ordinals: Iterable[int]) -> Iterator[list[Any]]:
        wanted = [member_id(run, ordinal) for ordinal in ordinals]
        for start in range(0, len(wanted), _CHUNK):
            with self._session.translated:
                pipe = self._session.client.pipeline(transaction=False)
                for job in wanted[start : start + _CHUNK]:
                    pipe.hget(self._keys("job", job), "status")
                    pipe.get(self._keys("result", job))
                yield pipe.execute()

    def refuse(self, run: str, outcome: Outcome, wanted: str) -> None:
        """Raise the error for an outcome of a run other than done or duplicate.

        Raises:
            NoSuchRunError: not found.
            InvalidRunOperation: in another state.
        """
        if outcome is Outcome.NOT_FOUND:
            raise NoSuchRunError(f"no run with the id {run!r}: `flowq runs` lists them all")
        if outcome in {Outcome.WRONG_STATE, Outcome.CONFLICT}:
            record = self.get(run)
            raise InvalidRunOperation(f"cannot {wanted} run {run}: it is {record.status if record else 'gone'}")


def directory_key(directory: str) -> str:
    """Return the short name of a directory inside keys."""
    return hashlib.sha256(directory.encode("utf-8", "surrogateescape")).hexdigest()[:16]
