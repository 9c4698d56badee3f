"""Gantt charts of real runs: waits, earlier attempts, approvals."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from flowq.cli.render.gantt import gantt_json, gantt_lines
from flowq.cli.terminal import Terminal
from flowq.compiler import compile_text
from flowq.flows.actions import approval
from flowq.flows.actions.submit import submit
from flowq.flows.render.gantt import Bar, Stretch, bars
from flowq.flows.render.timeline import Activity
from flowq.flows.views.snapshot import read_events, read_plan, read_view
from flowq.store import Store
from tests.cli import golden, samples
from tests.support.slot_driver import Driver

Run = Callable[[str], str]


@pytest.fixture
def driver(store: Store) -> Driver:
    return Driver(store)


@pytest.fixture
def run(store: Store, tmp_path: Path) -> Run:
    """Submit a flow given as text; return the run's id."""

    def call(text: str) -> str:
        plan = compile_text(text, file=str(tmp_path / "flow.yaml")).plan
        assert plan is not None
        return submit(store, plan, directory=tmp_path)

    return call


def chart(store: Store, run_id: str) -> dict[str, Bar]:
    found = bars(read_plan(store, run_id), read_view(store, run_id), read_events(store, run_id))
    return {bar.job.name: bar for bar in found}


def before(bar: Bar) -> list[str]:
    return [str(item.activity) for item in bar.before]


def execute(driver: Driver, outcome: str = "finished") -> bool:
    """Execute the next job, if one is queued. The clock advances before and during the execution."""
    driver.settle()
    driver.let_time_pass()
    claim = driver.claim()
    if claim is None:
        return False
    driver.let_time_pass()
    driver.end(claim, outcome)
    driver.settle()
    return True


def work_off(driver: Driver) -> None:
    """Execute queued jobs one after the other until the queue is empty."""
    while execute(driver):
        continue


def let_timers_come(store: Store, driver: Driver) -> None:
    """Make all delays due."""
    driver.let_time_pass()
    keys = store.session.keys
    client: Any = store.client
    for timer in client.zrange(keys("timers"), 0, -1):
        kind, _, job = timer.decode().partition("|")
        if kind == "promote":
            client.hset(keys("job", job), "due", 1)
            client.zadd(keys("timers"), {timer: 1}, xx=True)
    driver.settle()


def test_an_approval_has_a_bar_and_is_on_the_critical_path(store: Store, driver: Driver, run: Run) -> None:
    flow = run(
        "jobs: {a: {run: x}, ask: {depends_on: a, approval: 'Really?'}, b: {depends_on: ask, run: x}, c: {depends_on: a, run: x}}"
    )
    work_off(driver)
    driver.let_time_pass()
    waiting = chart(store, flow)
    assert waiting["ask"].end > waiting["ask"].begin
    assert waiting["ask"].critical
    approval.decide(store, flow, read_plan(store, flow), "ask", approval.Decision(True, "me", ""))
    work_off(driver)
    done = chart(store, flow)
    assert list(done) in (["a", "ask", "c", "b"], ["a", "c", "ask", "b"])
    assert done["ask"].begin == pytest.approx(done["a"].end)
    assert done["ask"].end <= done["b"].begin
    assert done["ask"].critical
    assert sum(bar.needed for bar in done.values() if bar.critical) >= done["ask"].needed > 0


def test_a_retry_and_its_delay(store: Store, driver: Driver, run: Run) -> None:
    flow = run("jobs: {a: {run: x, retry: {max: 1, interval: 10m}}}")
    execute(driver, "failed")
    let_timers_come(store, driver)
    work_off(driver)
    bar = chart(store, flow)["a"]
    assert before(bar) == ["execution", "retry", "worker"]
    assert bar.before[0].end == bar.before[1].begin
    assert bar.needed > bar.end - bar.begin, "an earlier attempt and its delay are needed too"


def test_a_delay(store: Store, driver: Driver, run: Run) -> None:
    flow = run("jobs: {a: {run: x}, b: {depends_on: a, run: x, delay: 10m}}")
    work_off(driver)
    let_timers_come(store, driver)
    work_off(driver)
    assert before(chart(store, flow)["b"])[-2:] == ["delay", "worker"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("jobs: {a: {run: x}, b: {depends_on: a, matrix: {n: [1, 2]}, max_parallel: 1, run: x}}", "max_parallel"),
        ("jobs: {a: {run: x}, b: {depends_on: a, matrix: {n: [1, 2]}, concurrency: {group: one}, run: x}}", "concurrency"),
    ],
)
def test_a_semaphore(store: Store, driver: Driver, run: Run, text: str, kind: str) -> None:
    flow = run(text)
    work_off(driver)
    second = chart(store, flow)["b[n=2]"]
    assert kind in before(second)
    assert second.needed == pytest.approx(second.end - second.begin), "with more room it would not have waited"


def test_an_attempt_of_a_run_does_not_show_the_waits_of_the_previous_one(store: Store, driver: Driver, run: Run) -> None:
    from flowq.flows.actions.retry import plan_retry

    flow = run("jobs: {a: {run: x, retry: {max: 1, interval: 10m}}}")
    execute(driver, "failed")
    let_timers_come(store, driver)
    execute(driver, "failed")
    plan_retry(store, flow).apply(store)
    work_off(driver)
    assert set(before(chart(store, flow)["a"])) <= {"worker"}


def test_each_wait_has_a_mark_of_its_own_and_a_legend(store: Store, driver: Driver, run: Run) -> None:
    flow = run("jobs: {a: {run: x, retry: {max: 1, interval: 10m}}}")
    execute(driver, "failed")
    let_timers_come(store, driver)
    work_off(driver)
    found: Sequence[Bar] = list(chart(store, flow).values())
    text = golden.plain(gantt_lines(found, Terminal(width=80)))
    assert "before the last execution: ░ earlier attempt, · worker, ~ retry delay" in text
    (document,) = json.loads(json.dumps(list(gantt_json(found))))
    assert [item["activity"] for item in document["before"]] == ["execution", "retry", "worker"]
    assert len({str(activity) for activity in Activity}) == len(Activity)


def test_handlers_wait_for_a_worker_from_their_turn_on(store: Store, driver: Driver, run: Run) -> None:
    flow = run(
        "jobs: {a: {run: x}, b: {depends_on: a, run: x}}\non_success: {ok: {run: x}}\non_exit: {bye: {run: x}, end: {depends_on: bye, run: x}}"
    )
    work_off(driver)
    done = chart(store, flow)
    for name, last in (("on_success/ok", "b"), ("on_exit/bye", "on_success/ok"), ("on_exit/end", "on_exit/bye")):
        (wait,) = done[name].before
        assert wait.activity is Activity.WORKER
        assert wait.begin == pytest.approx(done[last].end)
        assert done[name].waited == pytest.approx(done[name].begin - done[last].end)


def test_what_follows_a_job_that_ended_without_an_execution(store: Store, driver: Driver, run: Run) -> None:
    flow = run("jobs: {a: {run: x}, late: {depends_on: a, run: x, delay: 10m}, b: {depends_on: {late: done}, run: x}}")
    work_off(driver)
    driver.let_time_pass()
    late = read_plan(store, flow).targets()["late"]
    store.jobs.cancel(f"{flow}-{late}")
    work_off(driver)
    done = chart(store, flow)
    assert "late" not in done
    assert done["b"].begin - done["b"].waited > done["a"].end, "until its end it waited for the other job"


@pytest.mark.parametrize("width", [30, 50, 80])
def test_the_legend_is_whole(width: int) -> None:
    job = samples.failed_run().jobs[0]
    found = [Bar(job, 5.0, 6.0, 5.0, critical=False, before=tuple(Stretch(activity, 1.0, 2.0) for activity in Activity))]
    rows = golden.plain(gantt_lines(found, Terminal(width=width))).splitlines()
    assert max(map(len, rows)) <= width
    assert "? approval" in " ".join(row.strip() for row in rows)
