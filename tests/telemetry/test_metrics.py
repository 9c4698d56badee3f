"""Metrics: what the transitions count, and what a scraper reads."""

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Iterator

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from flowq import ids
from flowq.flows.actions.submit import offer, submit
from flowq.plan import RetryPolicy
from flowq.plan.schedule import Entry
from flowq.schedules.entries import Description
from flowq.states import JobStatus
from flowq.store import Store
from flowq.store.schedules import SlotClaim
from flowq.store.schema.constants import COUNTED_NAMES as NAMES
from flowq.store.schema.new_jobs import NewJob
from flowq.store.schema.outcomes import Outcome
from flowq.store.schema.records import Registration
from flowq.telemetry.metrics.exposition import exposition
from flowq.telemetry.metrics.families import BY_NAME, FAMILIES
from flowq.telemetry.metrics.samples import Histogram, bounded, sample
from flowq.telemetry.metrics.stored import stored_samples
from tests.support import graphs
from tests.support.run_driver import Drive
from tests.support.server import PrivateServer
from tests.support.slot_driver import Driver, execution

HOUR = 3_600_000  # ms


@pytest.fixture
def driver(store: Store) -> Iterator[Driver]:
    made = Driver(store)
    yield made
    made.close()


def scrape(store: Store) -> dict[str, Metric]:
    """Return what a scraper reads, by metric."""
    text = exposition(stored_samples(store), own=False)
    return {metric.name + "_total" * (metric.type == "counter"): metric for metric in text_string_to_metric_families(text)}


def values(store: Store, name: str, suffix: str = "", **labels: str) -> dict[tuple[str, ...], float]:
    """Return the samples of a metric with these labels, by the values of the others."""
    found: dict[tuple[str, ...], float] = {}
    for item in scrape(store)[name].samples:
        if item.name == name + suffix and labels.items() <= item.labels.items():
            found[tuple(value for label, value in item.labels.items() if label not in labels)] = item.value
    return found


def new(store: Store, name: str, queue: str = "default", **more: object) -> None:
    fields = {key: str(value) for key, value in more.items()}
    assert store.jobs.create(NewJob(name, queue, b"", ids.nonce(), fields=fields))[0] is Outcome.DONE


def everything(store: Store, driver: Driver) -> str:
    """Let a run, plain jobs, a worker and a schedule leave their traces; return the id of the run."""
    schedule = "flows/nightly:default"
    store.schedules.beat("scheduler", [(schedule, "d", False)])
    entry = Entry(name="default", cron=("0 * * * *",))
    store.schedules.describe({schedule: Description(entry, "/flows/nightly.yaml", "/flows").to_json()})
    plan = graphs.plan({"a": [], "b": ["a"], "c": ["b"]})
    claim = SlotClaim("slot", schedule, HOUR, -1, HOUR, "skip")
    assert offer(store, plan, directory="/flows", run_id="secret-run", cause="schedule", slot=claim).outcome is Outcome.DONE
    Drive(store, driver, "secret-run", {"b": "failed"}).to_the_end()
    store.workers.register(dataclasses.replace(driver.registration, name="other-driver", nonce="other", executor="hpc"))
    for name in ("secret-job", "lost", "waiting"):
        new(store, name)
    assert driver.end(driver.take()) is Outcome.DONE
    driver.lose(driver.take())
    return "secret-run"


def test_every_metric_is_printed_with_its_labels(store: Store, driver: Driver) -> None:
    everything(store, driver)
    found = scrape(store)
    assert list(found) == [family.name for family in FAMILIES if not family.own]
    for name, metric in found.items():
        family = BY_NAME[name]
        assert (metric.type, metric.documentation) == (family.kind, family.meaning)
        assert metric.samples, name
        assert {tuple(label for label in item.labels if label != "le") for item in metric.samples} == {family.labels}, name


def test_no_label_is_an_id(store: Store, driver: Driver) -> None:
    everything(store, driver)
    shown = {value for metric in scrape(store).values() for item in metric.samples for value in item.labels.values()}
    assert [value for value in shown if re.search(r"secret|lost-|waiting-|driver", value)] == []
    assert {"test", "default", "flows/nightly:default", "finished"} <= shown


def test_ends_are_counted_by_flow_queue_status_and_reason(store: Store, driver: Driver) -> None:
    everything(store, driver)
    ends = {
        ("test", "default", "finished", ""): 1,
        ("test", "default", "failed", "error"): 1,
        ("test", "default", "skipped", "upstream_failed"): 1,
        ("", "default", "finished", ""): 1,
        ("", "default", "failed", "abandoned"): 1,
    }
    assert values(store, "flowq_jobs_total") == ends
    assert values(store, "flowq_runs_total") == {("test", "failed", "schedule"): 1, ("test", "finished", "schedule"): 0}
    assert values(store, "flowq_leases_lost_total") == {(): 1}
    assert values(store, "flowq_schedule_slots_total") == {("flows/nightly:default", "run"): 1}


def counted(store: Store) -> dict[tuple[str, ...], float]:
    """Return all that only grows: counters and histograms."""
    metrics = [metric for metric in scrape(store).values() if metric.type != "gauge"]
    return {(item.name, *item.labels.values()): item.value for metric in metrics for item in metric.samples}


def test_counters_survive_a_killed_server_and_the_loss_of_its_scripts() -> None:
    server = PrivateServer().start("--appendfsync", "always", appendonly=True)
    try:
        before = counted_after_everything(server)
        server.kill9()
        server.restart()
        store = Store(server.client(), namespace="flowq-test")
        store.open()
        assert counted(store) == before
        driver = Driver(store)
        for flush in (store.client.script_flush, store.client.function_flush):
            flush()
            new(store, flush.__name__)
            assert driver.end(driver.take()) is Outcome.DONE
        driver.close()
        grown = {name: value - before.get(name, 0) for name, value in counted(store).items()}
        assert grown["flowq_jobs_total", "", "default", "finished", ""] == 2
        assert {name[0] for name, value in grown.items() if value} == {
            "flowq_jobs_total", "flowq_job_duration_seconds_bucket", "flowq_job_duration_seconds_count",
            "flowq_job_wait_seconds_bucket", "flowq_job_wait_seconds_count",
        }  # fmt: skip
    finally:
        server.stop()


def counted_after_everything(server: PrivateServer) -> dict[tuple[str, ...], float]:
    store = Store(server.client(), namespace="flowq-test")
    store.open()
    driver = Driver(store)
    everything(store, driver)
    assert driver.end(driver.take()) is Outcome.DONE  # the one that waited
    driver.close()
    return counted(store)


def test_an_end_that_is_reported_twice_is_counted_once(store: Store, driver: Driver) -> None:
    new(store, "a")
    claim = driver.take()
    assert [driver.end(claim), driver.end(claim)] == [Outcome.DONE, Outcome.DUPLICATE]
    assert values(store, "flowq_jobs_total") == {("", "default", "finished", ""): 1}


def test_attempts_that_are_repeated_are_no_ends(store: Store, driver: Driver) -> None:
    run = submit(store, graphs.plan({"a": []}, retry=RetryPolicy(2)), directory="/nowhere", cause="cli")
    for _ in range(2):
        assert driver.end(driver.take(), "failed", reason="error") is Outcome.DONE
        assert values(store, "flowq_jobs_total") == {}
    assert driver.end(driver.take()) is Outcome.DONE
    assert values(store, "flowq_jobs_total", status="finished") == {("test", "default", ""): 1}
    assert values(store, "flowq_runs_total") == {("test", "finished", "cli"): 1, ("test", "failed", "cli"): 0}, (
        "so that the first failure is an increase"
    )
    assert values(store, "flowq_runs") == {("test", "finished"): 1}
    assert store.runs.require(run).attempt == 1


def test_runs_are_counted_by_how_they_ended(store: Store, driver: Driver) -> None:
    plan = graphs.plan({"a": [], "b": ["a"]}, cells={"b": 3})
    wanted: Counter[tuple[str, ...]] = Counter()
    for outcome in ("finished", "failed", "finished", "stopped"):
        run = submit(store, plan, directory="/nowhere", cause="api")
        Drive(store, driver, run, {"a": outcome}).to_the_end()
        wanted["test", str(store.runs.require(run).status), "api"] += 1
    canceled = submit(store, plan, directory="/nowhere", cause="api")
    store.runs.cancel(canceled)
    driver.settle()
    wanted["test", "canceled", "api"] += 1
    assert values(store, "flowq_runs_total") == wanted
    jobs = values(store, "flowq_jobs_total")
    assert sum(jobs.values()) == 5 * 4, "each job of each run ends once; groups are none"
    counts = Counter(
        str(job) for run in store.runs.recent(9) for job, n in store.runs.require(run).counts.items() for _ in range(n)
    )
    assert Counter({status: int(sum(v for k, v in jobs.items() if k[2] == status)) for status in counts}) == counts


def test_queues_of_local_runs_are_counted_by_their_own_names(store: Store) -> None:
    run = submit(store, graphs.plan({"a": []}), directory="/nowhere", local=True)
    local = Driver(store, f"{run}/default")
    Drive(store, local, run).to_the_end()
    local.close()
    assert values(store, "flowq_jobs_total") == {("test", "default", "finished", ""): 1}
    assert set(values(store, "flowq_job_wait_seconds", "_count")) == {("default",)}
    assert {queue for queue, _ in values(store, "flowq_queue_jobs")} <= {"default"}


def test_times_are_counted_in_buckets(store: Store, driver: Driver) -> None:
    new(store, "a")
    claim = driver.take()
    key, now = store.session.keys("job", "a"), store.now_ms()
    store.client.hset(key, mapping={"started_at": now - 2_000, "enqueued_at": now - 62_000})
    driver.end(claim)
    new(store, "b")
    store.jobs.cancel("b")
    took = {float(le): count for (_, le), count in values(store, "flowq_job_duration_seconds", "_bucket").items()}
    waited = {float(le): count for (_, le), count in values(store, "flowq_job_wait_seconds", "_bucket").items()}
    assert [bound for bound, count in took.items() if count] == [bound for bound in took if bound >= 5]
    assert [bound for bound, count in waited.items() if count] == [bound for bound in waited if bound >= 60], (
        "a bucket takes its bound"
    )
    assert values(store, "flowq_job_duration_seconds", "_count") == {("default",): 1}, "one that was not executed took no time"


def test_names_beyond_the_bound_are_counted_together(store: Store) -> None:
    names = [f"q{number}" for number in range(NAMES + 5)]
    driver = Driver(store, *names)
    queues = [*names, names[-1], names[-1]]
    store.jobs.create_many([NewJob(f"job{number}", queue, b"", ids.nonce()) for number, queue in enumerate(queues)])
    held = [claim for claim in driver.step(claims=len(queues)).claims if claim is not None]
    driver.step(*(execution(claim) for claim in held))
    driver.close()
    counted = {queue: count for (_, queue, *_), count in values(store, "flowq_jobs_total").items()}
    assert len(counted) == NAMES + 1
    assert counted["other"] in {5, 7}, "five names, and the last one may be among them"
    assert sum(counted.values()) == len(names) + 2
    assert len(values(store, "flowq_job_duration_seconds", "_count")) == NAMES + 1
    assert len({queue for queue, _ in values(store, "flowq_queue_jobs")}) == NAMES + 1
    series = store.client.hkeys(store.session.keys("stats"))
    assert len(series) <= 6 * (NAMES + 1), "what is not counted by its name leaves nothing behind"


def test_what_gauges_of_other_names_say() -> None:
    many = [sample("flowq_schedule_lag_seconds", number, schedule=f"s{number}") for number in range(NAMES + 3)]
    assert [item.value for item in bounded(many, "schedule")][-1] == NAMES + 2, "the longest lag, not their sum"
    queues = [sample("flowq_queue_jobs", 2, queue=f"q{number}", state="queued") for number in range(NAMES + 3)]
    rest = list(bounded(queues, "queue"))[-1]
    assert (dict(rest.labels), rest.value) == ({"queue": "other", "state": "queued"}, 6)


@pytest.mark.parametrize("name", ['a "quoted" one', "back\\slash", "Müll|#3|x", "\x1b[31mred", "'; DROP", "{}=,"])
def test_names_cannot_forge_lines(store: Store, driver: Driver, name: str) -> None:
    driver.queues = [name]
    new(store, "a", name)
    driver.end(driver.take())
    shown = re.sub(r"[\x00-\x09\x0b-\x1f]", "\N{REPLACEMENT CHARACTER}", name)
    assert values(store, "flowq_jobs_total") == {("", shown, "finished", ""): 1}
    assert "\x1b" not in exposition(stored_samples(store), own=False)


def test_a_name_of_two_lines_stays_on_one() -> None:
    text = exposition([sample("flowq_queue_oldest_seconds", 1.5, queue='a\nflowq_forged{x="y"} 1')], own=False)
    assert [line for line in text.splitlines() if not line.startswith("#")] == [
        'flowq_queue_oldest_seconds{queue="a\\nflowq_forged{x=\\"y\\"} 1"} 1.5'
    ]


def test_the_state_of_queues_and_workers(store: Store, driver: Driver) -> None:
    for name in ("a", "b", "c"):
        new(store, name)
    claim = driver.take()
    store.client.hset(store.session.keys("job", "b"), "enqueued_at", store.now_ms() - 60_000)
    registration = dataclasses.replace(driver.registration, slots=4)
    store.workers.register(registration)
    store.workers.heartbeat(registration, claim)
    jobs = values(store, "flowq_queue_jobs", queue="default")
    assert jobs == {(str(status),): 0.0 for status in JobStatus if (str(status),) in jobs} | {("queued",): 2, ("started",): 1}
    assert values(store, "flowq_queue_oldest_seconds")["default",] == pytest.approx(60, abs=5)
    assert values(store, "flowq_queue_workers") == {("default",): 1}
    assert values(store, "flowq_workers") == {("idle",): 0, ("busy",): 1, ("away",): 0, ("stopping",): 0}
    assert values(store, "flowq_executor_up") == {}
    assert values(store, "flowq_slots") == {("busy",): 1, ("free",): 3}
    driver.end(claim)


def test_an_executor_is_up_as_long_as_one_of_its_workers_gets_places(store: Store) -> None:
    for name, executor, state in (("a", "hpc", "away"), ("b", "hpc", "idle"), ("c", "lab", "away")):
        store.workers.register(Registration(name, ("cluster",), "host", 1, executor=executor))
        store.client.hset(store.session.keys("worker", name), "state", state)
    assert values(store, "flowq_executor_up") == {("hpc",): 1, ("lab",): 0}


def test_a_schedule_without_a_scheduler_lags(store: Store) -> None:
    name, now = "flows/nightly:default", store.now_ms()
    store.schedules.beat("scheduler", [(name, "d", False)])
    entry = Entry(name="default", cron=("0 * * * *",))
    store.schedules.describe({name: Description(entry, "/flows/nightly.yaml", "/flows").to_json()})
    last = now // HOUR * HOUR
    store.client.hset(store.session.keys("schedule", name), mapping={"since": last - 5 * HOUR, "slot": last - 3 * HOUR})
    assert values(store, "flowq_schedule_backlog") == {(name,): 3}
    lag = values(store, "flowq_schedule_lag_seconds")[name,]
    assert 2 * 3600 <= lag <= 3 * 3600 + 60
    assert values(store, "flowq_schedule_next_timestamp_seconds") == {(name,): last / 1000 + 3600}
    assert values(store, "flowq_schedulers") == {(): 1}
    store.schedules.pause(name, "ann")
    assert values(store, "flowq_schedule_paused") == {(name,): 1}
    assert values(store, "flowq_schedule_backlog") == {(name,): 0}, "what is paused waits for its user"
    store.schedules.leave("scheduler")
    assert values(store, "flowq_schedulers") == {(): 0}


def test_left_out_slots_are_counted_one_by_one(store: Store) -> None:
    name = "flows/nightly:default"
    store.schedules.beat("scheduler", [(name, "d", False)])
    claim = SlotClaim("slot", name, 9 * HOUR, -1, 9 * HOUR)
    assert store.schedules.settle(claim, "left_out", "latest", first=5 * HOUR, count=5)[0] is Outcome.DONE
    assert values(store, "flowq_schedule_slots_total") == {(name, "left_out"): 5}


def test_a_bucket_takes_its_bound() -> None:
    histogram = Histogram()
    for seconds in (0.01, 0.011, 86_400, 86_401):
        histogram.observe(seconds)
    counts = [int(item.value) for item in histogram.samples("flowq_store_seconds") if item.suffix == "_bucket"]
    assert counts[:2] + counts[-2:] == [1, 2, 3, 4]
    assert json.dumps(counts) == json.dumps(sorted(counts))
