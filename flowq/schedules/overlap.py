"""Flows that another catalog has too: where the directory of one is within that of the other, each slot has two runs."""

from typing import TYPE_CHECKING, Final

from flowq.schedules.entries import Description

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowq.schedules.entries import KnownEntry
    from flowq.store import Store

_ALIVE: Final = 60_000  # ms since a scheduler had a schedule, in which one counts as alive: it has them every ten seconds


def rivals(store: "Store", catalog: str, known: "Iterable[KnownEntry]", now: int) -> dict[str, str]:
    """Return the schedules of other catalogs that a living scheduler fires, and whose flow file is one of these; by the path of the file."""
    ours = {item.flow.path for item in known}
    names = [name for name in store.schedules.names() if name.partition("/")[0] != catalog]
    found = {}
    for record in store.schedules.get_many(names):
        if record is None or record.pause is not None or now - record.seen_ms > _ALIVE:
            continue
        description = Description.from_json(record.description)
        if description is not None and description.path in ours and not description.entry.paused:
            found[description.path] = record.id
    return found
