"""Worker processes: one supervisor, its fork servers, and a horse for each job.

    supervisor ──control──> fork server ──fork──> horse        one job, then it exits
        └────────────── task, pipes, outcome ───────┘

Who owns what
    The *supervisor* is the only process that speaks to the store. It claims jobs, turns them into tasks, hands each to a horse,
    reads output and outcome, keeps the clock of the hard timeout and reports ends. It runs no user code.
    A *fork server* is the parent of the horses. It is small, because the price of a fork is the size of who forks. It knows
    nothing about jobs: it forks, kills process groups, reaps and sweeps what dead horses leave behind. There is one per
    directory, import path and environment, so that modules can be warm in it (`warmth`).
    A *horse* executes exactly one task in a session of its own and answers with exactly one outcome.

Invariants
    * A job's processes do not outlive it: process group, session and escaped daemons are gone before its end is final.
    * If one of the three is killed with SIGKILL, the processes below it end too; no process keeps running without a supervisor.
    * An exit without an outcome is a failure, whatever the exit code.
    * Only a parent sends signals to a process, and only before it has reaped it: a recycled pid is never hit.

Secrets
    The supervisor resolves a job's references for each execution (`secrets`) and holds the values in a `veil`: they travel beside the
    task, over the horse's channel, into the environment of that one horse. Fork servers do not have the variables they come from. All
    that comes back from the horse, output, errors and results, passes the veil's mask (`masking`) before it goes anywhere.

What it must not know
    Horses and fork servers know nothing of Redis, plans or flows and import only small parts of the standard library:
    `protocol`, `system`, `forkserver`, `children`, `horse`, `calls`, `results`, `commands`, `outputs`, `warmth`, `cache` must stay free
    of `typing`, `dataclasses` and everything else that costs milliseconds at import. This module imports nothing.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from flowq.worker.inprocess.simple_worker import SimpleWorker
    from flowq.worker.monitoring import WorkerStatus
    from flowq.worker.worker import DequeueStrategy, Worker
    from flowq.worker.worker_classes import HerokuWorker, RandomWorker, RoundRobinWorker, SpawnWorker

__all__ = [
    "DequeueStrategy",
    "HerokuWorker",
    "RandomWorker",
    "RoundRobinWorker",
    "SimpleWorker",
    "SpawnWorker",
    "Worker",
    "WorkerStatus",
]

_HOMES = {
    "DequeueStrategy": "flowq.worker.worker",
    "HerokuWorker": "flowq.worker.worker_classes",
    "RandomWorker": "flowq.worker.worker_classes",
    "RoundRobinWorker": "flowq.worker.worker_classes",
    "SimpleWorker": "flowq.worker.inprocess.simple_worker",
    "SpawnWorker": "flowq.worker.worker_classes",
    "Worker": "flowq.worker.worker",
    "WorkerStatus": "flowq.worker.monitoring",
}


def __getattr__(name: str) -> object:
    """Import the public classes on first use: horses and fork servers import this package too."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
