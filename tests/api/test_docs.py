"""The Python of the pages on the queue runs, page by page, the blocks in order."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis

from flowq import Queue, Worker
from flowq.connections import stores
from flowq.suspension import resume

DOCS = Path(__file__).parents[2] / "docs"
# "testing" is a separate project, see test_testing
PAGES = ("queues", "jobs", "results", "workers", "dependencies", "retries", "scheduling", "groups", "rate-limits", "webhooks")
TASKS = """
def resize(path, width=100):
    return f"{width}x{path}"

def describe(path, description):
    return description

def fail():
    raise ValueError("no")

def tell_all():
    return "told"

def clean_up():
    pass

def send_report(kind):
    pass

def tell_owner(job, connection, result):
    pass

def tell_support(job, connection, kind, value, trace):
    pass
"""


@pytest.fixture
def names(connection: redis.Redis, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    path = connection.connection_pool.connection_kwargs["path"]

    class Here(redis.Redis):
        """A client of the private server if no address is given, because the pages write `Redis()`."""

        def __init__(self, **settings: Any) -> None:
            super().__init__(**(settings or {"unix_socket_path": path}))

    monkeypatch.setattr(redis, "Redis", Here)
    monkeypatch.setenv("FLOWQ_REDIS_URL", f"unix://{path}")
    monkeypatch.setattr(stores, "_default", None)
    (tmp_path / "tasks.py").write_text(TASKS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "tasks", raising=False)
    return {"__name__": "a_page", "work": lambda: Worker(Queue.all(connection)).work(burst=True)}


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs(page: str, names: dict[str, Any]) -> None:
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    codes = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert codes
    for number, code in enumerate(codes, start=1):
        exec(compile(code, f"<{page}.md, block {number}>", "exec"), names)  # noqa: S102 - this is what is tested


@pytest.mark.parametrize("page", ["workers", "retries"])
def test_the_commands_of_a_page_run(page: str, names: dict[str, Any], connection: redis.Redis, tmp_path: Path) -> None:
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    commands = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    commands += [line for line in re.findall(r"`(flowq [^`]*)`", text) if "|" not in line]
    queue = Queue(connection=connection)
    for command in commands:
        argv = shlex.split(command, comments=True)[1:]
        queue.enqueue("tasks.fail", job_id=next((word for word in argv if re.fullmatch(r"[0-9a-f-]{36}", word)), None))
        if argv[0] == "worker":
            argv.append("--burst")
        else:
            Worker([queue]).work(burst=True)
        done = subprocess.run(
            [sys.executable, "-m", "flowq.cli.main", *argv],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(DOCS.parent)])},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (command, done.stderr)
        if argv[0] == "requeue":
            assert (len(queue), len(queue.failed_job_registry)) == (1, 0), command
        resume(connection)
        queue.delete()
    assert len(commands) > 1


def test_the_imports_on_the_moving_page_exist() -> None:
    (block,) = re.findall(
        r"^```diff\n(.*?)^```", (DOCS / "moving-from-rq.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    before, after = ([line[1:] for line in block.splitlines() if line[0] == sign] for sign in "-+")
    assert [line.replace("from rq", "from flowq") for line in before] == after
    for line in before + after:
        exec(line, {})  # noqa: S102 - this is what is tested


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_links_between_pages_exist(path: Path) -> None:
    for target in re.findall(r"\]\(([\w-]+\.md)\)", path.read_text(encoding="utf-8")):
        assert (DOCS / target).exists(), target
