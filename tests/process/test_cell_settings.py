"""`timeout` and `allow_failure` of the cells of a matrix: real workers keep them, and what the user is shown agrees."""

import json
from pathlib import Path

import pytest

from flowq.cli.render.plan_table import plan_json
from flowq.flows.actions.retry import plan_retry
from flowq.flows.actions.submit import submit
from flowq.flows.explain.queue_state import read_queue_state
from flowq.flows.explain.why import explain
from flowq.flows.forecast.history import History
from flowq.flows.forecast.outcomes import predict_ends
from flowq.flows.views.run_view import JobView
from flowq.flows.views.snapshot import read_view
from flowq.plan import PLAN_VERSION, Plan
from flowq.plan import plan as plans
from flowq.plan.plan import PlanVersionError
from flowq.store import Store
from tests.process.test_cell_queues import compiled
from tests.support import workers
from tests.support.server import PrivateServer
from tests.support.slot_driver import Driver
from tests.support.workers import WorkerProcess

FLOW = """
jobs:
  limited:
    matrix: {n: [1, 2], include: [{n: 3, limit: 0.3s}]}
    timeout: ${{ matrix.limit ?? '1m' }}
    run: '[ ${{ matrix.n }} != 3 ] || sleep 30'
    stop_grace: 0.1s
    allow_failure: ${{ matrix.n == 3 }}
  may:
    matrix: {n: [1, 2]}
    allow_failure: ${{ matrix.n == 2 }}
    run: '[ -e mended ]'
  after: {depends_on: {limited: success}, run: 'true'}
"""


def jobs(store: Store, run: str) -> dict[str, JobView]:
    return {job.name: job for job in read_view(store, run).jobs}


def test_each_cell_has_its_own(store: Store, server: PrivateServer, tmp_path: Path) -> None:
    plan = compiled(FLOW)
    run = workers.start(store, plan, tmp_path)
    with WorkerProcess(server.url, "-c", "2"):
        workers.ended(store, run)
        found = jobs(store, run)
        assert {name: (str(job.status), job.reason, job.allowed) for name, job in found.items()} == {
            "limited[n=1]": ("finished", None, False),
            "limited[n=2]": ("finished", None, False),
            "limited[n=3,limit=0.3s]": ("failed", "timeout", True),
            "may[n=1]": ("failed", "error", False),
            "may[n=2]": ("failed", "error", True),
            "after": ("finished", None, False),
        }
        assert str(store.runs.require(run).status) == "failed", "for may[n=1] alone"
        late = next(cell.ordinal for cell in plan.cells if cell.name == "limited[n=3,limit=0.3s]")
        view = read_view(store, run)
        assert "300ms" in explain(Plan.from_json(store.runs.plan(run)), view, late, read_queue_state(store, view)).text
        changed = compiled(FLOW.replace("matrix.n == 2", "matrix.n == 1").replace("'1m'", "'2m'"))
        plan_retry(store, run, changed).apply(store)
        workers.ended(store, run)
    again = jobs(store, run)
    assert [again[f"may[n={n}]"].allowed for n in (1, 2)] == [True, False], "what was executed again has the present text"
    kept = Plan.from_json(store.runs.plan(run))
    limits = {cell.name: kept.node_of(cell).timeout for cell in kept.jobs() if cell.name.startswith("limited")}
    assert limits["limited[n=1]"] == limits["limited[n=2]"] == 60.0, "what was not executed again keeps its own"


def test_plans_and_forecasts_show_what_each_cell_has() -> None:
    plan = compiled(FLOW)
    rows = {row["name"]: row for row in plan_json(plan, predict_ends(plan), History(), 1)["jobs"]}
    assert [rows[f"limited[n={n}]"]["timeout"] for n in (1, "3,limit=0.3s")] == [60.0, 0.3]
    assert Plan.from_json(plan.to_json()) == plan


def test_a_version_that_does_not_know_them_refuses_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    own, one = compiled(FLOW), compiled("jobs: {a: {matrix: {n: [1, 2]}, timeout: '${{ matrix.n }}m', run: 'true'}}")
    same = compiled("jobs: {a: {matrix: {n: [1, 2]}, timeout: '${{ matrix.n > 0 ? 1 : 2 }}m', run: 'true'}}")
    versions = [json.loads(plan.to_json())["version"] for plan in (own, one, same)]
    assert versions == [PLAN_VERSION, PLAN_VERSION, 2], "one that has the same for all cells is no new one"
    monkeypatch.setattr(plans, "_READABLE", tuple(range(1, PLAN_VERSION)))
    with pytest.raises(PlanVersionError, match=f"has version {PLAN_VERSION}"):
        Plan.from_json(own.to_json())


def test_the_time_for_a_decision_of_a_cell_is_that_of_the_approval(store: Store, tmp_path: Path) -> None:
    """`timeout` of `defaults` is not that of an approval."""
    text = "defaults: {timeout: '${{ matrix.n }}m'}\njobs: {ok: {matrix: {n: [1, 2]}, approval: {message: Go?}}}"
    run = submit(store, compiled(text), directory=tmp_path)
    driver = Driver(store)
    assert driver.tick().decide
    driver.close()
    assert store.client.hget(store.session.keys("job", f"{run}-0"), "approval_timeout") is None
