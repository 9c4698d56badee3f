"""The compared workers, each started as its documentation recommends, and their isolation of jobs."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PEERS: Final = ROOT / ".benchmarks" / "venv"  # created by `make bench`; separate from the project's environment
OWN: Final = Path(sys.prefix)

# The process in which a job runs, which ends with it when it crashes, leaks memory, or hangs and is killed:
FORK: Final = "process per job"
POOL: Final = "process of a pool"  # it executes later jobs too
SAME: Final = "the worker itself"


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker of one library.

    `library` is a module of `benchmarks.libraries`; `environment` is where it is installed. Without a `command` no worker
    runs, or the driver itself starts workers, in `slots` processes.
    """

    name: str
    library: str
    isolation: str
    environment: Path
    command: Sequence[str] = ()
    slots: int = 1

    def driver(self, task: str, count: int) -> list[str]:
        """Return the command of `benchmarks.driver` with this worker's library."""
        return [str(self.environment / "bin" / "python"), "-m", "benchmarks.driver", self.library, task, str(count)]


def _own(name: str, isolation: str, command: str, library: str = "flowq") -> Worker:
    program, *arguments = command.split()
    return Worker(name, library, isolation, OWN, (str(OWN / "bin" / program), *arguments))


def _peer(name: str, isolation: str, command: str, library: str = "", slots: int = 1) -> Worker:
    program, *arguments = command.split()
    return Worker(name, library or program, isolation, PEERS, (str(PEERS / "bin" / program), *arguments), slots)


ALONE: Final = tuple(  # without a worker: only enqueueing is measured
    Worker(library, library, "", OWN if library == "flowq" else PEERS)
    for library in ("flowq", "rq", "celery", "dramatiq", "huey", "saq", "dask")
)

FLOWQ_RUN: Final = Worker("flowq run --workers 2", "flowq", FORK, OWN)  # which starts its workers itself

_FORKING: Final = "flowq worker --quiet -c"

FLOWQ: Final = _own("flowq worker", FORK, f"{_FORKING} 1")
FLOWQ_2: Final = _own("flowq worker -c 2: depends_on", FORK, f"{_FORKING} 2")
FLOWQ_2_FLOW: Final = _own("flowq worker -c 2: a flow", FORK, f"{_FORKING} 2", "flowq_flow")
FLOWQ_4: Final = _own("flowq worker -c 4", FORK, f"{_FORKING} 4")
FLOWQ_BATCH: Final = _own("flowq worker --isolation batch", POOL, f"{_FORKING} 1 --isolation batch")
FLOWQ_BATCH_2_FLOW: Final = _own("flowq worker -c 2 --isolation batch", POOL, f"{_FORKING} 2 --isolation batch", "flowq_flow")
FLOWQ_BATCH_4: Final = _own("flowq worker -c 4 --isolation batch", POOL, f"{_FORKING} 4 --isolation batch")
FLOWQ_PRELOAD: Final = _own("flowq worker --preload", FORK, f"{_FORKING} 1 --preload benchmarks.heavy")
FLOWQ_WORK: Final = _own("flowq Worker.work()", FORK, "python -m benchmarks.work flowq Worker")
FLOWQ_SIMPLE: Final = _own("flowq SimpleWorker", SAME, "python -m benchmarks.work flowq SimpleWorker")
FLOWQ_SIMPLE_4: Final = _own("flowq SimpleWorker, four", SAME, "flowq worker-pool -q -n 4 -w flowq.worker.SimpleWorker")
FLOWQ_SIMPLE_2: Final = _own("flowq SimpleWorker, two", SAME, "flowq worker-pool -q -n 2 -w flowq.worker.SimpleWorker")

RQ: Final = _peer("rq worker", FORK, "rq worker --quiet")
RQ_2: Final = _peer("rq worker-pool -n 2", FORK, "rq worker-pool --quiet -n 2")
RQ_4: Final = _peer("rq worker-pool -n 4", FORK, "rq worker-pool --quiet -n 4")
RQ_WORK: Final = _peer("rq Worker.work()", FORK, "python -m benchmarks.work rq Worker", "rq")
RQ_SIMPLE: Final = _peer("rq SimpleWorker", SAME, "python -m benchmarks.work rq SimpleWorker", "rq")

_CELERY: Final = "celery -A benchmarks.libraries.celery worker --loglevel error"
CELERY_FORK: Final = _peer("celery worker --max-tasks-per-child 1", FORK, f"{_CELERY} -c 1 --max-tasks-per-child 1")
CELERY: Final = _peer("celery worker -c 1", POOL, f"{_CELERY} -c 1")
CELERY_2: Final = _peer("celery worker -c 2", POOL, f"{_CELERY} -c 2")
CELERY_4: Final = _peer("celery worker -c 4", POOL, f"{_CELERY} -c 4")
CELERY_SOLO: Final = _peer("celery worker -P solo", SAME, f"{_CELERY} -P solo")

_DRAMATIQ: Final = "dramatiq benchmarks.libraries.dramatiq -t 1"
DRAMATIQ: Final = _peer("dramatiq -p 1 -t 1", POOL, f"{_DRAMATIQ} -p 1")
DRAMATIQ_2: Final = _peer("dramatiq -p 2 -t 1", POOL, f"{_DRAMATIQ} -p 2")
DRAMATIQ_4: Final = _peer("dramatiq -p 4 -t 1", POOL, f"{_DRAMATIQ} -p 4")

_HUEY: Final = "huey_consumer benchmarks.libraries.huey.huey --quiet -k process"
HUEY: Final = _peer("huey_consumer -k process -w 1", POOL, f"{_HUEY} -w 1", "huey")
HUEY_2: Final = _peer("huey_consumer -k process -w 2", POOL, f"{_HUEY} -w 2", "huey")
HUEY_4: Final = _peer("huey_consumer -k process -w 4", POOL, f"{_HUEY} -w 4", "huey")

_SAQ: Final = "saq benchmarks.libraries.saq.settings"
SAQ: Final = _peer("saq", SAME, _SAQ)
SAQ_4: Final = _peer("saq, concurrency 4", SAME, _SAQ, slots=4)

DASK: Final = Worker("dask, a cluster of one process", "dask", POOL, PEERS)
DASK_2: Final = Worker("dask, a cluster of two processes", "dask", POOL, PEERS, slots=2)
DASK_4: Final = Worker("dask, a cluster of four processes", "dask", POOL, PEERS, slots=4)
