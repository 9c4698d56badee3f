"""Workers: one supervisor, its fork servers, and a horse for each job. Each folder is a process, or what processes share.

    supervisor ──control──> fork server ──fork──> horse        one job, then it exits
        └───────── lane: task, pipes, outcome ──────┘

Processes
    supervisor/    The only process that speaks to the store. It claims jobs, turns them into tasks, hands each one to a horse, reads output
                   and outcome, enforces the hard timeout and reports ends. It runs no user code.
    fork_server/   The parent of the horses. It is small, because the price of a fork grows with the size of the process that forks. It
                   forks a horse into each lane, and the next one when that has exited; it kills process groups, reaps, and sweeps what dead
                   horses leave behind. It knows nothing about jobs, but executes two of its own again and again before it forks
                   (`rehearsal`): horses begin warm. There is one for each directory, import path and environment, so that modules can be
                   kept imported in it (`preload`).
    horse/         Executes exactly one task in a session of its own and answers with exactly one outcome. It has its task from a lane, a stream
                   that one horse uses after the other (`ipc` says what keeps them apart). Jobs that ask for it share a horse (`batch`).
    executors/     Drivers, which stand where a fork server stands while the jobs are executed elsewhere (`flowq worker --executor`).
    node/          What runs there: slots, fork servers and horses without a store.
    inprocess/     Execution without a fork server: `SimpleWorker`, jobs that are executed inside `enqueue`, and servers in memory.

Shared
    ipc/           The channel between processes, its messages, and calls to the kernel.
    secrets/       References are resolved for each execution; values are masked in everything that comes back from the horse.
    webhooks/      Due deliveries, and the process that sends them.

Invariants
    * A job's processes do not outlive it: process group, session and escaped daemons are gone before its end is final.
    * If one of the three is killed with SIGKILL, the processes below it end too, also while a fork server hangs in a user's import or at-fork
      hook; no process keeps running without a supervisor. Only what a job has detached from itself is not found if fork server and
      supervisor die at once.
    * A process that does not answer is killed: no job keeps a slot longer than its timeout and the grace periods allow.
    * An exit without an outcome is a failure, whatever the exit code.
    * Only a parent sends signals to a process, and only before it has reaped it: a recycled pid is never hit. In place of a fork server that
      hangs, and so reaps nothing, the supervisor kills that server's children.
    * Secrets travel beside the task into the environment of one horse. Fork servers do not have the variables they come from.

Horses and fork servers know nothing of Redis, plans or flows. Beside `horse/`, `fork_server/` and `ipc/` they import
only the modules in `FOR_A_HORSE` (`tests/repository/test_import_contracts.py`). What every job loads uses neither `typing` nor
`dataclasses`: every job would pay for that. This module imports nothing.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from flowq.worker.monitoring import WorkerStatus
    from flowq.worker.simple_worker import SimpleWorker
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
    "SimpleWorker": "flowq.worker.simple_worker",
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
