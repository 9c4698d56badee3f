"""The examples that show how graphs grow and react."""

from pathlib import Path

import pytest

from tests.language.lab import Lab, Started

FLOWS = Path(__file__).resolve().parents[2] / "examples" / "flows"


def release(lab: Lab) -> Started:
    run = lab.start_file(FLOWS / "release.yaml", {"version": "1.2"})
    asked = run.until_job("consent", "deferred/approval")
    assert asked.approval is not None
    assert asked.approval.message == "Publish 1.2 (1.2: 3 words)?", "the job `links` of the part was skipped, which is `ok`"
    return run


def test_growing(lab: Lab) -> None:
    (lab.directory / "it's a file.txt").write_text("two words\n")
    (lab.directory / "b.txt").write_text("one two three")
    (lab.directory / "c.md").write_text("none of these")
    run = lab.start_file(FLOWS / "growing.yaml", {"directory": str(lab.directory), "pattern": "*.txt"}).ended()
    assert run.states() == dict.fromkeys(["find", "look[0]", "look[1]", "longest"], "finished")
    assert run.result("look") == [{"words": 3}, {"words": 2}]
    assert run.result("longest") == {"words": 3}


def test_growing_over_nothing_has_no_longest(lab: Lab) -> None:
    run = lab.start_file(FLOWS / "growing.yaml", {"pattern": "*.nothing"}).ended()
    assert run.status == "finished"
    assert run.states()["longest"] == "skipped/if_false"


def test_an_approved_release(lab: Lab) -> None:
    run = release(lab)
    lab.store.jobs.approve(run.job("consent").id, b"{}", by="ann")
    run.ended()
    assert run.status == "finished"
    states = run.states()
    assert {states["upload"], states["on_success/tell"], states["on_exit/clean"]} == {"finished"}
    assert states["withdraw"] == "skipped/upstream_finished"


@pytest.mark.parametrize("comment", ["", "not on a friday"])
def test_a_rejected_release(lab: Lab, comment: str) -> None:
    run = release(lab)
    lab.store.jobs.reject(run.job("consent").id, b"rejected", by="ann", comment=comment)
    run.ended()
    assert run.status == "failed"
    states = run.states()
    assert {states["withdraw"], states["on_failure/tell"], states["on_exit/clean"]} == {"finished"}
    assert states["upload"] == "skipped/upstream_failed"
    decided = run.job("consent").approval
    assert decided is not None
    assert (decided.by, decided.comment) == ("ann", comment)
