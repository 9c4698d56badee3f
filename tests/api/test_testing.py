"""`flowq.testing`, used by a project's own tests in a pytest of its own."""

import subprocess
import sys
from pathlib import Path

CONFTEST = 'pytest_plugins = ["flowq.testing"]\n'
SHOP = """
from flowq import Queue

outbox = []

def send(to):
    outbox.append(to)
    return len(outbox)

def fail():
    raise ValueError("no stamp")

def order(to):
    first = Queue().enqueue(send, to)
    return Queue("later").enqueue(send, to + "!", depends_on=first)
"""
TESTS = """
import pytest, shop
from flowq import Queue
from flowq.testing import JobsFailedError

def test_work_executes_what_follows_too(flowq_work):
    shop.outbox.clear()
    last = shop.order("ann")
    flowq_work()
    assert shop.outbox == ["ann", "ann!"]
    assert last.result == 2

def test_each_test_starts_empty(flowq_queue, flowq_work):
    assert len(flowq_queue) == 0
    assert Queue.all() == []
    assert flowq_work() == []

def test_only_some_queues_and_in_processes(flowq_work):
    shop.outbox.clear()
    last = shop.order("bob")
    flowq_work("default", forked=True)
    assert (shop.outbox, last.get_status()) == ([], "queued")

def test_a_failed_job_fails_the_test(flowq_queue, flowq_work):
    job = flowq_queue.enqueue(shop.fail)
    with pytest.raises(JobsFailedError, match="no stamp"):
        flowq_work()
    job.requeue()
    assert flowq_work(allow_failures=True) == [job]
"""


def test_the_fixtures_serve_a_projects_tests(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "test_shop.py").write_text(TESTS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "4 passed" in done.stdout, done.stdout + done.stderr
