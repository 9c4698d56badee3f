"""Classes and a handler of a user, for the command line. They are not in `samples`, which every job imports."""

import os
import sys
from pathlib import Path
from typing import Any

import redis

from flowq import Job, Queue, SimpleWorker, SpawnWorker, Worker


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


class Writing(Worker):
    """A class of workers whose methods write their names and the job's id to the file `WRITE_TO`, then call the original ones."""

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Write, then execute the job."""
        _write("execute_job", job)
        super().execute_job(job, queue)

    def main_work_horse(self, job: Job, queue: Queue) -> None:
        """Write, then execute the job."""
        _write("main_work_horse", job)
        super().main_work_horse(job, queue)

    def setup_work_horse_signals(self) -> None:
        """Write, then do what workers do."""
        assert self.current is not None
        _write("setup_work_horse_signals", self.current.job)
        super().setup_work_horse_signals()

    def perform_job(self, job: Job, queue: Queue, execution: Any = None) -> bool:
        """Write, then execute the job."""
        _write("perform_job", job)
        return super().perform_job(job, queue, execution)

    def prepare_job_execution(self, job: Job, remove_from_intermediate_queue: bool = False) -> None:
        """Write, then do what workers do."""
        _write("prepare_job_execution", job)
        super().prepare_job_execution(job, remove_from_intermediate_queue)

    def handle_execution_ended(self, job: Job, queue: Queue, heartbeat_ttl: float) -> None:
        """Write, then do what workers do."""
        _write("handle_execution_ended", job)
        super().handle_execution_ended(job, queue, heartbeat_ttl)

    def handle_job_success(self, job: Job, queue: Queue, started_job_registry: Any = None, execution: Any = None) -> None:
        """Write, then do what workers do."""
        _write("handle_job_success", job)
        super().handle_job_success(job, queue, started_job_registry, execution)

    def handle_job_retry(
        self, job: Job, queue: Queue, retry: Any, started_job_registry: Any = None, execution: Any = None
    ) -> None:
        """Write, then do what workers do."""
        _write("handle_job_retry", job)
        super().handle_job_retry(job, queue, retry, started_job_registry, execution)

    def handle_exception(self, job: Job, *exc_info: Any) -> None:
        """Write, then call the exception handlers."""
        _write("handle_exception", job)
        super().handle_exception(job, *exc_info)

    def handle_job_failure(
        self, job: Job, queue: Queue, started_job_registry: Any = None, exc_string: str = "", execution: Any = None
    ) -> None:
        """Write, then do what workers do."""
        _write("handle_job_failure", job)
        super().handle_job_failure(job, queue, started_job_registry, exc_string, execution)


class WritingWorker(Writing):
    """A `Worker` that writes."""


class WritingSimpleWorker(Writing, SimpleWorker):
    """A `SimpleWorker` that writes."""


class WritingSpawnWorker(Writing, SpawnWorker):
    """A `SpawnWorker` that writes."""


class TellingSpawnWorker(SpawnWorker):
    """A `SpawnWorker` that puts what it knows into the meta of its jobs."""

    def perform_job(self, job: Job, queue: Queue, execution: Any = None) -> bool:
        """Store it, then execute the job."""
        job.meta["known"] = [type(job).__name__, type(queue).__name__, self.default_result_ttl]
        job.save_meta()
        return super().perform_job(job, queue, execution)


def _write(name: str, job: Job) -> None:
    with Path(os.environ["WRITE_TO"]).open("a") as file:
        file.write(f"{name} {job.id}\n")


def note_failure(job: Job, kind: type[BaseException], value: BaseException, _trace: Any) -> bool:
    """Write to the file named in the job's meta."""
    with Path(job.meta["log"]).open("a") as file:
        file.write(f"{kind.__name__}: {value}\n")
    return False


class OwnRedis(redis.Redis):
    """A class of clients."""
