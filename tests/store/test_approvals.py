"""Approvals: they wait for a decision without a slot, and record who decided."""

import json

import pytest

from flowq import ids
from flowq.exceptions import InvalidJobOperation, NoSuchJobError
from flowq.flows.actions import approval, retry
from flowq.flows.explain.queue_state import read_queue_state
from flowq.flows.explain.why import explain
from flowq.flows.views.snapshot import read_snapshot, read_view
from flowq.plan import Action
from flowq.store import Store
from flowq.store.schema.outcomes import Outcome
from tests.support import graphs
from tests.support.graphs import Extra
from tests.support.run_driver import Drive
from tests.support.slot_driver import Driver

SHAPE: graphs.Shape = {"build": [], "sign": ["build"], "publish": ["sign"], "undo": {"sign": "failure"}}


def asked(store: Store, driver: Driver, **settings: object) -> str:
    """Return a run with a pending approval."""
    node = {"action": Action("approval", message="Publish?"), "timeout": 86400.0, **settings}
    run = graphs.run(store, SHAPE, extra=Extra(nodes={"sign": node}))
    driver.end(driver.take())
    (job,) = driver.tick().decide
    assert store.jobs.decide(job, "go_on", message="Publish 2026?") is Outcome.DONE
    return run


def decide(store: Store, run: str, *, approved: bool, name: str = "sign") -> None:
    approval.decide(store, run, graphs.plan_of_run(store, run), name, approval.Decision(approved, "ada", "looks good"))


def test_an_approved_job_records_who_decided(store: Store, driver: Driver) -> None:
    run = asked(store, driver)
    assert graphs.statuses(store, run)["sign"] == "deferred/approval"
    assert driver.claim() is None, "nothing is executed for it"
    assert approval.waiting(store, run, graphs.plan_of_run(store, run)) == ["sign"]
    decide(store, run, approved=True)
    assert Drive(store, driver, run).to_the_end() == ["publish"]
    view = next(job for job in read_view(store, run).jobs if job.name == "sign")
    assert view.approval is not None
    assert (view.approval.message, view.approval.by, view.approval.comment) == ("Publish 2026?", "ada", "looks good")
    ((_, value),) = store.runs.results(run, [1])
    assert json.loads(value or b"null")["by"] == "ada"
    assert graphs.statuses(store, run)["undo"] == "skipped/upstream_finished"


def test_a_rejected_job_fails(store: Store, driver: Driver) -> None:
    run = asked(store, driver)
    decide(store, run, approved=False)
    assert Drive(store, driver, run).to_the_end() == ["undo"]
    found = graphs.statuses(store, run)
    assert (found["sign"], found["publish"]) == ("failed/rejected", "skipped/upstream_failed")
    assert store.runs.errors(run, [1]) == [b"rejected by ada: looks good"]
    retry.plan_retry(store, run).apply(store)
    (job,) = driver.tick().decide
    store.jobs.decide(job, "go_on", message="Again?")
    view = next(job for job in read_view(store, run).jobs if job.name == "sign")
    assert view.approval is not None
    assert view.approval.by is None
    decide(store, run, approved=True)
    Drive(store, driver, run).to_the_end()
    assert str(store.runs.require(run).status) == "finished"


def test_an_approval_times_out(store: Store, driver: Driver) -> None:
    run = asked(store, driver)
    job = ids.member_id(run, 1)
    assert store.session.run("job/time_out_approval", job) == [b"wrong_state"]
    store.client.hset(store.session.keys("job", job), "asked_at", 1)
    store.client.zadd(store.session.keys("timers"), {f"lapse|{job}": 1}, xx=True)
    Drive(store, driver, run).to_the_end()
    assert graphs.statuses(store, run)["sign"] == "failed/rejected"
    assert store.runs.errors(run, [1]) == [b"the approval timed out after 86400 s and counts as rejected"]


def test_a_decision_counts_once(store: Store, driver: Driver) -> None:
    run = asked(store, driver)
    job, nonce = ids.member_id(run, 1), ids.nonce()
    assert store.session.run("job/approve", job, nonce, "approve", b"true", "ada", "") == [b"done"]
    assert store.session.run("job/approve", job, nonce, "approve", b"true", "ada", "") == [b"duplicate"]
    with pytest.raises(InvalidJobOperation, match="does not wait for a decision, it is finished"):
        decide(store, run, approved=False)
    Drive(store, driver, run).to_the_end()


def test_the_error_for_a_wrong_job_names_the_pending_approvals(store: Store, driver: Driver) -> None:
    run = asked(store, driver)
    with pytest.raises(InvalidJobOperation, match=r"'build' .* is no approval; waiting for a decision: sign"):
        decide(store, run, approved=True, name="build")
    with pytest.raises(NoSuchJobError, match=r"no job 'sing'; did you mean 'sign'\? waiting for a decision: sign"):
        decide(store, run, approved=True, name="sing")
    store.runs.cancel(run)
    driver.settle()
    assert graphs.statuses(store, run)["sign"] == "canceled/run_canceled"
    assert store.client.zcard(store.session.keys("timers")) == 1, "the run's collection, not the approval's time-out"


def test_why_shows_the_question(store: Store, driver: Driver) -> None:
    run = asked(store, driver)
    plan, _ = read_snapshot(store, run)
    view = read_view(store, run)
    cause = explain(plan, view, 1, read_queue_state(store, view))
    assert cause.text == "waits for an approval: Publish 2026?"
    assert "flowq approve" not in "".join(cause.details), "the command is among those to run next"
    store.runs.cancel(run)
    driver.settle()
