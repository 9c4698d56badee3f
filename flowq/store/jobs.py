"""Single jobs: create, read, cancel, requeue, delete."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, TypeVar

from flowq import ids
from flowq.store.client.pipelining import run_ahead
from flowq.store.client.session import Session
from flowq.store.schema.job_rows import RESULT_FIELDS, job_record, job_records, latest_result, older_result
from flowq.store.schema.new_jobs import NewJob, creations
from flowq.store.schema.outcomes import Claim, ExecutionReport, Outcome
from flowq.store.schema.records import JobRecord, ResultRecord, StoredJob
from flowq.store.schema.replies import read_claim

_CHUNK: Final = 500  # records read by one pipeline
_CREATED: Final = 50  # jobs created by one call
_CREATED_BYTES: Final = 1_048_576
_ITEMS: Final = 500  # items of a foreach staged by one call
_ITEM_BYTES: Final = 262_144

_T = TypeVar("_T")


class Jobs:
    """The store's view of single jobs. Speaks ids and records, never objects of the facade."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._keys = session.keys

    # -- transitions ----------------------------------------------------------------------------------------------------------

    def create(self, new: NewJob) -> tuple[Outcome, str]:
        """Create a plain job.

        Returns:
            The outcome, and the job's status, (not found) the id of the missing parent, or (cycle) the ids of the cycle.

        Raises:
            TooLargeError: the payload is over `defaults.MAX_PAYLOAD`.
        """
        new.check()
        return _created(self._session.run_flat("job/create", new.arguments()))

    def draft(self, new: NewJob) -> tuple[Outcome, str]:
        """Store a plain job without enqueueing it, answered as by `create`; `CONFLICT` when the id is that of a job that was enqueued."""
        new.check()
        return _created(self._session.run("job/create_draft", *new.arguments()))

    def create_many(self, jobs: Iterable[NewJob], *, expected: int = 0) -> list[tuple[Outcome, str]]:
        """Create plain jobs, many per call and the next calls under way meanwhile; each is answered as by `create`.

        Jobs that an iterator makes are made while the server works; what makes them has checked their payloads. `expected`: how many they are, if
        that is known.

        Raises:
            TooLargeError: a payload of a list is too large; nothing was created.
        """
        if isinstance(jobs, Sequence):
            for new in jobs:
                new.check()
        counts: deque[int] = deque()  # of the jobs of calls without a reply

        def calls() -> Iterator[list[str | bytes]]:
            for chunk in _chunks(jobs, _CREATED, _CREATED_BYTES, lambda new: len(new.payload) + len(new.meta)):
                counts.append(len(chunk))
                yield creations(chunk)

        answers: list[tuple[Outcome, str]] = []
        for reply in run_ahead(self._session, "job/create_many", calls(), flat=True, several=expected > _CREATED):
            count = counts.popleft()
            each = [_created(pair) for pair in zip(reply[::2], reply[1::2], strict=True)]
            answers += each * count if len(each) == 1 else each
        return answers

    def create_in(self, pipeline: Any, jobs: Sequence[NewJob]) -> None:
        """Put the creation of jobs into a pipeline of the user's; a refusal is an error of its `execute`."""
        for new in jobs:
            new.check()
        self._session.put_into(pipeline, "job/create_in_pipeline", [new.arguments() for new in jobs])

    def create_here(self, new: NewJob, worker: str, lease: float) -> tuple[tuple[Outcome, str], Claim | None]:
        """Create a plain job that the caller executes itself, if it is ready; no worker can get hold of it in between.

        Args:
            new: the job.
            worker: the name under which the caller executes it.
            lease: seconds after which the execution is lost.
        """
        new.check()
        created, taken = self._session.run(
            "job/create_and_claim", worker, ids.nonce(), int(lease * 1000), new.id, *new.arguments()
        )
        return _created(created), read_claim(taken)

    def take(self, job: str, worker: str, lease: float) -> Claim | None:
        """Claim one named job past its queue; None when it is not ready or another worker has it."""
        return read_claim(self._session.run("job/claim_by_id", job, worker, ids.nonce(), int(lease * 1000)))

    def finish(self, execution: ExecutionReport) -> Outcome:
        """Report the end of one execution (workers do it through their link, together with other things)."""
        return Outcome(self._session.run("job/finish", *execution.arguments())[0].decode())

    def cancel(self, job: str, *, release: bool = False, detach: bool = False) -> Outcome:
        """Cancel a job wherever it is. A started job is killed by its worker; `DONE` also when that has been asked for.

        Args:
            job: the id.
            release: jobs that depend on this one accept any end of it.
            detach: they wait for their other parents alone; one without others is skipped.
        """
        outcome = self._session.run("job/cancel", *_to_cancel(job, release=release, detach=detach))[0].decode()
        return Outcome.DONE if outcome == "requested" else Outcome(outcome)

    def cancel_in(self, pipeline: Any, job: str, *, release: bool = False, detach: bool = False) -> None:
        """Put a `cancel` into a pipeline of the user's."""
        self._session.put_into(pipeline, "job/cancel", [_to_cancel(job, release=release, detach=detach)])

    def stop(self, job: str, execution: str = "") -> Outcome:
        """Ask the worker of a started plain job to kill it; the job ends `stopped`. With an execution's number, only while that one runs."""
        outcome = self._session.run("job/cancel", job, "2", False, ids.nonce(), execution)[0].decode()
        return Outcome.DONE if outcome == "requested" else Outcome(outcome)

    def requeue(self, job: str, *, front: bool = False) -> Outcome:
        """Execute an ended plain job again, from its first attempt; jobs that were skipped because of it wait for it again."""
        return Outcome(self._session.run("job/requeue", job, front, ids.nonce())[0].decode())

    def delete(self, job: str) -> Outcome:
        """Delete a plain job; dependents that wait for it are decided as if it had been canceled."""
        while (reply := self._session.run("job/delete", job)[0]) == b"more":
            pass
        return Outcome(reply.decode())

    def unlist(self, job: str) -> Outcome:
        """Take an ended plain job out of its registry; its record stays until it expires."""
        return Outcome(self._session.run("job/unlist", job)[0].decode())

    def remove_in(self, pipeline: Any, job: str, how: Literal["unlist", "cancel", "delete"]) -> None:
        """Put one of these calls into a pipeline of the user's. A deletion covers 200 dependents."""
        if how == "cancel":
            self.cancel_in(pipeline, job)
        else:
            self._session.put_into(pipeline, f"job/{how}", [[job]])

    def decide(
        self, job: str, verdict: str, reason: str = "", text: str = "", *, semaphore: str = "", message: str = ""
    ) -> Outcome:
        """Report the evaluated conditions of a job.

        Args:
            job: the id.
            verdict: `go_on`, `skipped`, or `failed` with the error's text.
            reason: of the verdict.
            text: the error's.
            semaphore: of its concurrency group, "<max> <name>".
            message: of an approval, as its expressions came out.
        """
        return Outcome(self._session.run("job/resolve_conditions", job, verdict, reason, text, semaphore, message)[0].decode())

    def expand(self, job: str, items: Sequence[bytes]) -> Outcome:
        """Store the list of a foreach, each item as JSON: it becomes a group with one cell per item."""
        nonce = ids.nonce()
        first = 0
        for number, chunk in enumerate(_chunks(items, _ITEMS, _ITEM_BYTES, len)):
            outcome = Outcome(self._session.run("job/upload_foreach_items", job, nonce, number, first, chunk)[0].decode())
            if outcome is not Outcome.DONE and outcome is not Outcome.DUPLICATE:
                return outcome
            first += len(chunk)
        return Outcome(self._session.run("job/expand_foreach", job, nonce, len(items))[0].decode())

    def approve(self, job: str, value: bytes, *, by: str, comment: str = "") -> Outcome:
        """Approve a waiting approval; `value` is its result, JSON."""
        return self._approve(job, "approve", value, by, comment)

    def reject(self, job: str, text: bytes, *, by: str, comment: str = "") -> Outcome:
        """Reject a waiting approval; `text` is shown as its error."""
        return self._approve(job, "reject", text, by, comment)

    def _approve(self, job: str, verdict: str, value: bytes, by: str, comment: str) -> Outcome:
        return Outcome(self._session.run("job/approve", job, ids.nonce(), verdict, value, by, comment)[0].decode())

    def item(self, group: str, index: int) -> bytes | None:
        """Return the JSON of one item of a foreach."""
        with self._session.translated:
            found = self._session.client.hget(self._keys("items", group), str(index))
        return found if isinstance(found, bytes) else None

    def save_meta(self, job: str, data: bytes) -> bool:
        """Store the user's own data about a job; return False when there is no such job."""
        return Outcome(self._session.run("job/save_meta", job, data)[0].decode()) is Outcome.DONE

    def save(self, job: str, fields: Mapping[str, str | bytes | int]) -> Outcome:
        """Write fields of a plain job that are the user's; an empty value removes the field."""
        return Outcome(
            self._session.run("job/save_fields", job, [part for pair in fields.items() for part in pair])[0].decode()
        )

    # -- reading --------------------------------------------------------------------------------------------------------------

    def get(self, job: str) -> JobRecord | None:
        """Return the record of a job, or None."""
        return self.get_many([job])[0]

    def get_many(self, jobs: Iterable[str], damaged: dict[str, str] | None = None) -> list[JobRecord | None]:
        """Return the records of many jobs in one round trip per 500, None where there is none.

        With `damaged`, of a record that cannot be read there is what can be, and `damaged` gets the reason, by the job's id.

        Raises:
            CorruptRecordError: without `damaged`, one cannot be read.
        """
        wanted = list(jobs)
        out: list[JobRecord | None] = []
        for start in range(0, len(wanted), _CHUNK):
            chunk = wanted[start : start + _CHUNK]
            with self._session.translated:
                pipe = self._session.client.pipeline(transaction=False)
                for job in chunk:
                    pipe.hgetall(self._keys("job", job))
                rows = pipe.execute()
            out += job_records(zip(chunk, rows, strict=True), damaged)
        return out

    def load_many(self, jobs: Iterable[str]) -> list[StoredJob | None]:
        """Return records with payload and user's data in one round trip per 500 jobs, None where there is none."""
        wanted = list(jobs)
        out: list[StoredJob | None] = []
        for start in range(0, len(wanted), _CHUNK):
            chunk = wanted[start : start + _CHUNK]
            with self._session.translated:
                pipe = self._session.client.pipeline(transaction=False)
                for job in chunk:
                    pipe.hgetall(self._keys("job", job))
                pipe.mget([self._keys("payload", job) for job in chunk])
                pipe.mget([self._keys("meta_data", job) for job in chunk])
                *rows, payloads, metas = pipe.execute()
            for job, row, payload, meta in zip(chunk, rows, payloads, metas, strict=True):
                record = job_record(job, row)
                out.append(None if record is None else StoredJob(record, payload, meta))
        return out

    def dependents(self, job: str) -> list[str]:
        """Return the ids of the jobs that wait (or waited) for a job."""
        edges = [name.partition("|") for name, _ in self._related("children", job)]
        with self._session.translated:
            pipe = self._session.client.pipeline(transaction=False)
            for child, _, _ in edges:
                pipe.hget(self._keys("job", child), "nonce")
            nonces = pipe.execute() if edges else []
        known = [
            child
            for (child, _, mark), there in zip(edges, nonces, strict=True)
            if not mark or there == mark.partition("~")[0].encode()
        ]
        return list(dict.fromkeys(known))

    def dependencies(self, job: str) -> list[str]:
        """Return the ids of the jobs that a plain job depends on."""
        return [parent for parent, _ in self.edges(job)]

    def edges(self, job: str) -> list[tuple[str, str]]:
        """Return `(job id, condition)` of each job that a plain job depends on."""
        return self._related("parents", job)

    def _related(self, kind: str, job: str) -> list[tuple[str, str]]:
        with self._session.translated:
            stored = self._session.client.lrange(self._keys(kind, job), 0, -1)
        parts = (edge.decode().rpartition("|") for edge in stored)
        return [(other, condition) for other, _, condition in parts]

    def payload(self, job: str) -> bytes | None:
        """Return the payload of a plain job."""
        with self._session.translated:
            found = self._session.client.get(self._keys("payload", job))
        return found if isinstance(found, bytes) else None

    def result(self, job: str) -> ResultRecord | None:
        """Return the latest execution's result, None while there is none."""
        with self._session.translated:
            pipe = self._session.client.pipeline(transaction=False)
            pipe.hmget(self._keys("job", job), RESULT_FIELDS)
            pipe.get(self._keys("result", job))
            fields, value = pipe.execute()
        latest = latest_result(fields, value)
        if latest is not None or fields[1] is None:
            return latest
        with self._session.translated:
            older = self._session.client.lindex(self._keys("results", job), 0)
        return None if older is None else older_result(older)

    def wait_for_result(self, job: str, timeout: float) -> ResultRecord | None:
        """Wait up to `timeout` seconds for a result of a job; return it, or None."""
        deadline = time.monotonic() + timeout
        while self._session.run("job/await_result", job)[0] == b"waiting":
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self._session.wait_for([self._keys("arrived", job)], left)
        return self.result(job)

    def meta(self, job: str) -> bytes | None:
        """Return the user's own data about a job."""
        with self._session.translated:
            found = self._session.client.get(self._keys("meta_data", job))
        return found if isinstance(found, bytes) else None

    def results(self, job: str) -> list[ResultRecord]:
        """Return the results of the ten latest executions, newest first."""
        with self._session.translated:
            pipe = self._session.client.pipeline(transaction=False)
            pipe.hmget(self._keys("job", job), RESULT_FIELDS)
            pipe.get(self._keys("result", job))
            pipe.lrange(self._keys("results", job), 0, -1)
            fields, value, older = pipe.execute()
        latest = latest_result(fields, value)
        return [*([] if latest is None else [latest]), *map(older_result, older)]


def _chunks(items: Iterable[_T], most: int, most_bytes: int, size: Callable[[_T], int]) -> Iterator[list[_T]]:
    """Cut into lists of so many items, and of so many bytes unless a single one has more."""
    chunk: list[_T] = []
    total = 0
    for item in items:
        chunk.append(item)
        total += size(item)
        if len(chunk) >= most or total >= most_bytes:
            yield chunk
            chunk, total = [], 0
    if chunk:
        yield chunk


def _to_cancel(job: str, *, release: bool, detach: bool) -> list[object]:
    return [job, "1", "1" if release else "2" if detach else "0", ids.nonce(), ""]


def _created(reply: Any) -> tuple[Outcome, str]:
    outcome, detail = reply
    return Outcome(outcome.decode()), detail.decode()
