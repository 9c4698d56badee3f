"""What became of the slots of a schedule: its log, and the runs of backfills, which are not in it.

The log has a place for 1,000 entries, of which one backfill could take all. So the runs of backfills are found among the runs, as long as
these are kept.
"""

from typing import TYPE_CHECKING

from flowq.flows.views.run_list import RunFilter, select_runs
from flowq.store.schedules import SlotEntry

if TYPE_CHECKING:
    from flowq.store import Store


def read_history(store: "Store", schedule: str, limit: int = 1000) -> list[SlotEntry]:
    """Return what became of the slots or events of a schedule, newest first.

    Args:
        store: where it is.
        schedule: its id.
        limit: how many entries at most; of the latest 1,000 runs those of backfills are found.
    """
    log = store.schedules.log(schedule, limit)
    begun = store.backfills.times().values()
    if not begun:
        return log
    since = max(min(begun), log[-1].at_ms if len(log) == limit else 0)
    chosen = RunFilter(schedule=schedule, cause="backfill", since_ms=since)
    made = [
        SlotEntry(run.slot, "run", "backfill", run.id, run.slot, 1, run.created_ms)
        for run in select_runs(store, chosen, limit).runs
        if run.slot is not None
    ]
    return sorted([*log, *made], key=lambda entry: entry.at_ms, reverse=True)[:limit]
