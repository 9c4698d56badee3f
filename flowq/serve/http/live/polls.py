"""What no stream tells, looked at again and again while a client watches: the lists of runs and schedules, and approvals."""

from collections.abc import Iterable
from typing import Any, Final

from flowq.flows.views.run_list import summary_json
from flowq.flows.views.snapshot import read_plan
from flowq.plan import Json
from flowq.states import Reason
from flowq.store import Store
from flowq.store.schema.documents import iso
from flowq.store.schema.records import RunRecord

_LATEST: Final = 100  # runs in which a change is looked for
_JUST_BEFORE: Final = 10_000  # ms, as of what the streams tell a new client


class RunList:
    """The latest runs, and those that had not ended at the last look."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen: dict[str, tuple[Any, ...]] | None = None

    def changes(self) -> list[tuple[RunRecord, dict[str, Any]]]:
        """Return the runs that have changed since the last look, each with its message; at the first look those that began or ended just before.

        A client has read the list a moment before it is heard of here.
        """
        first, former = self._seen is None, self._seen or {}
        latest = [run for _, run in self._store.runs.before(None, _LATEST)]
        still = [run for run, state in former.items() if state[0] and run not in latest]
        records = list(self._store.runs.readable([*latest, *still]))
        seen = {record.id: _state(record) for record in records}
        changed = [record for record in records if former.get(record.id) != seen[record.id]]
        self._seen = seen
        now = self._store.now_ms() if changed else 0
        if first:
            changed = [record for record in changed if max(record.created_ms, record.ended_ms or 0) > now - _JUST_BEFORE]
        return [(record, {"topic": "runs", "run": summary_json(record, now)}) for record in changed]

    def forget(self) -> None:
        """Forget what was seen: no client watches."""
        self._seen = None


def _state(run: RunRecord) -> tuple[Any, ...]:
    return (not run.ended, str(run.status), run.attempt, run.canceling, tuple(sorted(run.counts.items())), run.waits_for)


class ScheduleList:
    """What is stored of schedules."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen: dict[str, Any] | None = None

    def changes(self) -> list[str]:
        """Return the ids of the schedules that have changed since the last look; none at the first look."""
        records = [record for record in self._store.schedules.get_many(self._store.schedules.names()) if record is not None]
        seen = {item.id: (item.slot, item.since_ms, item.run, item.pause, item.description, item.open) for item in records}
        former, self._seen = self._seen, seen
        return [] if former is None else sorted(name for name in {*former, *seen} if former.get(name) != seen.get(name))

    def forget(self) -> None:
        """Forget what was seen: no client watches."""
        self._seen = None


class Approvals:
    """The approvals of a run. That one begins to wait is no change of its status, so no event tells it."""

    def __init__(self, store: Store, run: str) -> None:
        self._store = store
        self._run = run
        self._ordinals: list[int] | None = None
        self._waiting: set[int] = set()

    def changes(self) -> list[list[Json]]:
        """Return rows of the approvals that have begun to wait since the last look."""
        if self._ordinals is None:
            plan = read_plan(self._store, self._run)
            self._ordinals = [cell.ordinal for cell in plan.jobs() if plan.node_of(cell).action.kind == "approval"]
        if not self._ordinals:
            return []
        records = zip(self._ordinals, self._store.runs.jobs(self._run, self._ordinals, {}), strict=True)
        waiting = {ordinal for ordinal, record in records if record is not None and record.reason == Reason.APPROVAL}
        begun, self._waiting = waiting - self._waiting, waiting
        return _rows(sorted(begun), self._store.now_ms()) if begun else []


def _rows(ordinals: Iterable[int], now: int) -> list[list[Json]]:
    return [[ordinal, "deferred", str(Reason.APPROVAL), 0, iso(now)] for ordinal in ordinals]
