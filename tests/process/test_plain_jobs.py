"""Calls without rare options: a horse executes them by a shorter way, which tells the same ends as the long one."""

import builtins
import marshal
import os
import pickle
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import flowq.job
from flowq.jobs import context
from flowq.worker.fork_server import rehearsal
from flowq.worker.horse import callbacks, plain
from flowq.worker.ipc.short_form import LENGTH, restored, shortened
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


def flow_task(attribute: str, *args: object, module: str = "process_jobs", **fields: Any) -> dict[str, Any]:
    """Return the task of a call in a flow."""
    return task("call", module=module, attribute=attribute, args=list(args), kwargs={}, path=[MODULES], **fields)


CALLS = [
    flow_task("echo", {"a": [1, None]}),
    flow_task("echo", None),
    flow_task("Maker.nothing"),
    flow_task("later", 7),
    flow_task("retry_me"),
    flow_task("say", "a line\nand no end"),
    flow_task("leave", 3),
    flow_task("fail", "no luck"),
    flow_task("fail_badly"),
    flow_task("nothing_there"),
    flow_task("bool", module="builtins"),
    flow_task("__class__", module="no_such_module"),
    flow_task("echo", "x" * 2000, limit=1000),
    flow_task("swallow", os.devnull, timeout=0.2),
    flow_task("block", os.devnull, timeout=0.2),
    flow_task("environment", "A", "FLOWQ_JOB_NAME", "FLOWQ_RUN_ID", "TRACEPARENT", env={"A": "ä"}, traceparent="00-1-2-01"),
    flow_task("current_job_id"),
    flow_task("os.getcwd", cwd="/usr"),
    flow_task("os.getcwd", cwd="/no/such/directory"),
    flow_task("unpicklable", module=MODULE),
    flow_task("fork_and_return", module=MODULE),
    flow_task("close_streams", module=MODULE),
]


@pytest.mark.parametrize("job", JOBS + CALLS, ids=range(len(JOBS + CALLS)))
def test_both_ways_tell_the_same_end(stand: Stand, job: dict[str, Any]) -> None:
    assert shortened(1, job) is not None
    long_way = {"allow": ["*"]} if job["kind"] == "pickle" else {"note": ""}
    short, long = stand.run(job), stand.run(job | long_way)
    for execution in (short, long):
        if "error" in execution.outcome:
            execution.outcome["error"] = re.sub(r"repeated \d+ more", "repeated", execution.outcome["error"])
    assert short.outcome == long.outcome
    assert (short.output(), short.output("err")) == (long.output(), long.output("err"))
    assert b"broke" not in short.output("err")


def test_which_way_a_job_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaced parts of the execution, hooks and rare options take the long way."""
    job = plain_task("builtins.bool")
    for option in ("allow", "artifacts", "cache", "fetch", "hooks", "on_failure", "on_success", "serializer", "sync"):
        assert not plain.suits(job | {option: "x"})
        assert shortened(1, job | {option: "x"}) is None
    for kind in ("argv", "shell"):
        assert not plain.suits(job | {"kind": kind})
        assert shortened(1, job | {"kind": kind}) is None
    assert plain.suits(job)
    assert rehearsal.sample()
    former = callbacks.install(callbacks.Hooks(handlers=[print]))
    try:
        assert not plain.suits(job)
        assert not rehearsal.sample()
    finally:
        callbacks.install(former)
    monkeypatch.setattr("flowq.job.Job.perform", lambda _job: None)
    assert not plain.suits(job)
    assert not rehearsal.sample()


@pytest.mark.parametrize("job", JOBS + CALLS, ids=range(len(JOBS + CALLS)))
def test_a_short_form_can_be_restored(job: dict[str, Any]) -> None:
    short = shortened(7, job)
    assert short is not None
    assert len(short) == LENGTH
    assert short[0] == 7
    assert restored(marshal.loads(marshal.dumps(short))) == job  # noqa: S302 - made above


def test_variables_that_cannot_be_encoded_travel_in_the_long_form() -> None:
    assert shortened(1, flow_task("echo", env={"A": "\ud800"})) is None


@pytest.mark.not_on("batch", "jobs that share a process take the long way")
@pytest.mark.parametrize(("job", "option"), [(plain_task, {"allow": ["*"]}), (flow_task, {"note": ""})])
def test_a_horse_takes_the_short_way_where_it_can(stand: Stand, job: Any, option: dict[str, Any]) -> None:
    usual = job(f"{MODULE}.steps") if job is plain_task else job("steps", module=MODULE)
    ways = [stand.run(one).outcome["value"].decode("latin-1") for one in (usual, usual | option)]
    assert ["serve_short" in way for way in ways] == [True, False]


def test_the_task_of_a_short_form_is_known_to_its_job(stand: Stand) -> None:
    job = plain_task("process_jobs.current_job_id", id="r-77")
    assert shortened(1, job) is not None
    assert pickle.loads(stand.run(job).outcome["value"]) == "r-77"  # noqa: S301 - made above


def test_a_patch_of_jobs_that_comes_with_the_arguments_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    job = plain_task("builtins.bool", plain_jobs.Patches())
    modules = {"pickle": pickle, "builtins": builtins}
    monkeypatch.setattr(plain, "_modules", modules)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(plain_jobs, "patch", lambda: modules.update({"flowq.job": flowq.job}))
    monkeypatch.setattr(callbacks, "performer", lambda _task: lambda: "by the patch")
    monkeypatch.setattr(context, "_current", job)
    outcome = plain.execute("pickle", job["payload"], 0.0, 1000)
    assert isinstance(outcome, bytes)
    assert pickle.loads(outcome) == "by the patch"  # noqa: S301 - made above
