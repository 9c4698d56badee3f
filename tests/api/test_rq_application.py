"""An application written for RQ runs on flowq with only its imports changed, and behaves the same.

Both run on one server at the same time and do not touch each other's keys.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis

APPLICATION = Path(__file__).parent / "application"
ROOT = Path(__file__).parents[2]


def copy(folder: Path, package: str) -> Path:
    """Copy the application with its imports of `rq` changed to `package`."""
    folder.mkdir()
    for path in APPLICATION.glob("*.py"):
        text = re.sub(r"^from rq\b", f"from {package}", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        (folder / path.name).write_text(text, encoding="utf-8")
    return folder


def start(folder: Path, socket: str) -> subprocess.Popen[str]:
    env = {**os.environ, "APP_SOCKET": socket, "APP_LOG": str(folder / "log"), "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    return subprocess.Popen(
        [sys.executable, "app.py"], cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def outcome(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, error = process.communicate(timeout=90)
    assert process.returncode == 0, error[-3000:]
    seen: dict[str, Any] = json.loads(out.splitlines()[-1])
    return seen


def expected(seen: dict[str, Any]) -> None:
    """Assert the observations of the application, on either package."""
    assert seen["result"] == [12, "SUCCESSFUL", 12]
    assert seen["fetched"] == [
        "tasks.resize",
        [3],
        {"height": 4},
        "resize a picture",
        "default",
        {"user": 7, "progress": "done"},
    ]
    assert seen["chain"] == [{"day": "2026-01-31", "rows": 3}, "2026-01-31.pdf", "2026-01-31.html"]
    assert (seen["retried"], seen["retried later"], seen["asked again"][0]) == (3, 2, "MAX_RETRIES_EXCEEDED")
    assert (seen["groups"], seen["group without jobs"], seen["pictures"]) == (["album", "short"], ["album"], [0, 3, 6, 9])
    assert seen["limited"] == ["queued", "queued", "rate_limited", "rate_limited"]
    assert seen["limited after a cancel"] == ["canceled", "queued", "queued", "rate_limited"]
    assert (seen["limited counts"], seen["limits at the end"]) == ([2, True], [0, 0])
    assert [(job, status) for job, _, status, _ in seen["told"]] == [("told-1", "finished"), ("told-2", "failed")]
    assert seen["execution"] == [True, "the-worker", True]
    assert seen["log"].count("tick") == 11
    assert seen["log"].count("failed ValueError: no such customer") == 3
    assert "succeeded tasks.resize 2" in seen["log"]
    assert "stopped tasks.sleep" in seen["log"]
    assert (seen["made"], seen["made result"]) == ([True, True, 60, 3], 14)
    assert seen["arguments"] == [[[1], {"timeout": 2}]] * 2


def test_the_application_runs_on_flowq(redis_client: redis.Redis, tmp_path: Path) -> None:
    socket = redis_client.connection_pool.connection_kwargs["path"]
    expected(outcome(start(copy(tmp_path / "flowq-app", "flowq"), socket)))
    assert all(key.startswith(b"{flowq}:") for key in redis_client.scan_iter(count=1000))


@pytest.mark.slow
def test_both_observe_the_same_at_the_same_time(redis_client: redis.Redis, tmp_path: Path) -> None:
    socket = redis_client.connection_pool.connection_kwargs["path"]
    theirs = start(copy(tmp_path / "rq-app", "rq"), socket)
    ours = start(copy(tmp_path / "flowq-app", "flowq"), socket)
    seen, wanted = outcome(ours), outcome(theirs)
    expected(wanted)
    assert seen == wanted
    prefixes = {key.split(b":")[0] for key in redis_client.scan_iter(count=1000)}
    assert prefixes == {b"rq", b"{flowq}"}
