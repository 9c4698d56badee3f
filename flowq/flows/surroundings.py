"""What explains a queued job and is no part of its run: the workers, and its place in the queue."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from flowq.flows.submit import queue_of
from flowq.flows.views import RunView
from flowq.states import JobStatus
from flowq.store.records import WorkerRecord

if TYPE_CHECKING:
    from flowq.store import Store

_POSITIONS: Final = 50  # queued jobs of which the place in the queue is asked


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What explains a queued job: who is there, how many jobs are before it (by ordinal), whether all are told to wait."""

    workers: Sequence[WorkerRecord] = ()
    positions: Mapping[int, int] = field(default_factory=dict)
    suspended: bool = False


def read_surroundings(store: "Store", run: RunView) -> Surroundings:
    """Read what explains the queued jobs of a run: the workers, and the places in the queues. Nothing if none is queued."""
    queued = [job for job in run.jobs if job.status is JobStatus.QUEUED]
    waiting = [job for job in run.jobs if job.status is JobStatus.DEFERRED]
    if not queued and not waiting:
        return Surroundings()
    positions = {}
    for job in queued[:_POSITIONS]:
        place = store.queues.position(queue_of(job.queue, run.id, local=run.local), job.id)
        if place is not None:
            positions[job.ordinal] = place
    return Surroundings(store.workers.all(), positions, bool(queued) and store.queues.suspended())
