"""Ends of runs: handlers, fail_fast, timeouts, filters of retries."""

import pytest

from flowq import ids
from flowq.exceptions import InvalidRunOperation
from flowq.flows.actions import retry
from flowq.plan import RetryPolicy
from flowq.store import Store
from flowq.store.schema.outcomes import Outcome
from tests.support import graphs, invariants
from tests.support.budgets import small_steps
from tests.support.graphs import Extra
from tests.support.run_driver import Drive
from tests.support.slot_driver import Driver

HANDLERS: dict[str, graphs.Shape] = {
    "success": {"cheer": []},
    "failure": {"page": [], "log": ["page"]},
    "cancel": {"tell": []},
    "exit": {"clean": [], "bill": {"clean": "done"}},
}
EVERY = {f"{phase}/{name}" for phase, jobs in HANDLERS.items() for name in jobs}


def status_of(store: Store, run: str) -> str:
    return str(store.runs.require(run).status)


def expire(store: Store, timer: str) -> None:
    """Make a timer due."""
    assert store.client.zadd(store.session.keys("timers"), {timer: 1}, xx=True, ch=True) == 1, f"no timer {timer}"


@pytest.mark.parametrize(
    ("outcome", "fitting"),
    [("finished", ["success/cheer"]), ("failed", ["failure/page", "failure/log"])],
)
def test_the_handlers_for_the_status_run_after_the_graph_and_on_exit_after_them(
    store: Store, driver: Driver, outcome: str, fitting: list[str]
) -> None:
    run = graphs.run(store, {"a": [], "b": ["a"]}, extra=Extra(handlers=HANDLERS))
    order = Drive(store, driver, run, {"a": outcome}).to_the_end()
    graph = ["a", "b"] if outcome == "finished" else ["a"]
    assert order == [*graph, *fitting, "exit/clean", "exit/bill"]
    found = graphs.statuses(store, run)
    for name in EVERY - set(order):
        assert found[name] in {"skipped/not_selected", "skipped/upstream_skipped"}
    assert status_of(store, run) == outcome


def test_the_outcome_is_fixed_before_the_handlers_start(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {"a": []}, extra=Extra(handlers=HANDLERS))
    assert store.runs.require(run).outcome is None
    driver.end(driver.take(), "failed")
    record = store.runs.require(run)
    assert (record.status, record.outcome) == ("running", "failed")
    Drive(store, driver, run).to_the_end()
    assert status_of(store, run) == "failed"


def test_a_failing_handler_is_a_warning(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {"a": []}, extra=Extra(handlers=HANDLERS))
    Drive(store, driver, run, {"success/cheer": "failed", "exit/clean": "failed"}).to_the_end()
    record = store.runs.require(run)
    assert (record.status, record.warnings) == ("finished", 2)
    with pytest.raises(InvalidRunOperation, match="nothing to retry"):
        retry.plan_retry(store, run)


def test_handlers_run_after_a_cancel_and_can_be_canceled_themselves(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {"a": [], "b": ["a"]}, extra=Extra(handlers=HANDLERS))
    claim = driver.take()
    store.runs.cancel(run)
    driver.end(claim, "failed")
    driver.settle()
    handler = driver.take()
    assert graphs.statuses(store, run)["cancel/tell"] == "started"
    assert store.runs.cancel(run) is Outcome.DONE
    assert [str(verdict) for verdict in driver.beat(handler)] == ["cancel"]
    driver.end(handler, "failed")
    driver.settle()
    found = graphs.statuses(store, run)
    assert found["cancel/tell"] == "canceled/run_canceled"
    assert {found["exit/clean"], found["exit/bill"]} <= {"canceled/run_canceled", "skipped/upstream_canceled"}
    assert status_of(store, run) == "canceled"


def test_a_cancel_can_leave_the_handlers_alone(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {"a": []}, extra=Extra(handlers=HANDLERS))
    claim = driver.take()
    assert store.runs.cancel(run, handlers=False) is Outcome.DONE
    assert store.runs.cancel(run, handlers=False) is Outcome.DUPLICATE
    driver.end(claim, "failed")
    driver.settle()
    handler = driver.take()
    assert store.runs.cancel(run, handlers=False) is Outcome.CONFLICT
    assert [str(verdict) for verdict in driver.beat(handler)] == ["go_on"]
    assert store.runs.cancel(run, handlers=True) is Outcome.DONE
    assert store.runs.cancel(run, handlers=False) is Outcome.DUPLICATE
    assert [str(verdict) for verdict in driver.beat(handler)] == ["cancel"]
    driver.end(handler, "failed")
    driver.settle()
    assert status_of(store, run) == "canceled"
    assert store.runs.cancel(run, handlers=False) is Outcome.WRONG_STATE


def test_a_cancel_whose_reply_was_lost_does_not_cancel_the_handlers(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {"a": []}, extra=Extra(handlers=HANDLERS))
    nonce = ids.nonce()
    assert store.session.run("run/cancel", run, nonce) == [b"done"]
    assert store.session.run("run/cancel", run, nonce) == [b"duplicate"]
    assert Drive(store, driver, run).to_the_end() == ["cancel/tell", "exit/clean", "exit/bill"]


def test_a_handler_cannot_be_canceled_before_its_turn(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {"a": []}, extra=Extra(handlers=HANDLERS))
    assert store.jobs.cancel(ids.member_id(run, 1)) is Outcome.WRONG_STATE
    Drive(store, driver, run).to_the_end()


def test_handlers_run_again_with_a_retry(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {"a": [], "b": ["a"]}, extra=Extra(handlers=HANDLERS))
    Drive(store, driver, run, {"b": "failed", "exit/clean": "failed"}).to_the_end()
    plan = retry.plan_retry(store, run)
    assert {name for name, why in plan.jobs if why == "handlers run again"} == EVERY
    plan.apply(store)
    assert Drive(store, driver, run).to_the_end() == ["b", "success/cheer", "exit/clean", "exit/bill"]
    record = store.runs.require(run)
    assert (record.status, record.warnings) == ("finished", 0)


def test_a_run_of_handlers_alone(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {}, extra=Extra(handlers={"exit": {"clean": []}}))
    assert Drive(store, driver, run).to_the_end() == ["exit/clean"]
    assert status_of(store, run) == "finished"


def test_fail_fast_ends_the_rest_of_the_graph(store: Store, driver: Driver) -> None:
    shape: graphs.Shape = {"a": [], "b": [], "c": [], "after_b": ["b"], "anyway": {"c": "done"}, "late": {"a": "failure"}}
    run = graphs.run(store, shape, extra=Extra(flow={"fail_fast": True}, handlers={"failure": {"page": []}}))
    a, b = driver.take(), driver.take()
    driver.end(a, "failed")
    assert [str(verdict) for verdict in driver.beat(b)] == ["cancel"]
    driver.end(b, "failed")
    assert Drive(store, driver, run).to_the_end() == ["failure/page"]
    assert graphs.statuses(store, run) == {
        "a": "failed/error",
        "b": "canceled/fail_fast",
        "c": "skipped/fail_fast",
        "after_b": "skipped/upstream_canceled",
        "anyway": "skipped/fail_fast",
        "late": "skipped/fail_fast",
        "failure/page": "finished",
    }
    assert status_of(store, run) == "failed"
    retry.plan_retry(store, run).apply(store)
    assert set(Drive(store, driver, run).to_the_end()) == {"a", "b", "c", "after_b", "anyway"}
    assert status_of(store, run) == "finished"


def test_an_allowed_failure_does_not_end_the_rest(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {"a": [], "b": ["a"]}, extra=Extra(flow={"fail_fast": True}))
    assert Drive(store, driver, run, {"a": "failed!"}).to_the_end() == ["a", "b"]


def test_fail_fast_of_a_matrix_ends_its_cells_only(store: Store, driver: Driver) -> None:
    extra = Extra(nodes={"m": {"fail_fast": True}})
    run = graphs.run(store, {"m": [], "other": [], "after": {"m": "done"}}, cells={"m": 4}, extra=extra)
    first, second = driver.take(), driver.take()
    driver.end(first, "failed")
    driver.end(second, "failed")
    assert set(Drive(store, driver, run).to_the_end()) == {"other", "after"}
    found = graphs.statuses(store, run)
    assert [found[f"m[n={n}]"] for n in range(4)] == [
        "failed/error",
        "canceled/fail_fast",
        "skipped/fail_fast",
        "skipped/fail_fast",
    ]
    assert dict(retry.plan_retry(store, run).jobs).keys() == {f"m[n={n}]" for n in range(4)} | {"after"}
    retry.plan_retry(store, run).apply(store)
    assert len(Drive(store, driver, run).to_the_end()) == 5
    assert status_of(store, run) == "finished"


def test_a_run_that_times_out_fails_running_and_ready_jobs(store: Store, driver: Driver) -> None:
    shape: graphs.Shape = {"a": [], "b": [], "after": ["a"], "anyway": {"b": "done"}}
    extra = Extra(flow={"timeout": 3600.0}, handlers={"failure": {"page": []}})
    run = graphs.run(store, shape, extra=extra)
    claim = driver.take()
    store.client.hset(store.session.keys("run", run), "started_at", 1)
    expire(store, f"timeout|{run}")
    driver.settle()
    assert [str(verdict) for verdict in driver.beat(claim)] == ["cancel"]
    driver.end(claim, "failed", allowed=True)
    assert Drive(store, driver, run).to_the_end() == ["failure/page"]
    assert graphs.statuses(store, run) == {
        "a": "failed/run_timeout",
        "b": "failed/run_timeout",
        "after": "skipped/upstream_failed",
        "anyway": "failed/run_timeout",
        "failure/page": "finished",
    }
    assert status_of(store, run) == "failed"
    retry.plan_retry(store, run).apply(store)
    assert store.client.zscore(store.session.keys("timers"), f"timeout|{run}") is not None
    assert len(Drive(store, driver, run).to_the_end()) == 4
    assert status_of(store, run) == "finished"
    assert store.client.zscore(store.session.keys("timers"), f"timeout|{run}") is None


def test_a_timer_that_fires_too_early_or_too_late_does_nothing(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {"a": []}, extra=Extra(flow={"timeout": 3600.0}))
    assert store.session.run("run/time_out", run) == [b"wrong_state"]
    Drive(store, driver, run).to_the_end()
    store.client.hset(store.session.keys("run", run), "started_at", 1)
    assert store.session.run("run/time_out", run) == [b"wrong_state"]


@pytest.mark.parametrize(
    ("on", "status"), [((), "queued"), (("abandoned",), "queued"), (("failure", "exit:3"), "failed/abandoned")]
)
def test_lost_executions_are_retried_if_the_filter_allows_it(
    store: Store, driver: Driver, on: tuple[str, ...], status: str
) -> None:
    run = graphs.run(store, {"a": []}, retry=RetryPolicy(1, on=on))
    driver.lose(driver.take())
    assert graphs.statuses(store, run)["a"].removesuffix("/retry") == status
    Drive(store, driver, run).to_the_end()


def test_any_failure_of_an_excused_job_is_allowed(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {"a": [], "b": ["a"]}, extra=Extra(nodes={"a": {"allow_failure": True}}))
    Drive(store, driver, run, {"a": "lost"}).to_the_end()
    assert graphs.statuses(store, run) == {"a": "failed/abandoned", "b": "finished"}
    assert (status_of(store, run), store.runs.require(run).warnings) == ("finished", 1)


def test_the_reset_of_a_group_over_a_mixed_group(store: Store, driver: Driver) -> None:
    """A stage over a matrix with a skipped cell counts the cells as its own."""
    shape: graphs.Shape = {"m": [], "gate": ["m"], "strict": ["m"], "lenient": {"m": "ok"}}
    run = graphs.run(store, shape, cells={"m": 2}, condition="params.x")
    first = ids.member_id(run, 0)
    driver.holds = lambda job: job != first
    Drive(store, driver, run).to_the_end()
    found = graphs.statuses(store, run)
    assert (found["strict"], found["lenient"]) == ("skipped/upstream_skipped", "finished")
    invariants.check(store)


def test_a_job_that_is_skipped_again_is_not_released_by_a_parent_that_ends_during_the_restart(
    store: Store, driver: Driver
) -> None:
    others: graphs.Shape = {f"other-{number}": [] for number in range(20)}
    run = graphs.run(store, {"a": [], "fine": [], **others, "mend": {"a": "done", "fine": "failure"}})
    Drive(store, driver, run, {"a": "failed", **dict.fromkeys(others, "failed")}).to_the_end()
    assert graphs.statuses(store, run)["mend"] == "skipped/upstream_finished"
    again = retry.plan_retry(store, run)
    assert again.skipped == (("mend", "upstream_finished"),)
    with small_steps(1):  # as with hundreds of jobs: the first are executed before the last are restarted
        again.apply(store)
        while (claim := driver.claim()) is None:
            driver.tick()
        assert claim.id == f"{run}-0"
        driver.end(claim)
        assert store.client.llen(store.session.keys("outbox")) > 0
        Drive(store, driver, run).to_the_end()
    assert graphs.statuses(store, run)["mend"] == "skipped/upstream_finished"
