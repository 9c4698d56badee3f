"""Queues of the cells of a matrix: real workers, each of which serves one of them."""

import dataclasses
from pathlib import Path

import pytest

from flowq.compiler import compile_file, compile_text, render
from flowq.flows.actions.retry import plan_retry
from flowq.flows.actions.submit import run_fields
from flowq.flows.explain.queue_state import read_queue_state
from flowq.flows.explain.why import explain
from flowq.flows.local_worker.worker import needed_queues, stored_queues
from flowq.flows.views.run_summary import read_summary
from flowq.flows.views.snapshot import read_view
from flowq.plan import Json, Plan
from flowq.states import Reason
from flowq.store import Store
from tests.support import workers
from tests.support.server import PrivateServer
from tests.support.wait import until
from tests.support.workers import WorkerProcess

FLOW = """
concurrency: {group: one}
stages: [build, check]
jobs:
  build:
    stage: build
    matrix: {os: [linux, macos], n: [1, 2]}
    queue: "${{ matrix.os }}"
    run: |
      [ "$SERVES" = "${{ matrix.os }}" ] || exit 7
      echo "$SERVES ${{ matrix.n }}" >> ran
      if [ "${{ matrix.os }} ${{ matrix.n }}" = "macos 2" ]; then [ -e mended ]; fi
  check:
    stage: check
    matrix: {os: [linux, macos]}
    queue: "${{ matrix.os }}"
    run: echo "$SERVES check" >> ran; [ "$SERVES" = "${{ matrix.os }}" ]
"""
BUILDS = ["linux 1", "linux 2", "macos 1", "macos 2"]


def compiled(text: str, params: dict[str, Json] | None = None) -> Plan:
    result = compile_text(text, params=params or {}, name="flow.yaml")
    assert result.plan is not None, "\n".join(map(render, result.diagnostics))
    return result.plan


def serving(server: PrivateServer, queue: str, *arguments: str) -> WorkerProcess:
    """A worker of one queue, whose name its jobs see."""
    return WorkerProcess(server.url, queue, *arguments, env={"SERVES": queue})


def queues(store: Store, run: str) -> dict[str, str]:
    return {job.name: job.queue for job in read_view(store, run).jobs}


def test_each_worker_executes_the_cells_of_its_queue(store: Store, server: PrivateServer, tmp_path: Path) -> None:
    run = workers.start(store, compiled(FLOW), tmp_path)
    ran = tmp_path / "ran"
    with serving(server, "linux", "-c", "2"):
        until(lambda: ran.exists() and sorted(ran.read_text().splitlines()) == BUILDS[:2])
        waiting = {job.name: job.reason for job in read_view(store, run).jobs if str(job.status) == "queued"}
        assert waiting == dict.fromkeys(["build[os=macos,n=1]", "build[os=macos,n=2]"], Reason.NO_WORKER)
        with serving(server, "macos"):
            workers.ended(store, run)
        assert sorted(ran.read_text().splitlines()) == BUILDS
        (tmp_path / "mended").touch()
        plan_retry(store, run).apply(store)
        with serving(server, "macos"):
            workers.ended(store, run)
    assert str(store.runs.require(run).status) == "finished"
    assert sorted(ran.read_text().splitlines()) == sorted([*BUILDS, "macos 2", "linux check", "macos check"])
    assert queues(store, run) == {
        **{f"build[os={word.split()[0]},n={word.split()[1]}]": word.split()[0] for word in BUILDS},
        "check[os=linux]": "linux", "check[os=macos]": "macos",
    }  # fmt: skip


def test_readers_know_the_queue_of_each_cell(store: Store, tmp_path: Path) -> None:
    """Nothing serves them: a summary, an explanation and a run's place in its group name the queues, and no other one."""
    plan = compiled(FLOW)
    run = workers.start(store, plan, tmp_path)
    summary = read_summary(store, store.runs.require(run))
    assert {job.queue for job in summary.run.jobs} == {"linux", "macos"}, "one job of each queue without a worker"
    assert run_fields(plan, local=False, queue_prefix="", labels={})["queues"] == "linux\nmacos", (
        "a run waits for their workers"
    )
    view = read_view(store, run)
    around = read_queue_state(store, view)
    for job in view.jobs[:4]:
        assert explain(plan, view, job.ordinal, around).text == f"no worker listens on queue {job.queue}"


def test_the_worker_of_a_local_run_serves_all_queues_of_its_cells() -> None:
    plan = compiled(FLOW)
    assert needed_queues(plan) == ["linux", "macos"]
    assert stored_queues(plan, "r") == ["r/linux", "r/macos"]
    cells = [
        dataclasses.replace(cell, selected=cell.matrix is not None and cell.matrix["os"] == "macos") for cell in plan.cells
    ]
    assert needed_queues(dataclasses.replace(plan, cells=tuple(cells))) == ["macos"]


RELOADED = """
jobs:
  m:
    matrix: {os: [linux, macos, win]}
    queue: "${{ matrix.os }}"
    run: 'echo "$SERVES" >> "ran-${{ matrix.os }}"; [ "${{ matrix.os }}" = linux ]'
  other: {matrix: {os: [linux, macos]}, queue: "${{ matrix.os }}", run: 'true'}
"""


@pytest.mark.parametrize("queue", ["new-${{ matrix.os }}", "one"])
def test_a_retry_with_the_present_text_takes_its_queues(
    store: Store, server: PrivateServer, tmp_path: Path, queue: str
) -> None:
    file = tmp_path / "flow.yaml"
    file.write_text(RELOADED)
    first = compile_file(file).plan
    assert first is not None
    run = workers.start(store, first, tmp_path)
    with WorkerProcess(server.url, "linux", "macos", "win", env={"SERVES": "old"}):
        workers.ended(store, run)
    file.write_text(RELOADED.replace("${{ matrix.os }}", queue, 1).replace("= linux ]'", "!= none ]'").replace(
        "${{ matrix.os }}\", run: 'true'", "later\", run: 'true'"))  # fmt: skip
    fresh = compile_file(file).plan
    assert fresh is not None
    plan_retry(store, run, fresh).apply(store)
    names = {os_: queue.replace("${{ matrix.os }}", os_) for os_ in ("macos", "win")}
    kept = {"m[os=linux]": "linux", "other[os=linux]": "linux", "other[os=macos]": "macos"}
    assert queues(store, run) == {**kept, **{f"m[os={os_}]": name for os_, name in names.items()}}
    with WorkerProcess(server.url, *sorted(set(names.values())), env={"SERVES": "new"}):
        workers.ended(store, run)
    assert str(store.runs.require(run).status) == "finished"
    ran = {os_: (tmp_path / f"ran-{os_}").read_text().split() for os_ in ("linux", "macos", "win")}
    assert ran == {"linux": ["old"], "macos": ["old", "new"], "win": ["old", "new"]}
