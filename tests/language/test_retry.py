"""The retry of a run: reset jobs, and jobs that keep their results."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from flowq.compiler import compile_text
from flowq.exceptions import InvalidRunOperation
from flowq.flows.actions.reset import EndedRun
from flowq.flows.actions.retry import plan_retry, seeds_of
from flowq.states import JobStatus
from flowq.store.schema.records import JobRecord
from tests.language.lab import Lab, Started, plan_of


def counted(name: str, failures: int = 0, **more: str) -> str:
    keys = "".join(f", {key}: {value}" for key, value in more.items())
    return f"  {name}: {{call: 'language_jobs:fail_until', args: [{name}.log, {failures}]{keys}}}\n"


def times(run: Started, lab: Lab, name: str) -> int:
    """Return the number of executions of a job."""
    path = lab.directory / f"{name}.log"
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_exactly_the_failed_jobs_and_their_dependents_are_reset(lab: Lab) -> None:
    run = lab.run(
        "jobs:\n"
        + counted("root")
        + counted("bad", 1, depends_on="root")
        + counted("skipped", depends_on="bad")
        + counted("deeper", depends_on="skipped")
        + counted("done-edge", depends_on="{bad: done}")
        + counted("below-done", depends_on="done-edge")
        + counted("repair", depends_on="{bad: failure}")
        + "  own-choice: {if: false, run: 'true'}\n"
        + counted("free")
    )
    assert run.status == "failed"
    selected = dict(plan_retry(lab.store, run.id).jobs)
    assert selected == {
        "bad": "failed", "skipped": "skipped (upstream_failed)", "deeper": "skipped (upstream_skipped)",
        "done-edge": "depends on bad", "below-done": "depends on done-edge", "repair": "depends on bad",
    }  # fmt: skip
    run.retry().ended()
    assert run.status == "finished"
    names = ["root", "bad", "skipped", "deeper", "done-edge", "below-done", "repair", "free"]
    assert {name: times(run, lab, name) for name in names} == {
        "root": 1, "bad": 2, "skipped": 1, "deeper": 1, "done-edge": 2, "below-done": 2, "repair": 1, "free": 1,
    }  # fmt: skip
    assert lab.store.runs.require(run.id).attempt == 2


def test_jobs_canceled_by_fail_fast_run_again(lab: Lab) -> None:
    run = lab.start(
        "fail_fast: true\njobs:\n" + counted("bad", 1) + counted("late", delay="0.5") + counted("below", depends_on="late")
    ).ended()
    assert run.states()["late"].endswith("/fail_fast")
    run.retry().ended()
    assert run.status == "finished"
    assert {name: times(run, lab, name) for name in ("bad", "late", "below")} == {"bad": 2, "late": 1, "below": 1}


def test_a_canceled_run_is_continued(lab: Lab) -> None:
    run = lab.start(
        "jobs:\n" + counted("first") + "  second: {depends_on: first, call: 'language_jobs:wait_for', args: [go]}\n"
    )
    run.until_job("second", "started")
    lab.store.runs.cancel(run.id)
    assert run.ended().status == "canceled"
    (lab.directory / "go").write_text("on")
    run.retry().ended()
    assert run.status == "finished"
    assert times(run, lab, "first") == 1
    assert run.result("second") == "on"


def test_attempts_and_limits_apply_again(lab: Lab) -> None:
    run = lab.run("jobs:\n" + counted("a", 3, retry="1"))
    assert (run.status, times(run, lab, "a")) == ("failed", 2)
    run.retry().ended()
    assert (run.status, times(run, lab, "a")) == ("finished", 4)


def test_a_retried_run_needs_a_new_approval(lab: Lab) -> None:
    run = lab.start(
        "jobs:\n  ask: {approval: sure?}\n  after: {depends_on: ask, call: 'language_jobs:give', args: ['${{ run.attempt }}']}\n"
    )
    asked = run.until_job("ask", "deferred/approval")
    lab.store.jobs.reject(asked.id, b"no", by="ann")
    assert run.ended().status == "failed"
    run.retry()
    asked = run.until_job("ask", "deferred/approval")
    lab.store.jobs.approve(asked.id, b"{}", by="bob")
    assert run.ended().status == "finished"
    assert run.result("after") == 2


def test_a_stage_and_a_match_are_reset_with_their_cells(lab: Lab) -> None:
    run = lab.run(
        "stages: [one, two]\njobs:\n"
        "  cells: {stage: one, matrix: {v: [a, b], w: [x, y]}, call: 'language_jobs:fail_until', "
        "args: ['${{ matrix.v }}${{ matrix.w }}.log', \"${{ matrix.v == 'b' && matrix.w == 'x' ? 1 : 0 }}\"]}\n"
        "  match: {matrix: {v: [a, b]}, depends_on: {cells: {match: v}}, call: 'language_jobs:fail_until', args: ['m${{ matrix.v }}.log', 0]}\n"
        + counted("next", stage="two")
    )
    assert run.states()["match[v=a]"] == "finished"
    assert run.states()["match[v=b]"] == "skipped/upstream_failed"
    run.retry().ended()
    assert run.status == "finished"
    assert {name: times(run, lab, name) for name in ("ax", "ay", "bx", "by", "ma", "mb", "next")} == {
        "ax": 1, "ay": 1, "bx": 2, "by": 1, "ma": 1, "mb": 1, "next": 1,
    }  # fmt: skip


def test_an_allowed_failure_runs_again_only_if_no_finished_job_depends_on_it(lab: Lab) -> None:
    run = lab.run(
        "jobs:\n"
        + counted("lint", 1, allow_failure="true")
        + counted("check", 1, allow_failure="true")
        + counted("build", depends_on="check")
        + counted("ship", 1, depends_on="build")
        + counted("doubt", 1, allow_failure="true")
        + counted("below", depends_on="[doubt, ship]")
    )
    selected = dict(plan_retry(lab.store, run.id).jobs)
    assert selected == {
        "lint": "failed (allowed)", "ship": "failed", "doubt": "failed (allowed)", "below": "skipped (upstream_failed)",
    }, "check stays: build went on after it, and has finished"  # fmt: skip
    run.retry().ended()
    names = ["lint", "check", "build", "ship", "doubt", "below"]
    assert {name: times(run, lab, name) for name in names} == {
        "lint": 2, "check": 1, "build": 1, "ship": 2, "doubt": 2, "below": 1,
    }  # fmt: skip
    assert (run.status, run.warnings) == ("finished", 1)
    with pytest.raises(InvalidRunOperation, match="finished jobs depend on it"):
        plan_retry(lab.store, run.id)


def test_a_finished_run_is_not_retried(lab: Lab) -> None:
    run = lab.run(
        "jobs:\n  never: {if: false, run: 'true'}\n  below: {depends_on: never, run: 'true'}\n"
        "on_success:\n  tell: {run: 'true'}\n"
    )
    assert run.states()["below"] == "skipped/upstream_skipped"
    with pytest.raises(InvalidRunOperation, match="no job of it failed or was canceled"):
        plan_retry(lab.store, run.id)


def test_jobs_skipped_by_an_if_stay_skipped(lab: Lab) -> None:
    run = lab.run(
        "jobs:\n"
        + counted("bad", 1)
        + "  never: {if: false, run: 'true'}\n"
        + counted("below-never", depends_on="never")
        + counted("kept", depends_on="{below-never: done}")
        + counted("both", depends_on="[bad, never]")
        + counted("deeper", depends_on="both")
        + counted("anyhow", depends_on="{deeper: done}")
    )
    assert run.states()["both"].startswith("skipped/")
    retry = plan_retry(lab.store, run.id)
    assert dict(retry.jobs) == {"bad": "failed", "anyhow": "depends on deeper"}
    assert dict(retry.skipped) == {"both": "upstream_skipped", "deeper": "upstream_skipped"}
    run.retry().ended()
    states = run.states()
    assert {name: states[name] for name in ("never", "below-never", "both", "deeper")} == {
        "never": "skipped/if_false", "below-never": "skipped/upstream_skipped",
        "both": "skipped/upstream_skipped", "deeper": "skipped/upstream_skipped",
    }  # fmt: skip
    assert {name: times(run, lab, name) for name in ("bad", "kept", "anyhow")} == {"bad": 2, "kept": 1, "anyhow": 2}


def test_a_dependent_of_a_matrix_with_cells_that_are_skipped_again(lab: Lab) -> None:
    run = lab.run(
        "jobs:\n"
        + counted("bad", 1)
        + "  cells: {matrix: {n: [1, 2]}, depends_on: bad, if: \"${{ matrix.n == 1 }}\", run: 'true'}\n"
        + "  never: {if: false, run: 'true'}\n"
        + "  dead: {matrix: {n: [1, 2]}, depends_on: [bad, never], run: 'true'}\n"
        + counted("after", depends_on="{cells: ok}")
        + counted("after-dead", depends_on="dead")
    )
    retry = plan_retry(lab.store, run.id)
    assert [name for name, _ in retry.jobs] == ["bad", "cells[n=1]", "cells[n=2]", "after"]
    assert [name for name, _ in retry.skipped] == ["dead[n=1]", "dead[n=2]", "after-dead"]
    run.retry().ended()
    states = run.states()
    assert (states["after"], states["after-dead"]) == ("finished", "skipped/upstream_skipped")


def layers(width: int, depth: int) -> str:
    """Return a flow of layers, each job depending on the whole layer above; it has width ** depth paths."""
    text = "".join(f"  a{side}.0: {{call: 'nowhere:x'}}\n" for side in range(width))
    for layer in range(1, depth):
        above = ", ".join(f"a{side}.{layer - 1}" for side in range(width))
        text += "".join(f"  a{side}.{layer}: {{call: 'nowhere:x', depends_on: [{above}]}}\n" for side in range(width))
    return f"jobs:\n{text}"


def lines_executed(work: Callable[[], object]) -> int:
    """Return the number of lines of the retry's modules that a call executes."""
    count = 0

    def local(_frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal count
        count += event == "line"
        return local

    def trace(frame: FrameType, _event: str, _argument: object) -> Any:
        return local if frame.f_code.co_filename.endswith(("resets.py", "retry.py", "rules.py", "grown.py")) else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def test_layers_of_fully_connected_pairs_are_as_fast_as_a_chain() -> None:
    """Count steps instead of time: the cost per job and edge does not depend on the number of paths."""
    costs = {}
    for name, width, depth in (("pairs", 2, 30), ("chain", 1, 120), ("long pairs", 2, 300)):
        plan = plan_of(compile_text(layers(width, depth)))
        statuses = [JobStatus.FAILED if not cell.parents else JobStatus.SKIPPED for cell in plan.cells]
        records = [
            JobRecord(f"r-{ordinal}", status, "default", reason=None if status is JobStatus.FAILED else "upstream_failed")
            for ordinal, status in enumerate(statuses)
        ]
        run = EndedRun("r", 1, plan, plan, records)
        size = len(plan.cells) + sum(len(cell.parents) for cell in plan.cells)
        costs[name] = lines_executed(lambda run=run: run.retry(seeds_of(run))) / size  # type: ignore[misc]
    assert max(costs.values()) < 2 * min(costs.values()), costs


def test_a_graph_of_layers_is_retried_on_the_engine_in_linear_steps(lab: Lab) -> None:
    pairs = "".join(
        f"  {side}{layer}: {{run: 'true', depends_on: [a{layer - 1}, b{layer - 1}]}}\n"
        for layer in range(1, 30)
        for side in "ab"
    )
    run = lab.run("jobs:\n" + counted("a0", 1) + counted("b0") + pairs)
    assert run.status == "failed"
    assert len(plan_retry(lab.store, run.id).jobs) == 59, "all but b0"
    before = retried_steps(lab)
    run.retry().ended()
    assert run.status == "finished"
    assert times(run, lab, "b0") == 1
    changes = retried_steps(lab) - before
    assert changes < 60 * 40, f"{changes} writes for 60 jobs and 116 edges"


def retried_steps(lab: Lab) -> int:
    """Return the number of decremented edges and changed jobs so far: the writes that grow with edges and jobs."""
    stats: Any = lab.store.client.info("commandstats")
    return sum(int(stats.get(f"cmdstat_{name}", {}).get("calls", 0)) for name in ("hincrby", "hdel"))
