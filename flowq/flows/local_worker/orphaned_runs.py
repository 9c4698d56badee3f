"""Local runs without a worker: the command that started them is gone, and their worker with it.

Such a run is kept as it is, for `flowq run --resume` to go on with. Until then, or until it is canceled, it also keeps its place in its
concurrency group, so a run that waits for that place must be told.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from flowq.states import RUN_ENDED

if TYPE_CHECKING:
    from flowq.store import Store

_SHOWN: Final = 3  # holders of a group


def stranded(store: "Store", runs: Iterable[str]) -> list[str]:
    """Return those of the runs that have not ended, are executed by workers of their own, and have none."""
    open_runs = [
        run
        for run in dict.fromkeys(runs)
        if (record := store.runs.get(run)) is not None and record.local and record.status not in RUN_ENDED
    ]
    if not open_runs:
        return []
    worked_on = {queue.partition("/")[0] for worker in store.workers.live() for queue in worker.queues if "/" in queue}
    return [run for run in open_runs if run not in worked_on]


def advice(run: str) -> str:
    """Return what can be done about such a run, as the end of a sentence."""
    return f"run {run} has no worker now: `flowq run --resume {run}` goes on with it, `flowq cancel {run}` ends it"


def room_taken(store: "Store", group: str) -> list[str]:
    """Return in sentences which runs have the places of a run's concurrency group, and which of them will not give theirs back.

    Args:
        store: where the runs are.
        group: the semaphore of the group, `run/<name>`.
    """
    holders = store.semaphores.holders(group)
    if not holders:
        return []
    more = f" and {len(holders) - _SHOWN} more" if len(holders) > _SHOWN else ""
    runs = ", ".join(f"run {run}" for run in holders[:_SHOWN])
    taken = f"waits for its turn in the concurrency group {group.removeprefix('run/')}, which {runs}{more} {'has' if len(holders) == 1 else 'have'}"
    return [taken, *(advice(run) for run in stranded(store, holders))]
