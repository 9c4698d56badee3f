"""Flow files that two served directories have, such as `flows` and the directory above it: each of their slots and events has two runs."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from flowq.store.schedules import ScheduleRecord

_ALIVE: Final = 60_000  # ms since a scheduler had a schedule, in which one counts as alive: it has them every ten seconds


class Start(NamedTuple):
    """What starts runs: a flow file, and of a trigger what it watches (a pattern or a flow file, absolute); "" for slots."""

    path: str
    watched: str


def starts(records: "Iterable[ScheduleRecord]", now: int) -> Iterator[tuple[Start, str]]:
    """Yield what starts runs at a time (ms), with the id of its schedule or trigger; nothing that is paused or that no scheduler has."""
    for record in records:
        if record.pause is None and now - record.seen_ms <= _ALIVE:
            start = _start_of(record.description)
            if start is not None:
                yield start, record.id


def _start_of(description: str) -> Start | None:
    """Return what a scheduler said of a schedule or trigger; None if it starts nothing, or another version of flowq said it."""
    try:
        found = json.loads(description)
    except ValueError:
        return None
    if not isinstance(found, dict) or not isinstance(path := found.get("path"), str) or not path:
        return None
    entry, watched = found.get("entry"), found.get("watched")
    if isinstance(entry, dict):
        return None if entry.get("paused") else Start(path, "")
    return Start(path, watched) if isinstance(watched, str) and watched else None


def served_twice(found: Iterable[tuple[Start, str]]) -> Mapping[str, tuple[str, ...]]:
    """Return the ids of schedules and triggers of different directories by the flow file that these have in common, one of each directory."""
    ids: dict[Start, dict[str, str]] = {}
    for start, name in found:
        ids.setdefault(start, {}).setdefault(name.partition("/")[0], name)
    return {start.path: tuple(some.values()) for start, some in ids.items() if len(some) > 1}
