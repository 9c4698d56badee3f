"""Fixtures for plain jobs: a queue on the private server, workers on it, and a check of the store's invariants after each test."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from flowq import Queue, Worker
from flowq.cli.main import run
from flowq.job import Job
from flowq.store import Store
from tests.support import invariants
from tests.support.slot_driver import Driver
from tests.support.wait import until


@pytest.fixture
def connection(redis_client: redis.Redis) -> redis.Redis:
    return redis_client


@pytest.fixture
def queue(connection: redis.Redis) -> Iterator[Queue]:
    queue = Queue(connection=connection)
    yield queue
    invariants.check(queue.store)


@pytest.fixture
def driver(queue: Queue) -> Iterator[Driver]:
    """A worker whose slots the test moves by hand."""
    driver = Driver(Store(queue.store.client).open())
    yield driver
    driver.close()


@pytest.fixture
def work(queue: Queue) -> Callable[..., None]:
    """Execute all queued jobs, in forked processes."""

    def run(*queues: Queue, **options: object) -> None:
        Worker(list(queues) or [queue]).work(burst=True, **options)  # type: ignore[arg-type]

    return run


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(connection: redis.Redis, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run `flowq` in this process and return exit code, output and errors. The import path is restored after the test."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("FLOWQ_REDIS_URL", f"unix://{connection.connection_pool.connection_kwargs['path']}")

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


class Background:
    """A worker in its own process, killed at the end of the test."""

    def __init__(self, make: Callable[[], Worker], **options: object) -> None:
        self.name = ""
        self._read, self._write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                os.setsid()
                worker = make()
                os.write(self._write, worker.name.encode())
                worker.work(**options)  # type: ignore[arg-type]
                code = 0
            finally:
                os._exit(code)
        os.close(self._write)
        self.name = os.read(self._read, 1000).decode()
        os.close(self._read)
        self.ended = False

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, timeout: float = 15) -> int:
        """Wait for the end and return the exit code."""

        def gone() -> tuple[int, int] | None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            return (pid, status) if pid else None

        _, status = until(gone, timeout=timeout, message="the worker did not end")  # type: ignore[misc]
        self.ended = True
        return os.waitstatus_to_exitcode(status)

    def close(self) -> None:
        if not self.ended:
            self.signal(signal.SIGKILL)
            self.wait()


@pytest.fixture
def background() -> Iterator[Callable[..., Background]]:
    started: list[Background] = []

    def start(make: Callable[[], Worker], **options: object) -> Background:
        started.append(Background(make, **options))
        return started[-1]

    yield start
    for item in started:
        item.close()


def wait_for(job: Job, *statuses: str, timeout: float = 10) -> None:
    """Wait until a job has one of the statuses."""
    until(lambda: job.get_status() in statuses, timeout=timeout, message=f"job {job.id} to be {' or '.join(statuses)}")


def lines(path: Path) -> list[str]:
    """Return the lines of a file that jobs append to."""
    return path.read_text().splitlines() if path.exists() else []
