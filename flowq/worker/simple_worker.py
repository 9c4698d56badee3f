"""`SimpleWorker`: a worker that executes jobs in its own process, one after the other. For tests and for debuggers."""

from typing import TYPE_CHECKING

from flowq.job import Job
from flowq.queue import Queue
from flowq.worker.inprocess.engine import Engine, execute
from flowq.worker.inprocess.heartbeat import HeartbeatThread
from flowq.worker.methods import execute_here, own
from flowq.worker.options import WorkerOptions
from flowq.worker.worker import Worker

if TYPE_CHECKING:
    from flowq.store import Store


class SimpleWorker(Worker):
    """A worker without work horses: a job runs in the process that called `work()`.

    Everything else is as of `Worker`, except what needs a process per job: a job that crashes takes the worker along, one that
    blocks in C code is not interrupted, and jobs of flows are refused.
    """

    @own
    def execute_job(self, job: Job, queue: Queue) -> None:
        """Execute a job in this process. Called by hand, one that waits in its queue."""
        if self.current is None:
            execute_here(self, job)
        else:
            self.perform_job(job, queue, self.current.execution)

    def _execute(self, store: "Store", options: WorkerOptions) -> bool:
        return execute(store, options, Engine, HeartbeatThread)
