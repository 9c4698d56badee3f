"""The latest runs, newest first, with a filter: from their records alone, no job is read."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from flowq.durations import parse_duration
from flowq.exceptions import TimeoutFormatError, UsageError
from flowq.flows.views.orphans import orphaned
from flowq.flows.views.run_view import elapsed
from flowq.plan import Json
from flowq.store.schema.documents import record_json
from flowq.store.schema.records import RunRecord

if TYPE_CHECKING:
    from flowq.store import Store

ORPHANED: Final = "orphaned"
"""In place of a status: runs that no worker executes."""

SCANNED: Final = 1000  # runs that a filter looks at
_AT_ONCE: Final = 100  # records read by one pipeline


@dataclass(frozen=True, slots=True)
class RunFilter:
    """A filter for runs.

    Attributes:
        flow: name of the flow.
        status: of the run, or `ORPHANED`.
        since_ms: created at this time or later.
        until_ms: created before this time.
        labels: all of these.
        schedule: id of the schedule of whose slots they are.
        cause: what started them.
        text: the beginning of the id, or a part of the flow's name.
    """

    flow: str | None = None
    status: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    labels: tuple[tuple[str, str], ...] = ()
    schedule: str | None = None
    cause: str | None = None
    text: str | None = None

    def fits(self, run: RunRecord) -> bool:
        """Return whether the run passes the filter, so far as its record tells."""
        labels = json.loads(run.labels or "{}") if self.labels else {}
        return (
            (self.flow is None or run.flow == self.flow)
            and (self.status in {None, run.status} or (self.status == ORPHANED and not run.ended))
            and (self.until_ms is None or run.created_ms < self.until_ms)
            and self.schedule in {None, run.schedule}
            and self.cause in {None, run.cause}
            and (self.text is None or run.id.startswith(self.text) or self.text in run.flow)
            and all(labels.get(name) == value for name, value in self.labels)
        )


@dataclass(frozen=True, slots=True)
class RunPage:
    """Some runs.

    Attributes:
        runs: their records.
        orphaned: the ids of those that are orphaned.
        next: where the next ones are; None: there are none.
        damaged: why records between these could not be read, by the run's id. Whether they fit is not known.
    """

    runs: tuple[RunRecord, ...]
    orphaned: frozenset[str]
    next: tuple[int, str] | None
    damaged: Mapping[str, str] = field(default_factory=dict)


def _always(_run: RunRecord) -> bool:
    return True


def select_runs(
    store: "Store",
    chosen: RunFilter,
    limit: int,
    *,
    after: tuple[int, str] | None = None,
    visible: Callable[[RunRecord], bool] = _always,
) -> RunPage:
    """Return the latest runs that fit.

    Args:
        store: where they are.
        chosen: the filter. It looks at 1,000 runs at most, so there may be a next page without a single run on this one.
        limit: how many at most.
        after: `next` of the page before.
        visible: of which runs the reader may know at all.
    """
    found: list[RunRecord] = []
    unread: dict[str, str] = {}
    damaged: dict[str, str] = {}
    cursor = after
    begin = after or (None if chosen.until_ms is None else (chosen.until_ms, ""))
    for seen, (position, run) in enumerate(_records(store, begin, unread), 1):
        if position[1] in unread:
            damaged[position[1]] = unread[position[1]]
        if run is not None and chosen.since_ms is not None and run.created_ms < chosen.since_ms:
            cursor = None  # newest first: all others are older
            break
        cursor = position
        if run is not None and visible(run) and chosen.fits(run) and (chosen.status != ORPHANED or orphaned(store, [run.id])):
            found.append(run)
        if len(found) == limit or seen == SCANNED:
            break
    else:
        cursor = None
    lost = orphaned(store, [run.id for run in found if not run.ended], damaged)
    return RunPage(tuple(found), frozenset(lost), cursor, damaged)


def all_runs(store: "Store", chosen: RunFilter, limit: int | None) -> RunPage:
    """Return what `select_runs` does, from as many pages as it takes. `limit`: None for all that fit."""
    page = select_runs(store, chosen, limit or SCANNED)
    found, lost, damaged = list(page.runs), set(page.orphaned), dict(page.damaged)
    while page.next is not None and (limit is None or len(found) < limit):
        page = select_runs(store, chosen, SCANNED if limit is None else limit - len(found), after=page.next)
        found += page.runs
        lost |= page.orphaned
        damaged |= page.damaged
    return RunPage(tuple(found), frozenset(lost), page.next, damaged)


def _records(
    store: "Store", after: tuple[int, str] | None, unread: dict[str, str]
) -> Iterator[tuple[tuple[int, str], RunRecord | None]]:
    cursor = after
    while rows := store.runs.before(cursor, _AT_ONCE):
        yield from zip(rows, store.runs.get_many((run for _, run in rows), unread), strict=True)
        cursor = rows[-1]


def summary_json(run: RunRecord, now_ms: int, *, lost: bool = False) -> dict[str, Json]:
    """Return a run as `flowq runs --json` has it, with its duration in seconds."""
    return record_json(run, orphaned=lost) | {"duration": elapsed(run.started_ms, run.ended_ms, now_ms)}


def moment_ms(text: str, now_ms: int, name: str) -> int:
    """Return a point in time (ms): a duration before now, or a date with or without a time (UTC). `name`: for the message.

    Raises:
        UsageError: it is neither.
    """
    try:
        if text[:4].isdigit() and text[4:5] == "-":
            moment = datetime.fromisoformat(text)
            return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1000)
        return now_ms - int(parse_duration(text) * 1000)
    except (ValueError, OverflowError, TimeoutFormatError) as error:
        raise UsageError(f"{name}: expected 2h, 7d or 2026-01-31, found {text!r}") from error
