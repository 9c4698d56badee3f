"""Removal of data that takes memory on the server and is no longer used.

Workers remove it regularly; where none has run for a while (the embedded server between two runs) it stays until `flowq gc`. Besides
expired data, the user can choose runs that ended long ago, or that are not among the latest of their flow.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from flowq.flows.actions.blob_collection import find_unused, remove_unused
from flowq.plan import Json
from flowq.store.schema.outcomes import Outcome
from flowq.store.schema.records import RunRecord

if TYPE_CHECKING:
    from flowq.store import Store

_ALL: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Wish:
    """The ended runs to remove although their retention has not passed. None: keep all.

    `older_than` is in seconds, since their end. `keep` counts the latest runs of each flow, which are kept whatever their age; without
    `older_than` all others go. `flow` narrows both to one flow.
    """

    older_than: float | None = None
    keep: int | None = None
    flow: str | None = None

    def __bool__(self) -> bool:
        return self.older_than is not None or self.keep is not None


@dataclass(slots=True)
class Garbage:
    """The data that was found, or removed.

    `expired` are runs past their retention, `unfinished` submissions whose submitter died, `chosen` runs that a `Wish` chose, `retries`
    runs with a retry that died before it took effect, `entries` counts list entries of plain jobs that have expired, by queue, `blobs`
    are contents in the file store that nothing names.
    """

    expired: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    chosen: list[str] = field(default_factory=list)
    retries: list[str] = field(default_factory=list)
    entries: dict[str, int] = field(default_factory=dict)
    blobs: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.expired or self.unfinished or self.chosen or self.retries or self.entries or self.blobs)

    def remove(self, store: "Store") -> "Garbage":
        """Remove it, in bounded steps; return what was removed. Data that another client has removed or revived meanwhile is skipped."""
        runs = store.runs
        return Garbage(
            expired=[run for run in self.expired if runs.collect(run) is Outcome.DONE],
            unfinished=[run for run in self.unfinished if runs.collect(run) is Outcome.DONE],
            chosen=[run for run in self.chosen if runs.delete(run) is Outcome.DONE],
            retries=[run for run in self.retries if runs.unstage(run) is Outcome.DONE],
            entries={queue: went for queue in self.entries if (went := store.queues.shed_all(queue))},
            blobs=remove_unused(store, self.blobs) if self.blobs else [],
        )


def find_garbage(store: "Store", wish: Wish | None = None) -> Garbage:
    """Find the data that may be removed; nothing is changed."""
    found = Garbage()
    for run, submitted in store.runs.due():
        (found.expired if submitted else found.unfinished).append(run)
    known = set(found.expired)
    kept = [run for run in store.runs.recent(_ALL) if run not in known]
    found.chosen = [run.id for run in _chosen(store, kept, wish)] if wish else []
    going = set(found.chosen)
    found.retries = store.runs.staged_retries(run for run in kept if run not in going)
    stale = ((queue, store.queues.stale(queue)) for queue in store.queues.names() if "/" not in queue)
    found.entries = {queue: count for queue, count in stale if count}
    found.blobs = find_unused(store)
    return found


def garbage_json(garbage: Garbage) -> dict[str, Json]:
    """Return it for programs."""
    return {
        "expired_runs": list(garbage.expired),
        "unfinished_submissions": list(garbage.unfinished),
        "chosen_runs": list(garbage.chosen),
        "dead_retries": list(garbage.retries),
        "expired_entries": dict(garbage.entries),
        "unused_files": len(garbage.blobs),
    }


def _chosen(store: "Store", newest_first: list[str], wish: Wish) -> Iterator[RunRecord]:
    now_ms = store.now_ms()
    seen: Counter[tuple[str, str]] = Counter()  # runs of a flow; two files without `name` have the same one
    for run in store.runs.readable(newest_first):
        if wish.flow not in {None, run.flow}:
            continue
        flow = run.flow, run.file or run.directory
        seen[flow] += 1
        if not run.ended or run.ended_ms is None or seen[flow] <= (wish.keep or 0):
            continue
        if wish.older_than is None or run.ended_ms + wish.older_than * 1000 <= now_ms:
            yield run
