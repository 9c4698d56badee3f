"""`flowq.testing`, used by the tests of a separate project in another pytest process."""

import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text(encoding="utf-8")
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
    assert_passes(tmp_path, {"conftest.py": CONFTEST, "shop.py": SHOP, "test_shop.py": TESTS}, 4)


def test_the_project_of_the_page_passes_its_tests(tmp_path: Path) -> None:
    files = dict(re.findall(r"^<!-- file: (\S+) -->\n```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
    assert len(files) == PAGE.count("```python"), "a block without a file's name"
    assert_passes(tmp_path, files, sum(text.count("def test_") for text in files.values()))


def assert_passes(folder: Path, files: dict[str, str], count: int) -> None:
    for name, text in files.items():
        (folder / name).write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), str(folder)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"{count} passed" in done.stdout, done.stdout + done.stderr
