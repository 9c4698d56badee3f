"""Classes and a handler as users write them, named on the command line by the tests. Not in `samples`: every job imports that."""

import sys
from pathlib import Path
from typing import Any

from flowq import Job, Queue, Worker


class OwnJob(Job):
    """Says so in its result."""

    def perform(self) -> Any:
        """Call the function."""
        return ["own", super().perform()]


class OwnQueue(Queue):
    """Makes such jobs."""

    job_class = OwnJob


class OwnWorker(Worker):
    """Says that it works."""

    def work(self, *args: Any, **options: Any) -> bool:
        """Work."""
        sys.stdout.write(f"own worker {self.name} works\n")
        return super().work(*args, **options)


def note_failure(job: Job, kind: type[BaseException], value: BaseException, _trace: Any) -> bool:
    """Write into the file that the job's meta names."""
    with Path(job.meta["log"]).open("a") as file:
        file.write(f"{kind.__name__}: {value}\n")
    return False
