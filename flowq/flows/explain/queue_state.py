"""The state outside a run that explains its queued jobs: the workers, and the places in the queues."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from flowq.flows.actions.submit import queue_of
from flowq.flows.views.orphans import orphaned
from flowq.flows.views.run_view import RunView
from flowq.ids import run_of
from flowq.states import JobStatus
from flowq.store.schema.records import WorkerRecord

if TYPE_CHECKING:
    from flowq.store import Store

_POSITIONS: Final = 50  # queued jobs of which the place in the queue is asked
_HOLDERS: Final = 20  # of one semaphore that are checked for a worker


@dataclass(frozen=True, slots=True)
class QueueState:
    """The state that explains a waiting job: the workers, how many jobs are before it (by ordinal), whether workers are suspended.

    `holders` are the holders of the semaphores that jobs of the run (or the run itself) wait for, by the semaphore's name; `orphaned`
    are the runs among them that have no worker.
    """

    workers: Sequence[WorkerRecord] = ()
    positions: Mapping[int, int] = field(default_factory=dict)
    suspended: bool = False
    holders: Mapping[str, Sequence[str]] = field(default_factory=dict)
    orphaned: frozenset[str] = frozenset()


def read_surroundings(store: "Store", run: RunView) -> QueueState:
    """Read the state that explains the queued jobs of a run: the workers, and the places in the queues. Nothing if none is queued."""
    queued = [job for job in run.jobs if job.status is JobStatus.QUEUED]
    waiting = [job for job in run.jobs if job.status is JobStatus.DEFERRED]
    if not queued and not waiting:
        return QueueState()
    limits = {name for job in waiting for name in job.semaphores} | ({run.semaphore} if run.semaphore else set())
    positions = {}
    for job in queued[:_POSITIONS]:
        place = store.queues.position(queue_of(job.queue, run.id, local=run.local), job.id)
        if place is not None:
            positions[job.ordinal] = place
    holders = {name: store.semaphores.holders(name) for name in limits}
    others = [who if name.startswith("run/") else run_of(who) for name, held in holders.items() for who in held[:_HOLDERS]]
    return QueueState(
        store.workers.live(),
        positions,
        bool(queued) and store.queues.suspended(),
        holders,
        frozenset(orphaned(store, (other for other in others if other != run.id))),
    )
