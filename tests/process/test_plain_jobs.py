"""Plain jobs without rare options: a horse executes them by a shorter way, which tells the same ends as the long one."""

import builtins
import os
import pickle
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from flowq.worker.horse import callbacks, plain
from tests.process.modules import plain_jobs
from tests.support.supervisor_stub import MODULES, Stand, task

MODULE = "plain_jobs"


def plain_task(name: str, *args: object, **fields: Any) -> dict[str, Any]:
    """Return the task of a plain job that calls a function."""
    payload = pickle.dumps((name, args, {}))
    return task("pickle", payload=payload, path=[MODULES], **fields)


@pytest.fixture(scope="module")
def stand() -> Iterator[Stand]:
    """A fork server that has imported what the short way needs."""
    with Stand(preload=("pickle", "process_jobs", MODULE)) as one:
        yield one


JOBS = [
    plain_task("process_jobs.echo", {"a": [1]}),
    plain_task("process_jobs.Maker.make", 5),
    plain_task("process_jobs.later", 7),
    plain_task("process_jobs.retry_me"),
    plain_task("process_jobs.say", "a line\nand no end"),
    plain_task("process_jobs.leave", 3),
    plain_task("process_jobs.leave", "bye"),
    plain_task("process_jobs.recurse"),
    plain_task("process_jobs.fail", "no luck"),
    plain_task("process_jobs.fail_badly"),
    plain_task("process_jobs.nothing_there"),
    plain_task("process_jobs.os.name"),
    plain_task("process_jobs.Maker.nothing"),
    plain_task("process_jobs"),
    plain_task("no_such_module.function"),
    plain_task("__class__"),
    plain_task("len", [1, 2]),
    plain_task("process_jobs.echo"),
    plain_task("process_jobs.echo", "x" * 2000, limit=1000),
    plain_task("process_jobs.swallow", os.devnull, timeout=0.2),
    plain_task("process_jobs.swallow_exceptions", os.devnull, timeout=0.2),
    plain_task("process_jobs.block", os.devnull, timeout=0.2),
    plain_task("process_jobs.environment", "FLOWQ_JOB_ID", "FLOWQ_RUN_ID", "FLOWQ_ATTEMPT", attempt=3),
    plain_task("process_jobs.current_job_id"),
    plain_task(f"{MODULE}.unpicklable"),
    plain_task(f"{MODULE}.fork_and_return"),
    plain_task(f"{MODULE}.fork_and_raise"),
    plain_task(f"{MODULE}.lose_streams"),
    plain_task(f"{MODULE}.close_streams"),
    plain_task(f"{MODULE}.alarm"),
    plain_task(f"{MODULE}.alarm", timeout=None),
    plain_task(f"{MODULE}.write", "no newline"),
    task("pickle", payload=b"\x80\x04 no pickle", path=[MODULES]),
    task("pickle", payload=pickle.dumps((1, 2)), path=[MODULES]),
]


@pytest.mark.parametrize("job", JOBS, ids=range(len(JOBS)))
def test_both_ways_tell_the_same_end(stand: Stand, job: dict[str, Any]) -> None:
    short, long = stand.run(job), stand.run(job | {"allow": ["*"]})
    for execution in (short, long):
        if "error" in execution.outcome:
            execution.outcome["error"] = re.sub(r"repeated \d+ more", "repeated", execution.outcome["error"])
    assert short.outcome == long.outcome
    assert (short.output(), short.output("err")) == (long.output(), long.output("err"))


def test_which_way_a_job_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaced parts of the execution, hooks and rare options take the long way."""
    monkeypatch.setattr(plain, "_modules", {**sys.modules, "pickle": pickle})
    monkeypatch.setattr(sys, "path", [*sys.path])
    job = plain_task("builtins.bool")
    executed = plain.execute(job)
    assert executed is not None
    assert pickle.loads(executed["value"]) is False  # noqa: S301 - made above
    for option in ("allow", "on_success", "on_failure", "serializer", "cache", "hooks", "sync"):
        assert plain.execute(job | {option: "x"}) is None
    assert plain.execute(job | {"kind": "call"}) is None
    former = callbacks.install(callbacks.Hooks(handlers=[print]))
    try:
        assert plain.execute(job) is None
    finally:
        callbacks.install(former)
    monkeypatch.setattr("flowq.job.Job.perform", lambda _job: None)
    assert plain.execute(job) is None


def test_a_patch_of_jobs_that_comes_with_the_arguments_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    job = plain_task("builtins.bool", plain_jobs.Patches())
    modules = {"pickle": pickle, "builtins": builtins}
    monkeypatch.setattr(plain, "_modules", modules)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(plain_jobs, "patch", lambda: modules.update({"flowq.job": sys.modules["flowq.job"]}))
    monkeypatch.setattr(callbacks, "performer", lambda _task: lambda: "by the patch")
    outcome = plain.execute(job)
    assert outcome is not None
    assert pickle.loads(outcome["value"]) == "by the patch"  # noqa: S301 - made above
