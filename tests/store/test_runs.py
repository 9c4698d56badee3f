"""Runs: submission, release, skip propagation, cancel, retry."""

import dataclasses
import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowq import ids
from flowq.durations import NEVER
from flowq.exceptions import AmbiguousRunError, InvalidRunOperation, NoSuchRunError
from flowq.flows.actions import retry
from flowq.flows.actions.submit import staged_jobs, submit
from flowq.plan import Cell, Edge, Plan
from flowq.states import Condition, JobStatus, RunStatus
from flowq.store import Store
from flowq.store.run_upload import as_rows
from flowq.store.schema.outcomes import Claim, LogLines, Outcome
from tests.support import graphs, invariants
from tests.support.expected_ends import differences, expected
from tests.support.slot_driver import Driver
from tests.support.wait import until


def drive(
    store: Store, driver: Driver, run: str, outcomes: Mapping[str, str], *, rng: random.Random | None = None
) -> list[str]:
    """Execute a run to its end, several jobs at a time in random order; return the names in the order of their claims."""
    plan = Plan.from_json(store.runs.plan(run))
    held, order = [], []
    rng = rng or random.Random(0)
    while True:
        driver.settle()
        for claim in driver.step(claims=3).claims:
            if claim is not None:
                assert claim.ordinal is not None
                name = plan.cells[claim.ordinal].name
                order.append(name)
                held.append((claim, outcomes.get(name, "finished")))
        if not held:
            return order
        claim, wanted = held.pop(rng.randrange(len(held)))
        outcome = wanted.removesuffix("!")
        assert driver.end(claim, outcome, allowed=wanted.endswith("!")) is Outcome.DONE


def run_status(store: Store, run: str) -> str:
    return str(store.runs.require(run).status)


DIAMOND = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}


def test_a_diamond_runs_in_order_and_finishes(store: Store, driver: Driver) -> None:
    run = graphs.run(store, DIAMOND)
    order = drive(store, driver, run, {})
    assert order[0] == "a"
    assert order[-1] == "d"
    record = store.runs.require(run)
    assert (record.status, record.total, record.open) == ("finished", 4, 0)
    assert record.ended_ms is not None


def test_a_run_appears_with_all_its_jobs_or_not_at_all(store: Store) -> None:
    plan = graphs.plan({f"j{number}": [] for number in range(400)})
    run, nonce = ids.run_id(), ids.nonce()
    rows = list(staged_jobs(plan, run))
    fields: dict[str, str | int] = {"flow": "test", "total": 400, "retention": 1000}

    class Died(Exception):
        pass

    def dies() -> object:
        yield from rows[:350]
        raise Died

    with pytest.raises(Died):
        store.runs.submit(run, nonce, dies(), plan=b"{}", directory="/d", fields=fields)  # type: ignore[arg-type]
    assert store.runs.get(run) is None
    assert store.runs.recent() == []
    assert store.queues.count("default") == 0
    assert store.runs.submit(run, ids.nonce(), rows, plan=b"{}", directory="/d", fields=fields) is Outcome.CONFLICT
    # the same submission continues, and a repeated commit is a duplicate
    assert store.runs.submit(run, nonce, rows, plan=b"{}", directory="/d", fields=fields) is Outcome.DONE
    assert store.runs.submit(run, nonce, rows, plan=b"{}", directory="/d", fields=fields) is Outcome.DUPLICATE
    driver = Driver(store)
    driver.settle()
    assert store.queues.count("default") == 400
    store.runs.cancel(run)
    driver.settle()


def test_a_dead_submitters_staging_is_collected(store: Store, driver: Driver) -> None:
    plan = graphs.plan({f"j{number}": [] for number in range(200)})
    run = ids.run_id()
    rows = list(staged_jobs(plan, run))[:150]
    store.session.run("run/upload_jobs", run, "nonce", 0, as_rows(rows), b"{}")
    assert store.client.exists(store.session.keys("job", f"{run}-3"))
    store.client.zadd(store.session.keys("timers"), {f"collect|{run}": 1})  # the timer is due
    driver.settle()
    assert not store.client.exists(store.session.keys("job", f"{run}-3"))
    assert not store.client.exists(store.session.keys("run", run))


def test_two_runs_with_one_id_are_a_conflict(store: Store, driver: Driver) -> None:
    plan = graphs.plan({"a": []})
    submit(store, plan, directory="/d", run_id="same0000")
    assert submit(store, plan, directory="/d", run_id="same0000") == "same0000"  # a repetition is the same run
    with pytest.raises(InvalidRunOperation, match="something else has the id same0000"):
        submit(store, graphs.plan({"b": []}), directory="/d", run_id="same0000")
    assert store.queues.count("default") == 1
    drive(store, driver, "same0000", {})


PARENT_ENDS = ["finished", "failed", "failed!", "stopped", "skipped"]


@pytest.mark.parametrize("condition", list(Condition))
@pytest.mark.parametrize("end", PARENT_ENDS)
def test_the_table_of_conditions(store: Store, driver: Driver, end: str, condition: str) -> None:
    shape: graphs.Shape = {
        "root": [],
        "parent": {"root": "failure" if end == "skipped" else "success"},
        "child": {"parent": condition},
    }
    run = graphs.run(store, shape)
    outcomes = {"parent": end}
    drive(store, driver, run, outcomes)
    plan = Plan.from_json(store.runs.plan(run))
    assert differences(graphs.statuses(store, run), expected(plan, outcomes)) == {}


def test_a_canceled_parent(store: Store, driver: Driver) -> None:
    run = graphs.run(
        store, {"parent": [], "on_success": ["parent"], "on_done": {"parent": "done"}, "on_failure": {"parent": "failure"}}
    )
    store.jobs.cancel(ids.member_id(run, 0))
    drive(store, driver, run, {})
    assert graphs.statuses(store, run) == {
        "parent": "canceled/canceled",
        "on_success": "skipped/upstream_canceled",
        "on_done": "finished",
        "on_failure": "skipped/upstream_canceled",
    }
    assert run_status(store, run) == "canceled"


def test_a_failure_skips_all_descendants_and_fails_the_run(store: Store, driver: Driver) -> None:
    chain: graphs.Shape = {"j0": []} | {f"j{n}": [f"j{n - 1}"] for n in range(1, 700)}
    run = graphs.run(store, chain)
    drive(store, driver, run, {"j0": "failed"})
    found = graphs.statuses(store, run)
    assert found["j1"] == "skipped/upstream_failed"
    assert {found[f"j{n}"] for n in range(2, 700)} == {"skipped/upstream_skipped"}
    assert run_status(store, run) == "failed"


def test_an_allowed_failure_is_a_warning(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {"a": [], "b": ["a"]})
    drive(store, driver, run, {"a": "failed!"})
    record = store.runs.require(run)
    assert (record.status, record.warnings) == ("finished", 1)
    assert graphs.statuses(store, run)["b"] == "finished"


def test_a_fan_of_thousands_is_released_in_bounded_steps(store: Store, driver: Driver) -> None:
    wide: graphs.Shape = {"root": []} | {f"w{n}": ["root"] for n in range(3000)} | {"last": [f"w{n}" for n in range(3000)]}
    run = graphs.run(store, wide)
    driver.end(driver.take())
    released_at_once = store.queues.count("default")
    assert 0 < released_at_once <= 500
    driver.settle()
    assert store.queues.count("default") == 3000
    store.runs.cancel(run)
    driver.settle()
    assert run_status(store, run) == "canceled"


def test_a_matrix_is_one_parent_for_its_dependents(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {"m": [], "all": ["m"], "any": {"m": "done"}, "bad": {"m": "failure"}}, cells={"m": 4})
    drive(store, driver, run, {"m[n=2]": "failed"})
    assert {name: graphs.statuses(store, run)[name] for name in ("all", "any", "bad")} == {
        "all": "skipped/upstream_failed",
        "any": "finished",
        "bad": "finished",
    }


def test_matrix_above_matrix_has_few_edges(store: Store) -> None:
    plan = graphs.plan({"m": [], "n": ["m"]}, cells={"m": 100, "n": 100})
    assert sum(len(cell.parents) for cell in plan.cells) == 300


def test_an_empty_matrix_succeeds(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {"m": [], "after": ["m"]}, cells={"m": 0})
    drive(store, driver, run, {})
    assert graphs.statuses(store, run) == {"after": "finished"}
    assert run_status(store, run) == "finished"


def test_a_join_needs_no_worker(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {"a": [], "b": [], "both": ["a", "b"], "after": ["both"]}, joins=["both"])
    assert drive(store, driver, run, {})[-1] == "after"
    assert graphs.statuses(store, run)["both"] == "finished"


def test_a_run_without_jobs_finishes_at_once(store: Store) -> None:
    run = graphs.run(store, {})
    Driver(store).settle()
    assert run_status(store, run) == "finished"


def test_if_is_evaluated_once_its_edges_hold(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {"a": [], "b": ["a"]}, condition="params.x")
    answer = driver.tick()
    assert answer.decide == (ids.member_id(run, 0),)
    assert driver.claim() is None
    assert store.jobs.decide(answer.decide[0], "go_on") is Outcome.DONE
    assert store.jobs.decide(answer.decide[0], "go_on") is Outcome.WRONG_STATE
    driver.end(driver.take())
    (second,) = driver.tick().decide
    store.jobs.decide(second, "skipped", "if_false")
    assert graphs.statuses(store, run) == {"a": "finished", "b": "skipped/if_false"}
    queue = store.jobs.get_many([second])[0].queue  # type: ignore[union-attr] # it exists
    assert store.queues.registry_ids(queue, JobStatus.SKIPPED) == []  # that is for plain jobs, which a requeue revives
    assert run_status(store, run) == "finished"


def test_cancel_ends_everything_that_is_open(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {"a": [], "b": [], "c": ["a", "b"]})
    claim = driver.take()
    assert store.runs.cancel(run) is Outcome.DONE
    assert store.runs.cancel(run) is Outcome.DUPLICATE
    driver.settle()
    assert [str(verdict) for verdict in driver.beat(claim)] == ["cancel"]
    assert run_status(store, run) == "running"
    driver.end(claim, "failed")
    assert set(graphs.statuses(store, run).values()) == {"canceled/run_canceled"}
    assert run_status(store, run) == "canceled"
    assert store.runs.cancel(run) is Outcome.WRONG_STATE
    assert store.runs.cancel("missing0") is Outcome.NOT_FOUND


def test_retry_resets_failed_jobs_and_their_dependents(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {"a": [], "b": ["a"], "c": ["b"], "tidy": {"b": "done"}, "other": ["a"]})
    drive(store, driver, run, {"b": "failed"})
    plan = retry.plan_retry(store, run)
    assert dict(plan.jobs) == {"b": "failed", "c": "skipped (upstream_failed)", "tidy": "depends on b"}
    assert plan.apply(store) == 2
    assert drive(store, driver, run, {}) == ["b", "c", "tidy"]
    record = store.runs.require(run)
    assert (record.status, record.attempt) == ("finished", 2)
    b = store.jobs.get(ids.member_id(run, 1))
    assert b is not None
    assert (b.attempt, b.execution) == (1, 2)
    with pytest.raises(InvalidRunOperation, match="nothing to retry"):
        retry.plan_retry(store, run)


def test_only_the_failed_cells_of_a_matrix_are_reset(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {"m": [], "all": ["m"]}, cells={"m": 5})
    drive(store, driver, run, {"m[n=1]": "failed", "m[n=3]": "failed"})
    retry.plan_retry(store, run).apply(store)
    assert drive(store, driver, run, {"m[n=3]": "failed"}) == ["m[n=1]", "m[n=3]"]
    assert run_status(store, run) == "failed"
    retry.plan_retry(store, run).apply(store)
    assert drive(store, driver, run, {}) == ["m[n=3]", "all"]
    assert run_status(store, run) == "finished"


def test_a_reset_job_stays_skipped_where_an_edge_of_a_kept_job_does_not_hold(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {"good": [], "bad": [], "child": {"good": "failure", "bad": "success"}})
    drive(store, driver, run, {"bad": "failed"})
    retry.plan_retry(store, run).apply(store)
    drive(store, driver, run, {})
    assert graphs.statuses(store, run) == {"good": "finished", "bad": "finished", "child": "skipped/upstream_finished"}


def test_a_running_run_is_not_retried_and_a_repeated_retry_changes_nothing(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {"a": []})
    with pytest.raises(InvalidRunOperation, match="is running"):
        retry.plan_retry(store, run)
    drive(store, driver, run, {"a": "failed"})
    first, second = retry.plan_retry(store, run), retry.plan_retry(store, run)
    first.apply(store)
    with pytest.raises(InvalidRunOperation, match="cannot retry"):
        second.apply(store)
    drive(store, driver, run, {})


def test_retry_is_linear_in_the_edges(store: Store, driver: Driver) -> None:
    layers: graphs.Shape = {
        f"{layer}.{n}": [f"{layer - 1}.{m}" for m in (0, 1)] if layer else [] for layer in range(30) for n in (0, 1)
    }
    run = graphs.run(store, layers)
    drive(store, driver, run, {"0.0": "failed"})
    retry.plan_retry(store, run).apply(store)
    drive(store, driver, run, {})
    assert run_status(store, run) == "finished"


def test_a_large_retry_takes_effect_in_bounded_steps(store: Store, driver: Driver) -> None:
    wide: graphs.Shape = {"root": []} | {f"w{n}": ["root"] for n in range(1500)}
    run = graphs.run(store, wide)
    drive(store, driver, run, {"root": "failed"})
    plan = retry.plan_retry(store, run)
    assert len(plan.jobs) == 1501
    plan.apply(store)
    invariants.check(store)  # also during the reset
    driver.settle()
    assert driver.take().id == ids.member_id(run, 0)
    store.runs.cancel(run)
    driver.settle()


def test_a_deleted_run_leaves_nothing(store: Store, driver: Driver) -> None:
    run = submit(store, graphs.plan({f"j{n}": [] for n in range(450)}), directory="/d", local=True)
    store.client.hset(store.session.keys("run", run), "retention", 0)
    local = Driver(store, f"{run}/default", name="local")
    drive(store, local, run, {})
    until(lambda: driver.swept() and store.runs.get(run) is None)
    driver.settle()
    left = {key for key in store.client.scan_iter() if run.encode() in key}
    assert left == set()
    assert store.queues.names() == []


def test_runs_are_found_by_prefix_directory_and_age(store: Store, driver: Driver) -> None:
    plan = graphs.plan({"a": []})
    for run_id, directory in (("abc00001", "/x"), ("abd00002", "/y"), ("zzz00003", "/x")):
        submit(store, plan, directory=directory, run_id=run_id)
    assert store.runs.resolve("z") == "zzz00003"
    assert store.runs.resolve("abc") == "abc00001"
    with pytest.raises(AmbiguousRunError, match="abc00001, abd00002"):
        store.runs.resolve("ab")
    with pytest.raises(NoSuchRunError, match="no run with the id 'q'"):
        store.runs.resolve("q")
    assert store.runs.latest("/x") in {"abc00001", "zzz00003"}
    assert store.runs.latest("/y") == "abd00002"
    assert store.runs.latest("/nowhere") is None
    for run_id in ("abc00001", "abd00002", "zzz00003"):
        drive(store, driver, run_id, {})


def test_the_same_graph_twice_gives_the_same_events(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {"a": [], "b": ["a"]})
    drive(store, driver, run, {})
    changes = [(event.job and event.job[-1], event.old, event.new) for event in store.runs.events(run)]
    assert changes == [
        (None, "-", "running"),
        ("0", "deferred", "queued"),
        ("0", "queued", "started"),
        ("0", "started", "finished"),
        ("1", "deferred", "queued"),
        ("1", "queued", "started"),
        ("1", "started", "finished"),
        (None, "running", "finished"),
    ]


@st.composite
def scenarios(draw: st.DrawFn) -> tuple[graphs.Shape, dict[str, int], list[str], list[dict[str, str]], int]:
    size = draw(st.integers(1, 12))
    names = [f"j{number}" for number in range(size)]
    shape: dict[str, graphs.Parents] = {}
    for index, name in enumerate(names):
        parents = draw(st.lists(st.sampled_from(names[:index]), unique=True, max_size=4)) if index else []
        conditions = st.sampled_from(["success", "success", "success", "ok", "failure", "skipped", "done"])
        shape[name] = {parent: draw(conditions) for parent in parents}
    cells = {name: draw(st.integers(0, 3)) for name in names if draw(st.integers(0, 3)) == 0}
    joins = [name for name in names if name not in cells and draw(st.integers(0, 5)) == 0]
    members = [name for name in names if name not in cells] + [
        f"{name}[n={n}]" for name, count in cells.items() for n in range(count)
    ]
    ends = st.sampled_from(["finished", "finished", "finished", "failed", "failed!", "stopped"])
    attempts = [{name: draw(ends) for name in members} for _ in range(3)]
    return shape, cells, joins, attempts, draw(st.integers(0, 2**16))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scenarios())
def test_random_graphs_end_as_the_rules_say_also_after_retries(
    store: Store, scenario: tuple[graphs.Shape, dict[str, int], list[str], list[dict[str, str]], int]
) -> None:
    shape, cells, joins, attempts, seed = scenario
    store.client.flushall()
    store.open()
    driver = Driver(store)
    run = graphs.run(store, shape, cells=cells, joins=joins)
    plan = Plan.from_json(store.runs.plan(run))
    known: dict[str, str] = {}
    for outcomes in attempts:
        executed = drive(store, driver, run, outcomes, rng=random.Random(seed))
        known |= {name: outcomes[name] for name in executed}
        assert differences(graphs.statuses(store, run), expected(plan, known)) == {}
        invariants.check(store)
        assert store.runs.require(run).status in {RunStatus.FINISHED, RunStatus.FAILED}
        try:
            retry.plan_retry(store, run).apply(store)
        except InvalidRunOperation:
            break
        driver.settle()
    else:
        store.runs.cancel(run)
        driver.settle()
    driver.close()


def test_a_retention_of_never_is_kept(store: Store, driver: Driver) -> None:
    plan = dataclasses.replace(graphs.plan({"a": []}), retention=NEVER)
    run = submit(store, plan, directory="/d")
    drive(store, driver, run, {})
    driver.settle()
    assert run_status(store, run) == "finished"
    assert store.client.zcard(store.session.keys("timers")) == 0


@pytest.mark.parametrize("how", ["expired", "abandoned", "undecidable"])
def test_a_failure_that_no_worker_reports_is_allowed_too(store: Store, how: str) -> None:
    options: dict[str, Any] = {"allow_failure": True}
    if how == "expired":
        options["ttl"] = 0.02
    elif how == "undecidable":
        options["condition"] = "params.x"
    lone = graphs.plan({"a": []}, **options)
    after = dataclasses.replace(lone.nodes[0], name="b", condition=None, ttl=None)
    cells = (*lone.cells, Cell(1, "b", 1, (Edge(0),)))
    run = submit(store, dataclasses.replace(lone, nodes=(*lone.nodes, after), cells=cells), directory="/d")
    driver = Driver(store, lease=0.05)
    if how == "abandoned":
        driver.take()
    elif how == "undecidable":
        (job,) = driver.tick().decide
        store.jobs.decide(job, "failed", "error", "no such key")
    until(lambda: driver.swept() and graphs.statuses(store, run)["b"] == "queued")
    driver.end(driver.take())
    record = store.runs.require(run)
    assert (record.status, record.warnings) == ("finished", 1)
    with pytest.raises(InvalidRunOperation, match="allowed to, and finished jobs depend on it"):
        retry.plan_retry(store, run)
    retry.plan_rerun(store, run, {0}, only=False).apply(store)
    assert store.runs.require(run).warnings == 0
    store.runs.cancel(run)
    driver.settle()


MEBIBYTE = b"x" * (1 << 20)


def written(driver: Driver, claim: Claim, first: int, last: int) -> None:
    """Write entries of a mebibyte, numbered."""
    for index in range(first, last + 1):
        driver.step(logs=(LogLines(claim.id, claim.token, index, "out", b"%d " % index + MEBIBYTE),))


def test_a_noisy_job_keeps_the_first_and_the_end_of_its_output_and_the_others_all(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {"a": [], "b": []})
    noisy, quiet = driver.take(), driver.take()
    for index in range(1, 101):
        driver.step(logs=(LogLines(quiet.id, quiet.token, index, "out", b"quiet"),))
    written(driver, noisy, 1, 40)
    driver.step(logs=(LogLines(noisy.id, noisy.token, 41, "err", b"the reason"),))
    entries = store.runs.logs(run)
    kept = [entry.data for entry in entries if entry.job == noisy.id]
    assert [data.partition(b" ")[0] for data in kept] == [b"1", *(b"%d" % index for index in range(27, 41)), b"the"]
    assert len(entries) - len(kept) == 100
    assert store.runs.logs_dropped(run) == 25
    for claim in (noisy, quiet):
        driver.end(claim)


def test_a_noisy_run_keeps_the_end_of_its_output(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {name: [] for name in "abcdef"})
    claims = [driver.take() for _ in "abcdef"]
    for claim in claims:
        written(driver, claim, 1, 14)
    written(driver, claims[0], 15, 16)  # the run has lost its earlier entries, its sum still counts them
    driver.step(logs=(LogLines(claims[0].id, claims[0].token, 17, "err", b"the reason"),))
    entries = store.runs.logs(run)
    assert entries[-1].data == b"the reason"
    assert 32 << 20 < sum(len(entry.data) for entry in entries) <= 64 << 20
    assert store.runs.logs_dropped(run) == 6 * 14 + 3 - len(entries) > 0
    for claim in claims:
        driver.end(claim)


def test_jobs_with_a_shorter_ttl_expire_once_and_not_too_early(store: Store, driver: Driver) -> None:
    nodes = {"a": {"result_ttl": 60.0}, "b": {"failure_ttl": 3600.0}, "c": {"result_ttl": 60.0}}
    run = graphs.run(store, {"a": [], "b": [], "c": ["b"]}, extra=graphs.Extra(nodes=nodes))

    def fade() -> bytes:
        reply: bytes = store.session.run("run/expire_jobs", run, 2)[0]
        return reply

    assert fade() == b"wrong_state", "the run goes on"
    drive(store, driver, run, {"b": "failed"})
    assert fade() == b"wrong_state", "not yet"
    store.client.hincrby(store.session.keys("run", run), "ended_at", -61_000)
    assert [fade(), fade()] == [b"done", b"done"], "two jobs, then the third"
    assert graphs.statuses(store, run) == {"b": "failed/error"}
    assert fade() == b"wrong_state", "the next time has not come"
    store.client.hincrby(store.session.keys("run", run), "ended_at", -3_600_000)
    assert [fade(), fade(), fade()] == [b"done", b"done", b"wrong_state"]
    assert graphs.statuses(store, run) == {}
    assert run_status(store, run) == "failed"
