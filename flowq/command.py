"""Commands to workers. Each is a field of a record and a wake-up; nothing is pickled, and no command is lost when the worker does not listen yet."""

from contextlib import suppress
from typing import Any, Final

from flowq.connections.stores import store_for
from flowq.exceptions import InvalidJobOperation, NoSuchJobError, NoSuchWorkerError, UsageError
from flowq.states import JobStatus
from flowq.store.schema.outcomes import Outcome

SHUTDOWN = "shutdown"
KILL_HORSE = "kill-horse"
STOP_JOB = "stop-job"
STOP_EXECUTION = "stop-execution"
_STOPS: Final = {STOP_JOB: {"job_id"}, STOP_EXECUTION: {"job_id", "execution_id"}}  # and their arguments


def send_command(connection: Any, worker_name: str, command: str, **kwargs: Any) -> None:
    """Send a command to a worker.

    Args:
        connection: a redis-py client; None for the configured server.
        worker_name: as in `Worker.all`.
        command: "shutdown", "kill-horse", "stop-job" with `job_id`, or "stop-execution" with `job_id` and `execution_id`. The last two do
            nothing, as in RQ, where the worker does not execute that job; `send_stop_job_command` and `send_stop_execution_command`
            tell it.
        **kwargs: `job_id`, `execution_id`.

    Raises:
        UsageError: there is no such command.
        NoSuchWorkerError: there is no such worker.
    """
    if kwargs.keys() == _STOPS.get(command):
        jobs = store_for(connection).jobs
        record = jobs.get(str(kwargs["job_id"]))
        if record is not None and record.worker == worker_name:
            jobs.stop(record.id, str(kwargs.get("execution_id", "")))
        return
    if command not in {SHUTDOWN, KILL_HORSE}:
        raise UsageError(
            f"expected the command {SHUTDOWN!r}, {KILL_HORSE!r}, {STOP_JOB!r} with job_id=…,"
            f" or {STOP_EXECUTION!r} with job_id=… and execution_id=…, found {command!r}"
        )
    if store_for(connection).workers.command(worker_name, command) is Outcome.NOT_FOUND:
        raise NoSuchWorkerError(f"there is no worker {worker_name!r}: `flowq info` lists them all")


def send_shutdown_command(connection: Any, worker_name: str) -> None:
    """Ask a worker to stop after the jobs that it executes now; nothing is to be done for one that is gone."""
    with suppress(NoSuchWorkerError):
        send_command(connection, worker_name, SHUTDOWN)


def send_kill_horse_command(connection: Any, worker_name: str) -> None:
    """Kill the jobs that a worker executes now; they fail (or are retried), the worker continues. One that is gone executes none."""
    with suppress(NoSuchWorkerError):
        send_command(connection, worker_name, KILL_HORSE)


def send_stop_execution_command(connection: Any, job_id: str, execution_id: str) -> None:
    """Kill one execution of a job, if it is the one in progress; the job ends as `stopped` and is not retried.

    Args:
        connection: a redis-py client; None for the configured server.
        job_id: the job's id.
        execution_id: as in `Job.get_executions`.

    Raises:
        InvalidJobOperation: this execution is not in progress.
    """
    if store_for(connection).jobs.stop(job_id, str(execution_id)) is not Outcome.DONE:
        raise InvalidJobOperation(f"cannot stop execution {execution_id} of job {job_id}: it is not in progress")


def send_stop_job_command(connection: Any, job_id: str, serializer: Any = None) -> None:  # noqa: ARG001 - the signature of RQ
    """Kill a job that is executed now; it ends as `stopped` and is not retried.

    Raises:
        NoSuchJobError: there is no such job.
        InvalidJobOperation: it is not being executed.
    """
    store = store_for(connection)
    record = store.jobs.get(job_id)
    if record is None:
        raise NoSuchJobError(f"no job with the id {job_id!r}")
    if record.status is not JobStatus.STARTED:
        raise InvalidJobOperation(
            f"cannot stop job {job_id}: it is {record.status}, not started; `Job.cancel` is for jobs that wait"
        )
    store.jobs.stop(job_id)
