"""Priorities: each of those that the schema allows has its own place, in which jobs stand in their order."""

import json

import pytest

from flowq.store import Store
from tests.examples.running import ROOT
from tests.support import graphs

MANY = 30
SCHEMA = json.loads((ROOT / "schemas" / "flow.schema.json").read_text(encoding="utf-8"))
LIMITS = SCHEMA["$defs"]["job"]["properties"]["priority"]


@pytest.mark.parametrize("priority", [LIMITS["minimum"], 0, LIMITS["maximum"]])
def test_jobs_of_one_priority_are_queued_in_order(store: Store, priority: int) -> None:
    run = graphs.run(store, {f"j{number}": [] for number in range(MANY)}, priority=priority)
    assert store.queues.job_ids("default") == [f"{run}-{number}" for number in range(MANY)]
