"""Tracebacks of functions in the output, `logs`, `why` and JSON of real runs."""

import json
from pathlib import Path

import pytest

from tests.cli import process

MODULE = """
import asyncio, json, os, sys, time

def load(text):
    return json.loads(text)

def chained():
    print("begun")
    try:
        load("{nope")
    except ValueError as error:
        raise RuntimeError("cannot read the config") from error

def late():
    while True:
        time.sleep(0.01)

async def part():
    raise KeyError("lost")

async def several():
    async with asyncio.TaskGroup() as group:
        group.create_task(part())

def secret():
    raise ValueError("token " + os.environ["TOKEN"])

def closed():
    os.close(2)
    raise ValueError("unseen")

def unprintable():
    raise ValueError("half \\ud800 and \\x1b[2J")

def leaves():
    sys.exit(3)
"""
FLOW = """
secrets: {TOKEN: {env: TOKEN}}
jobs:
  chained: {call: steps:chained, retry: {max: 1, interval: 0s}}
  late: {call: steps:late, timeout: 2s}
  several: {call: steps:several}
  secret: {call: steps:secret, secrets: [TOKEN]}
  closed: {call: steps:closed}
  unprintable: {call: steps:unprintable}
  leaves: {call: steps:leaves}
"""


@pytest.fixture
def project(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    assert home.is_dir()
    monkeypatch.setenv("TOKEN", "hunter2hunter2")
    (tmp_path / "flow.yaml").write_text(FLOW)
    (tmp_path / "steps.py").write_text(MODULE)
    return tmp_path


def flowq(project: Path, *arguments: str) -> str:
    """Run a command; return its standard output."""
    return process.flowq(*arguments, cwd=project).stdout


def test_tracebacks_of_real_runs(project: Path) -> None:
    printed = flowq(project, "run", "flow.yaml")
    logs = {name: flowq(project, "logs", "@latest", name) for name in ("chained", "late", "several", "secret", "unprintable")}

    chained = logs["chained"]
    assert chained.count("begun\nTraceback (most recent call last):") == 2, "the end of the log of each attempt"
    assert chained.endswith("RuntimeError: cannot read the config\n")
    assert "The above exception was the direct cause" in chained
    assert "flowq/worker" not in chained
    assert "chained | RuntimeError: cannot read the config" in printed
    assert "  │ RuntimeError: cannot read the config" in printed

    assert 'steps.py", line 16, in late' in logs["late"], "where the time was over"
    assert "KeyError: 'lost'" in logs["several"]
    assert "flowq/worker" not in logs["several"]
    assert "ValueError: token ***" in logs["secret"]
    assert "hunter2" not in printed + logs["secret"]
    assert logs["unprintable"].endswith("ValueError: half \\ud800 and\n"), "control sequences are dropped"
    assert flowq(project, "logs", "@latest", "leaves") == "", "`sys.exit` has no traceback"
    assert flowq(project, "logs", "@latest", "closed") == ""

    jobs = {job["name"]: job for job in json.loads(flowq(project, "status", "--json"))["jobs"]}
    assert jobs["chained"]["error"] in chained
    assert "ValueError: unseen" in jobs["closed"]["error"]

    why = flowq(project, "why", "chained")
    assert f"raised at {project}/steps.py:12 in chained" in why
    assert f"caused by json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1), raised at {project}/steps.py:5 in load (from " in why  # fmt: skip
    several = flowq(project, "why", "several")
    assert "several failed: ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)" in several
