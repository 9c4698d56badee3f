"""Stored plans of earlier versions, written by the flowq of that time (see `write_plans`): they are read, and executed."""

import json
from pathlib import Path

import pytest

from flowq.flows.actions.submit import run_fields, staged_jobs
from flowq.plan import PLAN_VERSION, Plan
from flowq.plan.plan import _READABLE
from flowq.store import Store
from tests.support import workers
from tests.support.server import PrivateServer
from tests.support.workers import WorkerProcess

PLANS = Path(__file__).parent / "plans"
RAN = {4: ["made"], 5: ["secret"], 6: ["linux", "macos", "z"]}


def test_there_is_a_plan_of_each_version_whose_workers_may_be_there_still() -> None:
    """1 and 2 are in the data directories, 3 differs from 2 in the interpreter alone; the present one has its own tests."""
    assert sorted(int(path.stem) for path in PLANS.glob("*.json")) == sorted(RAN) == list(range(4, PLAN_VERSION))
    assert _READABLE[-1] == PLAN_VERSION


@pytest.mark.parametrize("version", RAN)
def test_it_is_read_and_executed(store: Store, server: PrivateServer, tmp_path: Path, version: int) -> None:
    text = (PLANS / f"{version}.json").read_text().strip()
    assert json.loads(text)["version"] == version
    plan = Plan.from_json(text)
    assert json.loads(plan.to_json()) == json.loads(text), "what is stored again is the same, also for older workers"
    store.runs.submit(
        "old",
        "nonce",
        staged_jobs(plan, "old"),
        plan=text.encode(),
        directory=str(tmp_path),
        fields=run_fields(plan, local=False, queue_prefix="", labels={}),
    )
    with WorkerProcess(server.url, "default", "linux", "macos"):
        found = workers.ended(store, "old")
    assert {str(job.status) for job in found if job.kind != "group"} == {"finished"}
    assert sorted((tmp_path / "ran").read_text().split()) == RAN[version]
