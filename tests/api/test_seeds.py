"""Every code block of the documents runs, with `flowq` in place of `rq`.

The tests provide what a document assumes: functions that it names without defining them, jobs with the ids that it fetches, and a
worker while the document waits.
"""

import doctest
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import redis

from flowq import Queue, Retry, Worker, get_current_job
from flowq.job import Job
from tests.api import samples
from tests.api.conftest import Background
from tests.api.seeds import SEEDS, Block, blocks

BLOCKS = blocks()

# Mistakes of the documents: the text, its correction, and why the text cannot run.
SLIPS = {
    "F3-3": ("count_words_at url", "count_words_at_url", "a blank in the middle of a name: not Python"),
    "F3-10": ("from rq import Queue\n", "from rq import Queue, Worker\n", "Worker is used without being imported"),
}
EXPECTED = {
    "F1-1": r"^42\n$",
    "F1-2": r"^42\n$",
    "F1-3": r"^\d{4}-.* \d\n$",
    "F3-1": r"^Job id: [0-9a-f-]{36}\n$",
    "F3-5": r"^Status: finished\n$",
    "F3-6": r"^Job foo_id: tests\.api\.samples\.add\nJob bar_id: tests\.api\.samples\.add\n$",
    "F4-2": r"^None\n889\n$",
    "F4-6": r"^0\n$",
    "F4-7": r"^7\n$",
}


@pytest.fixture
def here(connection: redis.Redis, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Return the names that a document assumes."""
    path = connection.connection_pool.connection_kwargs["path"]

    class Here(redis.Redis):
        """A client of the private server if no address is given, because the documents write `Redis()`."""

        def __init__(self, **settings: Any) -> None:
            super().__init__(**(settings or {"unix_socket_path": path}))

    monkeypatch.setattr(redis, "Redis", Here)
    monkeypatch.setattr(redis, "StrictRedis", Here)
    monkeypatch.setenv("FLOWQ_REDIS_URL", f"unix://{path}")
    monkeypatch.setattr("flowq.connections.stores._default", None)
    reader = os.getpid()
    monkeypatch.setattr(time, "sleep", lambda _seconds: work(connection) if os.getpid() == reader else None)
    (tmp_path / "somewhere.py").write_text("def count_words_at_url(url, **more):\n    return 889\n")
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package" / "__init__.py").touch()
    (tmp_path / "my_package" / "my_module.py").write_text("def my_func(x, y):\n    return x * y\n")
    (tmp_path / "requests.py").write_text("def get(url):\n    class Page:\n        text = 'one two three'\n    return Page\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    queue = Queue(connection=connection)
    for name in ("my_id", "my_job_id", "foo_id", "bar_id"):
        queue.enqueue(samples.add, 40, 2, job_id=name)
    work(connection)
    import somewhere  # type: ignore[import-not-found]

    names = ("mytask", "foo", "qux", "func_without_rv", "really_really_slow", "say_hello", "generate_report", "send_report")
    yield {
        **dict.fromkeys(names, samples.echo),
        "foo": samples.echo,
        "qux": 1,
        "func_without_rv": samples.nothing,
        "foo_job": samples.nothing,
        "fib": samples.fib,
        "q": queue,
        "queue": queue,
        "low": Queue("low", connection=connection),
        "redis": connection,
        "redis_conn": connection,
        "my_redis_conn": connection,
        "count_words_at_url": somewhere.count_words_at_url,
        "Queue": Queue,
        "Job": Job,
        "Retry": Retry,
        "Redis": Here,
        "time": time,
        "get_current_job": get_current_job,
        "return_retry": samples.return_retry,
        "sleep_for_10_seconds": samples.nothing,
    }
    for name in ("somewhere", "my_package", "my_package.my_module", "requests"):
        sys.modules.pop(name, None)


def work(connection: redis.Redis) -> None:
    """Run the worker that the documents assume."""
    Worker(["default", "high", "low"], connection=connection).work(burst=True)


def run(block: Block, names: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Execute a block as the body of a module, so that workers find the functions it defines."""
    wrong, right, _ = SLIPS.get(block.name, ("", "", ""))
    code = re.sub(r"\b(from|import) rq\b", r"\1 flowq", block.code.replace(wrong, right) if wrong else block.code)
    module = ModuleType(f"seed_{block.name.replace('-', '_')}")
    module.__dict__.update(names)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    if code.startswith(">>>"):
        test = doctest.DocTestParser().get_doctest(code, module.__dict__, block.name, None, None)
        assert doctest.DocTestRunner(verbose=False).run(test, clear_globs=False).failed == 0
    else:
        exec(compile(code, f"<{block.name}>", "exec"), module.__dict__)  # noqa: S102 - this is what is tested
    return module.__dict__


@pytest.mark.skipif(not SEEDS.is_dir(), reason="the documents are not there; FLOWQ_SEEDS names their folder")
@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "python"], ids=lambda block: block.name)
def test_a_block_runs(
    block: Block,
    here: dict[str, Any],
    connection: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    background: Callable[..., Background],
) -> None:
    if block.name == "F1-4":  # it waits for a result, so a worker must run meanwhile
        background(lambda: Worker(["default"], connection=connection))
    capsys.readouterr()
    names = run(block, here, monkeypatch)
    printed = capsys.readouterr().out
    assert re.search(EXPECTED.get(block.name, ""), printed), printed
    if block.name != "F3-10":
        work(connection)
    for queue in Queue.all(connection):
        assert len(queue.failed_job_registry) == 0, [
            job.exc_info for job in map(Job.fetch, queue.failed_job_registry.get_job_ids())
        ]
    if block.name == "F1-4":
        assert names["result"].type == names["result"].Type.SUCCESSFUL


@pytest.mark.skipif(not SEEDS.is_dir(), reason="the documents are not there; FLOWQ_SEEDS names their folder")
@pytest.mark.parametrize("name", ["F1-8", "F3-7", "F3-8", "F4-1"])
def test_functions_of_the_documents_can_be_jobs(
    name: str, here: dict[str, Any], connection: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = next(item for item in BLOCKS if item.name == name)
    names = run(block, here, monkeypatch)
    arguments: dict[str, tuple[Any, ...]] = {"F1-8": (1, 60), "F4-1": ("http://nvie.com",)}
    function = next(
        value for value in names.values() if callable(value) and getattr(value, "__module__", "").startswith("seed_")
    )
    job = Queue(connection=connection).enqueue(function, *arguments.get(name, (3, 4)))
    work(connection)
    if name == "F1-8":
        assert job.get_status() == "scheduled"
    else:
        assert job.result == (3 if name == "F4-1" else 7)


@pytest.mark.skipif(not SEEDS.is_dir(), reason="the documents are not there; FLOWQ_SEEDS names their folder")
def test_the_commands_of_the_documents_run(connection: redis.Redis) -> None:
    (block,) = [item for item in BLOCKS if item.language == "console"]
    queue = Queue("myqueue", connection=connection)
    for name in ("foo_job_id", "bar_job_id", "third"):
        queue.enqueue(samples.div_by_zero, 1, job_id=name)
    Worker([queue]).work(burst=True)
    path = connection.connection_pool.connection_kwargs["path"]
    left = []
    for line in block.code.splitlines():
        if line.startswith("rq "):
            argv = line.replace("redis://localhost:6379", f"unix://{path}").split()[1:]
            subprocess.run([sys.executable, "-m", "flowq.cli.main", *argv], check=True, capture_output=True)
            left.append((len(queue.failed_job_registry), len(queue)))
    assert left == [(1, 2), (0, 3)]


@pytest.mark.skipif(not SEEDS.is_dir(), reason="the documents are not there; FLOWQ_SEEDS names their folder")
def test_no_block_was_overlooked() -> None:
    counts = {document: sum(block.document == document for block in BLOCKS) for document in ("F0", "F1", "F2", "F3", "F4")}
    assert counts == {"F0": 4, "F1": 12, "F2": 4, "F3": 12, "F4": 9}
    for name, (wrong, _, _) in SLIPS.items():
        assert wrong in next(block.code for block in BLOCKS if block.name == name), "the slip is not there any more"
