"""Local runs without a worker: the command that started them has ended, and their worker with it.

Such a run is kept unchanged, so that `flowq run --resume` can continue it. Until then, or until it is canceled, it also keeps its place in its
concurrency group, so a run that waits for that place must be told.
"""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from flowq import processes
from flowq.flows.views.orphans import orphaned

if TYPE_CHECKING:
    from flowq.store import Store

_SHOWN: Final = 3  # holders of a group
_LOOK: Final = 0.1  # s between looks for a sign of life


def has_worker(store: "Store", queues: Iterable[str], *, certain: bool = False) -> bool:
    """Return whether a worker executes what waits in these queues of a local run; one that is stopping takes nothing any more.

    Args:
        store: where the run is.
        queues: the store's names of the run's queues.
        certain: wait for a heartbeat of a worker whose process cannot be seen from here (it is in another container). Without it
            such a worker is believed for two leases after its last heartbeat, so a caller that stays must ask again.
    """
    wanted = set(queues)
    known: dict[str, int] | None = None
    while True:
        found = [worker for worker in store.workers.live() if worker.state != "stopping" and wanted & set(worker.queues)]
        if not certain or not found or any(processes.is_running(worker.process) for worker in found):
            return bool(found)
        if known is None:
            known = {worker.name: worker.beat_ms for worker in found}
        if any(worker.beat_ms != known.get(worker.name) for worker in found):
            return True
        time.sleep(_LOOK)


def advice(run: str) -> str:
    """Return advice for such a run, as the end of a sentence."""
    return f"run {run} has no worker now: `flowq run --resume {run}` continues it, `flowq cancel {run}` ends it"


def turn_in(semaphore: str) -> str:
    """Return what a run waits for, in words: its schedule or its concurrency group."""
    kind, _, name = semaphore.partition("/")
    return f"its schedule {name}" if kind == "schedule" else f"the concurrency group {name}"


def room_taken(store: "Store", group: str) -> list[str]:
    """Return sentences about the runs that hold a run's concurrency group, and about those that will not release it.

    Args:
        store: where the runs are.
        group: the semaphore of the group, `run/<name>`.
    """
    holders = store.semaphores.holders(group)
    if not holders:
        return []
    more = f" and {len(holders) - _SHOWN} more" if len(holders) > _SHOWN else ""
    runs = ", ".join(f"run {run}" for run in holders[:_SHOWN])
    taken = f"waits for its turn in {turn_in(group)}, which {runs}{more} {'has' if len(holders) == 1 else 'have'}"
    return [taken, *(advice(run) for run in orphaned(store, holders))]
