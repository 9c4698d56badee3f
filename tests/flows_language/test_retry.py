"""The retry of a run: what is reset, what keeps its result."""

from flowq.flows.retry import plan_retry
from tests.flows_language.lab import Lab, Started


def counted(name: str, failures: int = 0, **more: str) -> str:
    keys = "".join(f", {key}: {value}" for key, value in more.items())
    return f"  {name}: {{call: 'language_jobs:fail_until', args: [{name}.log, {failures}]{keys}}}\n"


def times(run: Started, lab: Lab, name: str) -> int:
    """How often a job ran."""
    path = lab.directory / f"{name}.log"
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_exactly_the_reset_set(lab: Lab) -> None:
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


def test_jobs_that_fail_fast_ended_run_again(lab: Lab) -> None:
    run = lab.start(
        "fail_fast: true\njobs:\n" + counted("bad", 1) + counted("late", delay="0.5") + counted("below", depends_on="late")
    ).ended()
    assert run.states()["late"].endswith("/fail_fast")
    run.retry().ended()
    assert run.status == "finished"
    assert {name: times(run, lab, name) for name in ("bad", "late", "below")} == {"bad": 2, "late": 1, "below": 1}


def test_a_canceled_run_goes_on(lab: Lab) -> None:
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


def test_a_retried_run_asks_again(lab: Lab) -> None:
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


def test_layers_of_fully_connected_pairs_are_as_quick_as_a_chain(lab: Lab) -> None:
    """There are 2^30 paths through this graph; whoever follows paths instead of jobs does not come back."""
    layers = "".join(
        f"  {side}{layer}: {{run: 'true', depends_on: [a{layer - 1}, b{layer - 1}]}}\n"
        for layer in range(1, 30)
        for side in "ab"
    )
    run = lab.run("jobs:\n" + counted("a0", 1) + counted("b0") + layers)
    assert run.status == "failed"
    assert len(plan_retry(lab.store, run.id).jobs) == 59, "all but b0"
    run.retry().ended()
    assert run.status == "finished"
    assert times(run, lab, "b0") == 1
