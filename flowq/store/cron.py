"""Cron entries and the schedulers that watch them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from flowq.store.client.session import Session
from flowq.store.schema.new_jobs import NewJob
from flowq.store.schema.outcomes import Outcome

SCHEDULER_TTL: Final = 60.0  # s without a heartbeat after which a scheduler counts as dead


@dataclass(frozen=True, slots=True)
class CronBeat:
    """The reply to a heartbeat of a scheduler."""

    now_ms: int
    latest: tuple[int | None, ...] = ()  # per entry the slot that was dealt with last, None when there was none
    had_job: tuple[bool, ...] = ()  # per entry whether that slot had a job; the one of its first sight has not
    # Host, process id and process (see `flowq.processes`) of another scheduler that has the name; the beat was refused then.
    holder: tuple[str, int, str] | None = None


class Crons:
    """The store's view of cron."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._keys = session.keys

    def fire(self, entry: str, name: str, after: int | None, slot: int, new: NewJob) -> tuple[Outcome, int | None]:
        """Create the job of one slot of an entry, unless another scheduler has.

        Args:
            entry: id of the entry.
            name: under which the job is listed.
            after: the entry's latest slot as the caller saw it; another one now means that another scheduler was quicker.
            slot: the time, by the server's clock, that has come.
            new: the job.

        Returns:
            `DONE`, `DUPLICATE` (a repeated call), `CONFLICT` (another scheduler was quicker) or `WRONG_STATE` (too early), and the latest
            slot there is now.
        """
        new.check()
        flat = [entry, -1 if after is None else after, slot, name, *new.arguments()]
        outcome, _, latest = self._session.run("cron/enqueue_slot", *flat)
        return Outcome(outcome.decode()), _slot(latest)

    def enqueue(self, name: str, new: NewJob) -> tuple[Outcome, str]:
        """Create a job under the name of an entry now; it is answered as by `Jobs.create`."""
        new.check()
        outcome, detail = self._session.run("cron/enqueue_now", name, *new.arguments())
        return Outcome(outcome.decode()), detail.decode()

    def beat(
        self,
        scheduler: str,
        nonce: str,
        fields: Mapping[str, str | int],
        entries: Sequence[tuple[str, bool]],
        *,
        force: bool = False,
    ) -> CronBeat:
        """Send a scheduler's heartbeat; return the server's time and the latest slot of each entry.

        Args:
            scheduler: its name.
            nonce: tells it from another one of the same name.
            fields: what is shown of it.
            entries: id of each entry, and whether the time before its first sight does not count (else it is due at once).
            force: take the name over from a scheduler that is known to be dead.
        """
        flat = [part for pair in fields.items() for part in pair]
        marked = [f"{entry}|{int(waits)}" for entry, waits in entries]
        ttl = int(SCHEDULER_TTL * 1000)
        outcome, now, rest, *had = self._session.run("cron/heartbeat", scheduler, nonce, ttl, force, flat, marked)
        if outcome == b"conflict":
            hostname, pid, process = rest
            return CronBeat(now, holder=(hostname.decode(), int(pid or 0), process.decode()))
        return CronBeat(now, tuple(_slot(item) for item in rest), tuple(item == 1 for item in had[0]))

    def leave(self, scheduler: str, nonce: str) -> Outcome:
        """Unregister a scheduler."""
        return Outcome(self._session.run("cron/unregister", scheduler, nonce)[0].decode())

    def schedulers(self) -> list[str]:
        """Return the names of the living schedulers, the one with the oldest heartbeat first."""
        oldest = self._session.now_ms() - int(SCHEDULER_TTL * 1000)
        with self._session.translated:
            found = self._session.client.zrangebyscore(self._keys("schedulers"), f"({oldest}", "+inf")
        return [item.decode() for item in found]

    def scheduler(self, name: str) -> dict[str, str] | None:
        """Return what is shown of a scheduler, with the time of its last beat as `beat` (ms); None when it does not live."""
        with self._session.translated:
            pipe = self._session.client.pipeline(transaction=False)
            pipe.hgetall(self._keys("scheduler", name))
            pipe.zscore(self._keys("schedulers"), name)
            row, beat = pipe.execute()
        if not row or beat is None or beat <= self._session.now_ms() - SCHEDULER_TTL * 1000:
            return None
        return {key.decode(): value.decode("utf-8", "replace") for key, value in row.items()} | {"beat": str(int(beat))}

    def names(self) -> list[str]:
        """Return the names of which a job was created within a year, the longest ago first."""
        with self._session.translated:
            return [item.decode() for item in self._session.client.zrange(self._keys("cron_names"), 0, -1)]

    def job_ids(self, name: str, start: int = 0, end: int = -1) -> list[str]:
        """Return the ids of the jobs of a name, the newest first; at most 1000 are kept."""
        with self._session.translated:
            return [item.decode() for item in self._session.client.zrevrange(self._keys("cron_jobs", name), start, end)]


def _slot(number: int) -> int | None:
    return None if number < 0 else int(number)
