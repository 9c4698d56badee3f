"""The state outside a run's records that explains its jobs: the workers, the places in the queues, what workers say of running jobs."""

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
_OUTPUT: Final = 200  # latest entries of output that are looked at
_NOTE: Final = b"[flowq: "  # how a line of flowq's own begins


@dataclass(frozen=True, slots=True)
class QueueState:
    """The state that explains a waiting job: the workers, how many jobs are before it (by ordinal), whether workers are suspended.

    `holders` are the holders of the semaphores that jobs of the run (or the run itself) wait for, by the semaphore's name; `orphaned`
    are the runs among them that have no worker. `notes` are lines of flowq's own that are the last output of running jobs, by ordinal. `full`: the server
    refuses new data, see `FULL`.
    """

    workers: Sequence[WorkerRecord] = ()
    positions: Mapping[int, int] = field(default_factory=dict)
    suspended: bool = False
    holders: Mapping[str, Sequence[str]] = field(default_factory=dict)
    orphaned: frozenset[str] = frozenset()
    notes: Mapping[int, str] = field(default_factory=dict)
    full: bool = False


FULL: Final = (
    "the server has reached its maxmemory and refuses new data: no job starts, and one that has ended counts as running until its end"
    " can be stored: raise maxmemory, or delete runs and results"
)


def read_queue_state(store: "Store", run: RunView) -> QueueState:
    """Read the state that explains the jobs of a run that have not ended. Of workers and queues nothing if no job waits."""
    queued = [job for job in run.jobs if job.status is JobStatus.QUEUED]
    waiting = [job for job in run.jobs if job.status is JobStatus.DEFERRED]
    full = not run.ended and store.is_full()
    if not queued and not waiting:
        return QueueState(notes=_notes(store, run), full=full)
    limits = {name for job in waiting for name in job.semaphores} | ({run.semaphore} if run.semaphore else set())
    positions = {}
    for job in queued[:_POSITIONS]:
        place = store.queues.position(queue_of(job.queue, run.queue_prefix), job.id)
        if place is not None:
            positions[job.ordinal] = place
    holders = {name: store.semaphores.holders(name) for name in limits}
    others = [
        who if name.startswith(("run/", "schedule/")) else run_of(who)
        for name, held in holders.items()
        for who in held[:_HOLDERS]
    ]
    return QueueState(
        store.workers.live(),
        positions,
        bool(queued) and store.queues.suspended(),
        holders,
        frozenset(orphaned(store, (other for other in others if other != run.id))),
        _notes(store, run),
        full,
    )


def _notes(store: "Store", run: RunView) -> dict[int, str]:
    running = {job.id: job.ordinal for job in run.jobs if job.status is JobStatus.STARTED}
    notes = {}
    for entry in store.runs.latest_logs(run.id, _OUTPUT) if running else ():
        ordinal = running.pop(entry.job, None)
        line = entry.data.rstrip().rpartition(b"\n")[2]
        if ordinal is not None and line.startswith(_NOTE):
            notes[ordinal] = line.removeprefix(_NOTE).removesuffix(b"]").decode("utf-8", "replace")
    return notes
