"""Classes and a handler of a user, for the command line. They are not in `samples`, which every job imports."""

import sys
from pathlib import Path
from typing import Any

import redis

from flowq import Job, Queue, Worker


class OwnJob(Job):
    """A class of jobs that marks its results."""

    def perform(self) -> Any:
        """Call the function."""
        return ["own", super().perform()]


class OwnQueue(Queue):
    """A class of queues that creates `OwnJob`s."""

    job_class = OwnJob


class OwnWorker(Worker):
    """A class of workers that prints a line when it starts."""

    def work(self, *args: Any, **options: Any) -> bool:
        """Print a line, then work."""
        sys.stdout.write(f"own worker {self.name} works\n")
        return super().work(*args, **options)


def note_failure(job: Job, kind: type[BaseException], value: BaseException, _trace: Any) -> bool:
    """Write to the file named in the job's meta."""
    with Path(job.meta["log"]).open("a") as file:
        file.write(f"{kind.__name__}: {value}\n")
    return False


class OwnRedis(redis.Redis):
    """A class of clients."""
