"""What `retry --reload` stores of a run and of its jobs: what a run of the new text has, except for what stays as it was submitted."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from flowq import ids
from flowq.flows.actions import retry
from flowq.flows.actions.submit import submit
from flowq.plan import Concurrency, Plan, RetryPolicy
from flowq.plan.notice import Notice
from flowq.store import Store
from tests.support import graphs
from tests.support.graphs import Extra
from tests.support.run_driver import Drive
from tests.support.slot_driver import Driver
from tests.support.wait import until

JOBS = 6  # a, two cells of m and their group, two handlers
NOTICE = Notice(on=("failure",), to={"env": "HOOK"})

# Of the run: what tells one run, or one attempt, from another.
OF_AN_ATTEMPT = {
    *("nonce", "retry_nonce", "retry_chunks", "retry_applied", "attempt", "plan_attempt", "created_at", "started_at", "chunks"),
    *("status", "outbox", "open", "idle_handlers", "directory_key"),
}
# Of the run: what stays as it was submitted, see "Retry of a run" in docs/language.md.
KEPT = {"labels", "retention", "keep", "keep_of_entry"}
# Of a job: what became of it so far, and the order of those that wait, by the times of the run before;
# the cells of a group, which are those of its list where it has one.
OF_AN_EXECUTION = {
    "enqueued_at",
    "ended_at",
    "started_at",
    "due",
    "plan",
    "cell:plan",
    "run",
    "token",
    "attempt",
    "outcome",
    "rank",
    "fresh",
    "members",
}

CHANGES: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] = {  # settings of the run, of its jobs
    "queue": ({}, {"queue": "gpu"}),
    "timeout of the run": ({"timeout": 60.0}, {}),
    "fail_fast of the run": ({"fail_fast": True}, {}),
    "retention": ({"retention": 60.0}, {}),
    "keep": ({"keep": 3}, {}),
    "labels": ({"labels": {"team": "data"}}, {}),
    "notify": ({"notify": (NOTICE,)}, {}),
    "sources": ({"sources": {"/nowhere/flow.yaml": "abc"}}, {}),
    "result_ttl, failure_ttl": ({}, {"result_ttl": 5.0, "failure_ttl": 6.0}),
    "retry": ({}, {"retry": RetryPolicy(3, (1.0,))}),
    "priority, ttl": ({}, {"priority": 7, "ttl": 30.0}),
    "delay": ({}, {"delay": 0.05}),
    "allow_failure": ({}, {"allow_failure": True}),
    "concurrency of jobs": ({}, {"concurrency": Concurrency("db", 9)}),
    "condition": ({}, {"condition": "true"}),
    "max_parallel, fail_fast": ({}, {"max_parallel": 1, "fail_fast": True}),
}


def plan(flow: Mapping[str, Any], job: Mapping[str, Any]) -> Plan:
    handlers: dict[str, dict[str, list[str]]] = {"failure": {"page": []}, "exit": {"clean": []}}
    extra = Extra(flow={"concurrency": Concurrency("nightly", 2, "queue"), **flow}, handlers=handlers)
    return graphs.plan({"a": [], "m": ["a"]}, cells={"m": 2}, extra=extra, **job)


def stored(store: Store, key: str, *parts: str) -> dict[str, str]:
    rows: dict[Any, Any] = store.client.hgetall(store.session.keys(key, *parts))
    found = {name.decode(): value.decode() for name, value in rows.items()}
    return {name: value for name, value in found.items() if not (name.startswith(("jobs:", "cells:")) and value == "0")}


def differing(found: Mapping[str, str], wanted: Mapping[str, str], apart: set[str]) -> dict[str, tuple[str | None, str | None]]:
    names = (found.keys() | wanted.keys()) - apart
    return {name: (found.get(name), wanted.get(name)) for name in names if found.get(name) != wanted.get(name)}


@pytest.mark.parametrize("removed", [False, True], ids=["set", "removed"])
@pytest.mark.parametrize("what", CHANGES)
def test_a_reloaded_run_is_stored_as_one_of_the_new_text(store: Store, driver: Driver, what: str, *, removed: bool) -> None:
    old, new = plan({}, {}), plan(*CHANGES[what])
    if removed:
        old, new = new, old
    run = submit(store, old, directory=Path("/nowhere"))
    worker = Driver(store, "default", "gpu", name="other")
    until(lambda: Drive(store, worker, run).to_the_end() is not None and store.runs.require(run).ended)
    before = stored(store, "run", run)
    retry.plan_rerun(store, run, [0], only=False, fresh=new).apply(store)
    again = submit(store, new, directory=Path("/nowhere"))
    driver.settle()
    found, wanted = stored(store, "run", run), stored(store, "run", again)
    kept = KEPT if "notify" in before else KEPT | {"notify"}  # one that was submitted without messages sends none
    assert differing(found, wanted, OF_AN_ATTEMPT | kept) == {}
    assert [found.get(name) for name in sorted(kept)] == [before.get(name) for name in sorted(kept)]
    for ordinal in range(JOBS):
        of_job, of_new = (stored(store, "job", ids.member_id(some, ordinal)) for some in (run, again))
        of_job = {name: value.replace(run, again) for name, value in of_job.items()}
        assert differing(of_job, of_new, OF_AN_EXECUTION) == {}, ordinal
    worker.close()
