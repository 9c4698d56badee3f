"""Executions: listing them, and stopping exactly one."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis

from flowq import Queue, Worker
from flowq.command import send_stop_execution_command
from flowq.exceptions import InvalidJobOperation, NoSuchExecutionError
from flowq.executions import Execution, ExecutionRegistry
from flowq.store import Store
from tests.api import samples
from tests.api.conftest import Background, wait_for
from tests.support.slot_driver import Driver
from tests.support.wait import until


def test_running_executions_are_listed(
    queue: Queue, connection: redis.Redis, background: Callable[..., Background], tmp_path: Path
) -> None:
    job = queue.enqueue(samples.wait_for_file, str(tmp_path / "go"))
    assert (job.get_executions(), len(ExecutionRegistry(job.id, connection))) == ([], 0)
    worker = background(lambda: Worker([queue]))
    wait_for(job, "started")
    (execution,) = job.get_executions()
    assert (execution.job_id, execution.worker_name, execution.job) == (job.id, worker.name, job)
    assert execution.connection is connection
    assert datetime.now(UTC) - execution.created_at < timedelta(seconds=30)
    assert execution.last_heartbeat is not None
    assert Execution.fetch(execution.id, job.id, connection) == execution
    assert Execution.from_composite_key(execution.composite_key, connection) == execution
    assert ExecutionRegistry(job.id, connection).get_execution_ids() == [execution.id]
    assert ExecutionRegistry(job.id, connection).get_executions(0, 0) == [execution]
    (listed,) = Worker.all(connection)
    assert (listed.get_current_executions(), listed.current_execution_count) == ([execution], 1)
    (tmp_path / "go").touch()
    wait_for(job, "finished")
    with pytest.raises(NoSuchExecutionError, match="has ended"):
        Execution.fetch(execution.id, job.id, connection)
    with pytest.raises(ValueError, match="has ended"):  # what RQ's users catch
        Execution.fetch(execution.id, "missing", connection)


def test_stopping_one(queue: Queue, connection: redis.Redis, background: Callable[..., Background], tmp_path: Path) -> None:
    job = queue.enqueue(samples.mark_and_hang, str(tmp_path / "log"), retry=3)
    background(lambda: Worker([queue]))
    until((tmp_path / "log").exists, message="the job to run")
    (execution,) = job.get_executions()
    with pytest.raises(InvalidJobOperation, match="not in progress"):
        send_stop_execution_command(connection, job.id, "17")
    send_stop_execution_command(connection, job.id, execution.id)
    wait_for(job, "stopped")
    with pytest.raises(InvalidJobOperation, match="not in progress"):
        send_stop_execution_command(connection, job.id, execution.id)
    with pytest.raises(InvalidJobOperation):
        send_stop_execution_command(connection, "missing", "1")


def test_a_stop_that_comes_too_late_does_not_hit_the_next_execution(queue: Queue, connection: redis.Redis) -> None:
    job = queue.enqueue(samples.add, 1, retry=1)
    driver = Driver(Store(connection).open())
    first = driver.take()
    send_stop_execution_command(connection, job.id, str(first.execution))
    driver.end(first, "failed")  # it failed before its worker was reached
    second = driver.take()
    assert driver.beat(second) == ["go_on"]
    driver.end(second)
    assert job.is_finished
    driver.close()
