"""One side of a comparison: fills a queue, or works it off, with either library.

flowq has RQ's names, so this one script serves both contestants; only the import differs. It runs in the contestant's own
environment and imports nothing of the project but the jobs.

    python -m benchmarks.peer LIBRARY singles N      enqueue a mark, N no-op jobs, a mark
    python -m benchmarks.peer LIBRARY fan N          enqueue a mark, N no-op jobs that depend on it, a mark that depends on all of them
    python -m benchmarks.peer LIBRARY work           work the queue off with a `Worker` (a fork per job)
    python -m benchmarks.peer LIBRARY simple         work the queue off with a `SimpleWorker` (no fork)

The server is `BENCHMARK_URL`, the file of the marks `BENCHMARK_MARKS`.
"""

import importlib
import os
import sys
from typing import Any

from redis import Redis

from benchmarks.noop import mark, noop

MISSING = "not available"  # said before the reason when the library lacks what is asked of it
TIMEOUT = 600  # s of one job: both sides set and clear the same alarm


def main(library: str, task: str, count: int = 0) -> None:
    """Do one task with one library."""
    package: Any = importlib.import_module(library)
    connection = Redis.from_url(os.environ["BENCHMARK_URL"])
    queue = package.Queue("default", connection=connection)
    marks = os.environ["BENCHMARK_MARKS"]
    if task == "singles":
        queue.enqueue(mark, marks, job_timeout=TIMEOUT)
        for _ in range(count):
            queue.enqueue(noop, job_timeout=TIMEOUT)
        queue.enqueue(mark, marks, job_timeout=TIMEOUT)
    elif task == "fan":
        source = queue.enqueue(mark, marks, job_timeout=TIMEOUT)
        children = [queue.enqueue(noop, depends_on=source, job_timeout=TIMEOUT) for _ in range(count)]
        queue.enqueue(mark, marks, depends_on=children, job_timeout=TIMEOUT)
    else:
        name = "SimpleWorker" if task == "simple" else "Worker"
        kind = getattr(package, name, None)
        if kind is None:
            sys.exit(f"{MISSING}: {library} has no {name}")
        kind([queue], connection=connection).work(burst=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 0)
