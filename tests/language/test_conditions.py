"""Every row of the table of conditions: the end of the parent x the condition of the edge. The expectations come from the page."""

import pytest

from flowq.states import Condition
from tests.language.lab import Lab

CONDITIONS = [str(condition) for condition in Condition]
RUNS = "finished"

PARENTS = {
    "finished": "{run: 'true'}",
    "failed": "{run: exit 3}",
    "allowed": "{run: exit 3, allow_failure: true}",
    "skipped": "{run: 'true', if: false}",
    "upstream-failed": "{run: 'true', depends_on: failed}",
    "matrix-finished": "{matrix: {v: [0, 1]}, run: 'true'}",
    "matrix-failed": "{matrix: {v: [0, 1]}, run: 'exit ${{ matrix.v }}'}",
    "matrix-skipped": "{matrix: {v: [0, 1]}, if: matrix.v > 5, run: 'true'}",
    "matrix-mixed": "{matrix: {v: [0, 1]}, if: matrix.v > 0, run: 'true'}",
    "matrix-allowed": "{matrix: {v: [0, 1]}, allow_failure: true, run: 'exit ${{ matrix.v }}'}",
    "foreach-finished": "{foreach: range(2), run: 'true'}",
    "foreach-failed": "{foreach: range(2), run: 'exit ${{ index }}'}",
    "foreach-skipped": "{foreach: range(2), if: false, run: 'true'}",
    "foreach-empty": "{foreach: range(0), run: 'true'}",
    "foreach-no-list": "{foreach: \"from_json('1')\", run: 'true'}",
    "flow-finished": "{flow: parts/two.yaml, params: {code: 0}}",
    "flow-failed": "{flow: parts/two.yaml, params: {code: 3}}",
    "flow-skipped": "{flow: parts/two.yaml, params: {code: 0}, if: false}",
    "join": "{depends_on: finished}",
}

FAILED = {"success": "upstream_failed", "ok": "upstream_failed", "failure": RUNS, "skipped": "upstream_failed", "done": RUNS}
FINISHED = {"success": RUNS, "ok": RUNS, "failure": "upstream_finished", "skipped": "upstream_finished", "done": RUNS}
SKIPPED = {"success": "upstream_skipped", "ok": RUNS, "failure": "upstream_skipped", "skipped": RUNS, "done": RUNS}
MIXED = {"success": "upstream_skipped", "ok": RUNS, "failure": "upstream_skipped", "skipped": "upstream_skipped", "done": RUNS}
CANCELED = {
    "success": "upstream_canceled",
    "ok": "upstream_canceled",
    "failure": "upstream_canceled",
    "skipped": "upstream_canceled",
    "done": RUNS,
}

EXPECTED = {
    "finished": FINISHED,
    "failed": FAILED,
    "allowed": FINISHED,
    "skipped": SKIPPED,
    "upstream-failed": SKIPPED,
    "matrix-finished": FINISHED,
    "matrix-failed": FAILED,
    "matrix-skipped": SKIPPED,
    "matrix-mixed": MIXED,
    "matrix-allowed": FINISHED,
    "foreach-finished": FINISHED,
    "foreach-failed": FAILED,
    "foreach-skipped": SKIPPED,
    "foreach-empty": FINISHED,
    "foreach-no-list": FAILED,
    "flow-finished": FINISHED,
    "flow-failed": FAILED,
    "flow-skipped": SKIPPED,
    "join": FINISHED,
}


def children(parent: str) -> str:
    return "".join(f"  c-{condition}: {{depends_on: {{{parent}: {condition}}}, run: 'true'}}\n" for condition in CONDITIONS)


def below(states: dict[str, str]) -> dict[str, str]:
    """Return the ends of the five children: that they ran, or why not."""
    return {condition: state.removeprefix("skipped/") for condition in CONDITIONS for state in [states[f"c-{condition}"]]}


def needed(parent: str) -> str:
    """Return the definition of a parent and of its own dependencies."""
    others = {"upstream-failed": ["failed"], "join": ["finished"]}.get(parent, [])
    return "".join(f"  {name}: {PARENTS[name]}\n" for name in (*others, parent))


@pytest.mark.parametrize("parent", PARENTS)
def test_row(lab: Lab, parent: str) -> None:
    run = lab.run(f"jobs:\n{needed(parent)}{children(parent)}")
    assert below(run.states()) == EXPECTED[parent]
    failed = "failed" in parent or parent == "foreach-no-list"
    assert run.status == ("failed" if failed else "finished"), "a failure never turns into something that looks like success"


def test_a_canceled_parent(lab: Lab) -> None:
    run = lab.start(f"jobs:\n  parent: {{run: 'true', delay: 1h}}\n{children('parent')}")
    lab.store.jobs.cancel(run.until_job("parent", "scheduled").id)
    run.ended()
    assert below(run.states()) == CANCELED
    assert run.status == "canceled"


def test_a_stopped_parent(lab: Lab) -> None:
    run = lab.start(f"jobs:\n  parent: {{call: 'language_jobs:wait_for', args: [never]}}\n{children('parent')}")
    lab.store.jobs.stop(run.until_job("parent", "started").id)
    run.ended()
    assert below(run.states()) == FAILED
    assert run.states()["parent"].startswith("stopped")


@pytest.mark.parametrize("condition", CONDITIONS)
def test_all_edges_must_hold(lab: Lab, condition: str) -> None:
    """With one parent of each kind, the edge that cannot hold decides, whatever the others are."""
    run = lab.run(
        "jobs:\n"
        f"  good: {PARENTS['finished']}\n  bad: {PARENTS['failed']}\n"
        f"  child: {{depends_on: {{good: {condition}, bad: {condition}}}, run: 'true'}}\n"
    )
    expected = {"success": "upstream_failed", "ok": "upstream_failed", "failure": "upstream_finished", "done": RUNS}
    found = run.states()["child"].removeprefix("skipped/")
    if condition == "skipped":
        assert found in ("upstream_finished", "upstream_failed"), "both cannot hold; the first to end decides"
    else:
        assert found == expected[condition]


def test_skips_propagate_until_an_edge_holds(lab: Lab) -> None:
    run = lab.run(
        """
        jobs:
          a: {run: exit 1}
          b: {run: 'true', depends_on: a}
          c: {run: 'true', depends_on: b}
          d: {run: 'true', depends_on: {c: ok}}
          e: {run: 'true', depends_on: d}
        """
    )
    assert run.states() == {
        "a": "failed/error", "b": "skipped/upstream_failed", "c": "skipped/upstream_skipped", "d": RUNS, "e": RUNS,
    }  # fmt: skip
    assert run.status == "failed"


def test_if_does_not_imply_success(lab: Lab) -> None:
    run = lab.run(
        """
        jobs:
          a: {run: exit 1}
          b: {run: 'true', depends_on: a, if: true}
          c: {run: 'true', depends_on: {a: done}, if: jobs.a.status == 'failed'}
          d: {run: 'true', depends_on: {a: done}, if: jobs.a.status == 'finished'}
          e: {run: 'true', depends_on: {d: skipped}}
        """
    )
    assert run.states() == {
        "a": "failed/error", "b": "skipped/upstream_failed", "c": RUNS, "d": "skipped/if_false", "e": RUNS,
    }  # fmt: skip
