"""Queues and registries: counting and listing. Counting changes nothing."""

from collections.abc import Sequence

from flowq.states import ENDED, JobStatus
from flowq.store.client.session import Session
from flowq.store.schema.outcomes import Outcome
from flowq.store.schema.records import QueueRecord
from flowq.store.workers import Workers

_BATCH = 100  # jobs deleted by one call
# Their scores are no expiry.
_LIVE = frozenset({JobStatus.STARTED, JobStatus.DEFERRED, JobStatus.SCHEDULED, JobStatus.RATE_LIMITED})
_SHED = sorted(ENDED)
_COUNTED = (*sorted(_LIVE), *_SHED)


class Queues:
    """The store's view of queues."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._keys = session.keys

    def names(self) -> list[str]:
        """Return the names of all queues that ever held a job, sorted."""
        with self._session.translated:
            return sorted(item.decode() for item in self._session.client.smembers(self._keys("queues")))

    def count(self, queue: str) -> int:
        """Return how many jobs wait in a queue, without those whose ttl has passed. O(log n)."""
        now = self._session.now_ms()
        with self._session.translated:
            pipe = self._session.client.pipeline(transaction=False)
            pipe.zcard(self._keys("queue", queue))
            pipe.zcount(self._keys("ttls", queue), "-inf", now)
            queued, expired = pipe.execute()
        return int(queued) - int(expired)

    def job_ids(self, queue: str, offset: int = 0, length: int = -1) -> list[str]:
        """Return the ids of waiting jobs in the order in which they will be claimed."""
        end = -1 if length < 0 else offset + length - 1
        now = self._session.now_ms()
        with self._session.translated:
            pipe = self._session.client.pipeline(transaction=False)
            pipe.zrange(self._keys("queue", queue), offset, end)
            pipe.zrangebyscore(self._keys("ttls", queue), "-inf", now)
            found, expired = pipe.execute()
        gone = set(expired)
        return [item.decode() for item in found if item not in gone]

    def position(self, queue: str, job: str) -> int | None:
        """Return how many jobs are before this one, None when it does not wait there."""
        with self._session.translated:
            found = self._session.client.zrank(self._keys("queue", queue), job)
        return int(found) if isinstance(found, int) else None

    def registry_count(self, queue: str, status: JobStatus) -> int:
        """Return how many jobs of a queue have this status. Expired records are not counted."""
        key = self._keys("registry", status, queue)
        with self._session.translated:
            if status in _LIVE:
                return int(self._session.client.zcard(key))
            return int(self._session.client.zcount(key, self._session.now_ms(), "+inf"))

    def registry_ids(
        self, queue: str, status: JobStatus, start: int = 0, end: int = -1, *, descending: bool = False
    ) -> list[str]:
        """Return ids of jobs with this status, by expiry (ended), due time (scheduled) or lease (started)."""
        found = self._entries(queue, status, descending=descending) if end < -1 or start < 0 else None
        if found is not None:
            return [item.decode() for item in (found[start:] if end == -1 else found[start : end + 1])]
        count = -1 if end == -1 else max(0, end - start + 1)
        return [item.decode() for item in self._entries(queue, status, start, count, descending=descending)]

    def _entries(self, queue: str, status: JobStatus, start: int = 0, count: int = -1, *, descending: bool) -> list[bytes]:
        """Return the entries of a registry without those that have expired."""
        key = self._keys("registry", status, queue)
        low = "-inf" if status in _LIVE else self._session.now_ms()
        with self._session.translated:
            if descending:
                return list(self._session.client.zrevrangebyscore(key, "+inf", low, start=start, num=count))
            return list(self._session.client.zrangebyscore(key, low, "+inf", start=start, num=count))

    def registry_union(
        self, queue: str, statuses: Sequence[JobStatus], start: int = 0, end: int = -1, *, descending: bool = False
    ) -> list[str]:
        """Return the ids of `registry_ids` for several statuses as one list."""
        now = self._session.now_ms()
        with self._session.translated:
            pipe = self._session.client.pipeline(transaction=False)
            for status in statuses:
                low = "-inf" if status in _LIVE else now
                pipe.zrangebyscore(self._keys("registry", status, queue), low, "+inf", withscores=True)
            found = sorted(((score, job) for part in pipe.execute() for job, score in part), reverse=descending)
        return [job.decode() for _, job in (found[start:] if end == -1 else found[start : end + 1])]

    def shed(self, queue: str, status: JobStatus) -> int:
        """Remove the entries of jobs that have expired; return how many there were (at most 1000 a call)."""
        return int(self._session.run("queue/purge_registry", status, queue, 1000)[0])

    def stale(self, queue: str) -> int:
        """Return how many entries of a queue's registries stand for jobs that have expired."""
        now = self._session.now_ms()
        with self._session.translated:
            pipe = self._session.client.pipeline(transaction=False)
            for status in _SHED:
                pipe.zcount(self._keys("registry", status, queue), "-inf", now)
            return sum(map(int, pipe.execute()))

    def shed_all(self, queue: str) -> int:
        """Remove the entries of expired jobs from all registries of a queue, in bounded steps; return how many there were."""
        went = 0
        for status in _SHED:
            while some := self.shed(queue, status):
                went += some
        return went

    def empty(self, queue: str) -> int:
        """Delete the plain jobs that wait in a queue now, or for a rate limit on their way into it; return how many.

        Dependents are decided as by `Jobs.delete`. Jobs of runs stay.
        """
        # Those that wait for a rate limit go first, or each job that goes would let the next one into the queue.
        counts = {
            JobStatus.RATE_LIMITED: self.registry_count(queue, JobStatus.RATE_LIMITED),
            JobStatus.QUEUED: self.count(queue),
        }
        return sum(self._empty(queue, status, count) for status, count in counts.items())

    def _empty(self, queue: str, status: JobStatus, count: int) -> int:
        deleted = stay = 0
        while deleted + stay < count:
            some, others = map(int, self._session.run("queue/empty", queue, status, stay, min(count - deleted - stay, _BATCH)))
            if not some and not others:
                break
            deleted, stay = deleted + some, stay + others
        return deleted

    def drop(self, queue: str) -> Outcome:
        """Remove an empty queue from the list of queues."""
        return Outcome(self._session.run("queue/delete", queue)[0].decode())

    # -- suspension -----------------------------------------------------------------------------------------------------------

    def suspend(self, ttl: float | None) -> None:
        """Pause all workers for `ttl` seconds, or until `resume`."""
        self._session.run("queue/suspend", -1 if ttl is None else int(ttl * 1000))

    def resume(self) -> bool:
        """Let workers claim again; return whether they were suspended."""
        return Outcome(self._session.run("queue/resume")[0].decode()) is Outcome.DONE

    def suspended(self) -> bool:
        """Return whether workers are suspended."""
        with self._session.translated:
            found = self._session.client.hget(self._keys("meta"), "suspended")
        return found is not None and (found == b"forever" or int(float(found)) > self._session.now_ms())

    def registry_score(self, queue: str, status: JobStatus, job: str) -> float | None:
        """Return the time in ms that a registry holds for a job (see `registry_ids`), None when it is not in it."""
        with self._session.translated:
            found = self._session.client.zscore(self._keys("registry", status, queue), job)
        if found is None or (status not in _LIVE and float(found) < self._session.now_ms()):
            return None
        return float(found)

    def get(self, queue: str) -> QueueRecord:
        """Return a queue's counts."""
        now = self._session.now_ms()
        with self._session.translated:
            pipe = self._session.client.pipeline(transaction=False)
            pipe.zcard(self._keys("queue", queue))
            pipe.zcount(self._keys("ttls", queue), "-inf", now)
            for status in _COUNTED:
                pipe.zcount(self._keys("registry", status, queue), "-inf" if status in _LIVE else now, "+inf")
            queued, expired, *counts = pipe.execute()
        workers = sum(queue in worker.queues for worker in Workers(self._session).live())
        by_status = {str(status): int(count) for status, count in zip(_COUNTED, counts, strict=True)}
        by_status["failed"] += by_status.pop("stopped")
        return QueueRecord(name=queue, queued=int(queued) - int(expired), workers=workers, **by_status)
