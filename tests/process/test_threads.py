"""Workers that clone a program with threads: locks that a thread held at that moment stay locked in the clone."""

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from flowq import Queue, Worker
from flowq.worker.horse import horse
from flowq.worker.horse.entry import Entrance
from flowq.worker.supervisor import slot
from flowq.worker.supervisor.fork_servers import client
from tests.support.supervisor_stub import Stand, call
from tests.support.wait import until

ENTER = Entrance.enter
OPEN_STREAMS = horse.open_streams


@pytest.fixture
def lock() -> Iterator[Any]:
    """A lock that another thread holds until the end of the test."""
    held, over, one = threading.Event(), threading.Event(), threading.Lock()

    def hold() -> None:
        with one:
            held.set()
            over.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    yield one
    over.set()
    thread.join()


@pytest.fixture
def queue(redis_client: redis.Redis) -> Queue:
    return Queue(connection=redis_client)


@pytest.fixture
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slot, "_BEGIN_LIMIT", 0.6)


@pytest.mark.usefixtures("_soon")
def test_a_horse_that_does_not_begin_is_killed_with_a_reason(lock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def enter(*arguments: Any) -> None:
        ENTER(*arguments)
        lock.acquire()

    monkeypatch.setattr(Entrance, "enter", enter)
    with Stand(clone=True) as stand:
        before = time.monotonic()
        execution = stand.run(call("noop", timeout=0.1))  # the timeout has not started, because the job has not begun
        assert 0.6 <= time.monotonic() - before < 5
        assert execution.outcome["reason"] == "killed"
        assert re.match(
            r"the job's process did not begin within 0\.6 s and was killed: the program had \d+ other",
            execution.outcome["error"],
        )
        assert "a lock that one of them held stays locked in the copy" in execution.outcome["error"]
        assert execution.end is not None
        assert (execution.end.unstarted, execution.end.code) == (False, -signal.SIGKILL)
        assert not stand.fork_server.fresh()


@pytest.mark.usefixtures("_soon")
def test_a_horse_that_begins_late_has_its_full_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    def enter(*arguments: Any) -> None:
        ENTER(*arguments)
        until(lambda: time.monotonic() > late, timeout=30)

    late = time.monotonic() + 0.45
    monkeypatch.setattr(Entrance, "enter", enter)
    with Stand(clone=True, grace=0.05) as stand:
        assert stand.run(call("echo", 1, timeout=0.2)).outcome["outcome"] == "finished"
        assert stand.fork_server.fresh()


def test_a_copy_that_does_not_answer_fails_its_jobs(lock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def open_streams() -> None:
        lock.acquire()
        OPEN_STREAMS()

    monkeypatch.setattr(client, "_START_LIMIT", 0.3)
    monkeypatch.setattr(horse, "open_streams", open_streams)
    with Stand(clone=True) as stand:
        execution = stand.run(call("noop"))
        assert execution.outcome["error"].startswith(
            "the copy of the program that jobs are forked from did not answer within 0.3 s"
        )
        assert execution.end is not None
        assert not execution.end.unstarted


@pytest.mark.usefixtures("_soon")
def test_the_next_job_is_forked_from_a_new_copy(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock is held by chance: it is free when the second copy is made."""
    held, over, lock = threading.Event(), threading.Event(), threading.Lock()

    def hold() -> None:
        with lock:
            held.set()
            over.wait()

    def enter(*arguments: Any) -> None:
        ENTER(*arguments)
        with lock:
            pass

    def killed(*_: Any) -> None:
        over.set()
        thread.join()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    monkeypatch.setattr(Entrance, "enter", enter)
    first, second = queue.enqueue("operator.neg", 1), queue.enqueue("operator.neg", 2)
    Worker([queue], work_horse_killed_handler=killed).work(burst=True)
    latest = first.latest_result()
    assert latest is not None
    assert "did not begin within 0.6 s" in str(latest.exc_string)
    assert (first.get_status(), second.return_value()) == ("failed", -2)


PROGRAM = """
import logging, os, select, threading
from flowq.worker.horse import horse
from flowq.worker.horse.entry import Entrance

reading, writing = os.pipe()
os.dup2(writing, 2)
logging.basicConfig(format="%(message)s")

def log():
    while True:
        logging.warning("x" * 1000)

threading.Thread(target=log, daemon=True).start()
while select.select([], [writing], [], 0.1)[1]:
    pass  # until the thread is in the middle of a line, with every lock that it needs for that
pid = os.fork()
if pid == 0:
    os.dup2(1, 2)
    horse.open_streams()
    logging.warning("the child's line")
    os._exit(0)
os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_a_copy_can_log_although_a_thread_was_logging() -> None:
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM]  # a warning of the fork would go where nothing is read
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout) == (0, "the child's line\n")
