"""Messages about runs (`notify`): written down with what they tell, sent by a worker, at least once, to an address known by reference."""

import dataclasses
import hashlib
import hmac
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowq.compiler import compile_text
from flowq.flows.actions.retry import plan_retry
from flowq.plan import Plan
from flowq.plan.notice import Notice
from flowq.plan.schedule import Entry
from flowq.schedules.scheduler import Scheduler
from flowq.store import Store
from tests.schedules.flows import Flow, Flows
from tests.support.endpoint import Asked, Endpoint
from tests.support.server import PrivateServer
from tests.support.wait import until
from tests.support.workers import WorkerProcess, ended, flow, node, script, start

WINDOW = 300_000  # ms, as of `lib/notices`


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    with Endpoint() as receiver:
        monkeypatch.setenv("OPS", f"{receiver.url}/hook?token=canary")
        yield receiver


@pytest.fixture
def url(server: PrivateServer) -> str:
    return server.url


def notice(*on: str, **more: Any) -> Notice:
    return Notice(on=on, to={"env": "OPS"}, **more)


def one(text: str, *notices: Notice, **more: Any) -> Plan:
    """Return a flow of one job."""
    return flow(node("a", script(text)), notify=notices, **more)


def messages(endpoint: Endpoint, count: int) -> list[Asked]:
    until(lambda: len(endpoint.asked) >= count, message=f"{count} messages")
    return sorted(endpoint.asked, key=lambda item: str(item.document["event"]))


def queued(store: Store) -> list[dict[str, str]]:
    """Return the messages that were written down and not sent."""
    client: Any = store.client
    rows = [client.hgetall(key) for key in client.scan_iter("*webhook:*")]
    return [{name.decode(): value.decode() for name, value in row.items()} for row in rows]


def due_now(store: Store) -> float:
    """Let the only message that was written down be due; return when it was."""
    client: Any = store.client
    ((name, due),) = client.zrange(f"{{{store.namespace}}}:webhooks", 0, -1, withscores=True)
    client.zadd(f"{{{store.namespace}}}:webhooks", {name: 0})
    return float(due)


def test_the_end_of_a_run_is_told(store: Store, url: str, endpoint: Endpoint, tmp_path: Path) -> None:
    with WorkerProcess(url):
        good = start(store, one("true", notice("finished", "failed")), tmp_path)
        bad = start(store, one("exit 3", notice("finished", "failed", "canceled"), notice("canceled"), name="other"), tmp_path)
        failed, finished = messages(endpoint, 2)
        until(lambda: not queued(store), message="the messages to be over")
    assert (failed.document["event"], failed.document["run"]["id"], failed.document["flow"]) == ("failed", bad, "other")
    assert failed.document["message"] == f"other failed (run {bad}): a"
    assert (failed.document["failed_jobs"], finished.document["failed_jobs"]) == (["a"], [])
    assert (finished.document["run"]["id"], finished.document["run"]["status"]) == (good, "finished")
    assert finished.path == "/hook?token=canary"
    assert finished.headers["X-Flowq-Event"] == "finished"
    assert finished.headers["X-Flowq-Delivery"]
    assert len(endpoint.asked) == 2


@pytest.mark.parametrize(
    ("count", "named"),
    [(2, "a[n=0], a[n=1]"), (5, "a[n=0], a[n=1], a[n=2] and 2 more"), (30, "a[n=0], a[n=1], a[n=2] and others")],
)
def test_the_jobs_that_made_a_run_fail_are_named(
    store: Store, url: str, endpoint: Endpoint, tmp_path: Path, count: int, named: str
) -> None:
    """Not those that may fail, that were skipped, or that deal with the failure."""
    plan = compile_text(
        f"""
name: test
notify: [{{on: failed, to: {{env: OPS}}}}]
jobs:
  may: {{run: exit 1, allow_failure: true}}
  a: {{run: exit 1, matrix: {{n: {list(range(count))}}}}}
  b: {{run: "true", depends_on: a}}
on_failure: {{handler: {{run: exit 1}}}}
"""
    ).plan
    assert plan is not None
    with WorkerProcess(url, "-c", "4"):
        run = start(store, plan, tmp_path)
        (asked,) = messages(endpoint, 1)
    assert asked.document["message"] == f"test failed (run {run}): {named}"
    assert asked.document["failed_jobs"] == [f"a[n={number}]" for number in range(min(count, 20))]


def test_a_run_whose_plan_cannot_be_read_is_told_of(store: Store, url: str, endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.answers = [500]
    with WorkerProcess(url):
        run = start(store, one("exit 3", notice("failed")), tmp_path)
        until(lambda: [item.due_in < 10 for item in store.webhooks.pending(run) if endpoint.asked] == [True], timeout=20)
    store.client.set(store.session.keys("plan", run), b"{")
    due_now(store)
    with WorkerProcess(url):
        until(lambda: len(endpoint.asked) == 2, timeout=20)
    assert endpoint.asked[1].document["message"] == f"test failed (run {run})"


def test_the_address_is_stored_nowhere(
    store: Store, server: PrivateServer, url: str, endpoint: Endpoint, tmp_path: Path
) -> None:
    endpoint.answers = [500]
    with WorkerProcess(url):
        start(store, one("true", notice("finished")), tmp_path)
        messages(endpoint, 1)
        until(lambda: [item["tries"] for item in queued(store)] == ["1"])
    administrator: Any = server.client()
    kept = b"".join(administrator.dump(key) or b"" for key in administrator.scan_iter())
    assert b"canary" not in kept
    assert endpoint.url.encode() not in kept


def test_a_message_can_be_signed(
    store: Store, url: str, endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("secret\n")
    with WorkerProcess(url):
        start(store, one("true", notice("finished", secret={"file": str(tmp_path / "key")})), tmp_path)
        (asked,) = messages(endpoint, 1)
    expected = hmac.new(b"secret", asked.body, hashlib.sha256).hexdigest()
    assert asked.headers["X-Flowq-Signature"] == f"sha256={expected}"


def test_the_text_is_a_template(store: Store, url: str, endpoint: Endpoint, tmp_path: Path) -> None:
    text = {"$join": [{"$": "run.name"}, " of ", {"$": "params.day"}, ": ", {"$": "event.kind"}]}
    with WorkerProcess(url):
        start(store, one("true", notice("finished", message=text), params={"day": "2026-01-31"}), tmp_path)
        (asked,) = messages(endpoint, 1)
    assert asked.document["message"] == "test of 2026-01-31: finished"


def test_the_first_success_after_a_failure(store: Store, url: str, endpoint: Endpoint, tmp_path: Path) -> None:
    plan = one(f"[ -e {tmp_path}/ok ]", notice("recovered"))
    with WorkerProcess(url):
        ended(store, start(store, plan, tmp_path))
        (tmp_path / "ok").touch()
        ended(store, start(store, plan, tmp_path))
        (asked,) = messages(endpoint, 1)
        ended(store, start(store, plan, tmp_path))
    assert asked.document["event"] == "recovered"
    assert asked.document["message"].startswith("test has succeeded again")
    assert queued(store) == []


def test_each_attempt_of_a_run_is_told(store: Store, url: str, endpoint: Endpoint, tmp_path: Path) -> None:
    with WorkerProcess(url):
        run = start(store, one(f"[ -e {tmp_path}/ok ]", notice("failed", "finished")), tmp_path)
        messages(endpoint, 1)
        (tmp_path / "ok").touch()
        plan_retry(store, run).apply(store)
        failed, finished = messages(endpoint, 2)
    assert [item.document["run"]["attempt"] for item in (failed, finished)] == [1, 2]


def test_a_slow_run_is_told_once_while_it_runs(store: Store, url: str, endpoint: Endpoint, tmp_path: Path) -> None:
    text = f"until [ -e {tmp_path}/go ]; do sleep 0.05; done"
    with WorkerProcess(url):
        run = start(store, one(text, notice("slow", slow=0.3), notice("slow", slow=3600)), tmp_path)
        (asked,) = messages(endpoint, 1)
        assert (asked.document["event"], asked.document["run"]["status"]) == ("slow", "running")
        (tmp_path / "go").touch()
        ended(store, run)
    assert len(endpoint.asked) == 1


def test_without_a_time_a_run_is_slow_beyond_twice_the_median(
    store: Store, url: str, endpoint: Endpoint, tmp_path: Path
) -> None:
    """Three runs of the flow show how long it takes; of these none is slow, however long."""
    text = f"until [ -e {tmp_path}/go ]; do sleep 0.05; done"
    (tmp_path / "go").touch()
    with WorkerProcess(url):
        for _ in range(3):
            ended(store, start(store, one(text, notice("slow")), tmp_path))
        (tmp_path / "go").unlink()
        run = start(store, one(text, notice("slow")), tmp_path)
        (asked,) = messages(endpoint, 1)
        (tmp_path / "go").touch()
        ended(store, run)
    assert (asked.document["event"], asked.document["run"]["id"]) == ("slow", run)


@pytest.mark.parametrize(
    ("latest", "after"),
    [([], None), ([5000, 1000], None), ([1000, 9000, 2000], 4000), ([1000, 2000, 3000, 90_000], 5000), ([700] * 11, 1400)],
)
def test_the_usual_duration_is_the_median(store: Store, tmp_path: Path, latest: list[int], after: int | None) -> None:
    plan = one("true", notice("slow"), file="/flows/a.yaml")
    key = f"{{{store.namespace}}}:"
    if latest:
        store.client.hset(f"{key}durations", plan.file, " ".join(map(str, latest)))
    run = start(store, plan, tmp_path)
    begun = store.client.hget(f"{key}run:{run}", "started_at")
    due = store.client.zscore(f"{key}timers", f"slow|usual|{run}")
    assert begun is not None
    assert due == (None if after is None else int(begun) + after)
    store.runs.cancel(run)


def test_the_durations_of_the_latest_runs_are_kept(store: Store, url: str, endpoint: Endpoint, tmp_path: Path) -> None:
    """Those that finished, in their first attempt: a retry executes a part only."""
    key = f"{{{store.namespace}}}:durations"
    plan = one(f"[ -e {tmp_path}/ok ]", notice("failed"), file="/flows/a.yaml")
    store.client.hset(key, plan.file, " ".join(["77"] * 11))
    with WorkerProcess(url):
        run = start(store, plan, tmp_path)
        ended(store, run)
        (tmp_path / "ok").touch()
        plan_retry(store, run).apply(store)
        ended(store, run)
        assert store.client.hget(key, plan.file) == b" ".join([b"77"] * 11)
        ended(store, start(store, plan, tmp_path))
        messages(endpoint, 1)
    kept = (store.client.hget(key, plan.file) or b"").split()
    assert (len(kept), kept[1:]) == (11, [b"77"] * 10)


def test_an_approval_that_waits_is_told_with_its_name(store: Store, url: str, endpoint: Endpoint, tmp_path: Path) -> None:
    from flowq.plan import Action

    plan = flow(
        node("a", script("true")),
        node("sure", Action("approval")),
        edges={"sure": {"a": "success"}},
        notify=(notice("waiting"),),
    )
    with WorkerProcess(url):
        run = start(store, plan, tmp_path)
        (asked,) = messages(endpoint, 1)
    assert (asked.document["event"], asked.document["job"]) == ("waiting", "sure")
    assert asked.document["message"] == f"test waits for a decision (run {run}): sure"
    store.runs.cancel(run)


def test_messages_of_one_kind_within_minutes_are_one(store: Store, url: str, endpoint: Endpoint, tmp_path: Path) -> None:
    with WorkerProcess(url):
        runs = [start(store, one("exit 1", notice("failed")), tmp_path) for _ in range(3)]
        for run in runs:
            ended(store, run)
        messages(endpoint, 1)
        until(lambda: len(queued(store)) == 1)
        (later,) = queued(store)
        assert later["count"] == "2"
        assert WINDOW - 30_000 < due_now(store) - store.now_ms() <= WINDOW
        assert messages(endpoint, 2)[-1].document["count"] == 2


def test_a_killed_worker_leaves_the_message_to_another(store: Store, url: str, endpoint: Endpoint, tmp_path: Path) -> None:
    with WorkerProcess(url) as first:
        endpoint.before = lambda: first.signal(signal.SIGKILL)
        start(store, one("true", notice("finished")), tmp_path)
        messages(endpoint, 1)
        first.wait()
    endpoint.before = lambda: None
    due_now(store)  # as after the time that the first one had
    with WorkerProcess(url):
        first_time, second_time = messages(endpoint, 2)
    assert first_time.headers["X-Flowq-Delivery"] == second_time.headers["X-Flowq-Delivery"]
    assert [item.headers["X-Flowq-Try"] for item in (first_time, second_time)] == ["1", "2"]


@pytest.mark.parametrize("signed", [True, False])
def test_with_a_key_only_signed_notices_are_sent(
    store: Store, url: str, endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signed: bool
) -> None:
    key = {"FLOWQ_SECRET_KEY": "0123456789abcdef"}
    monkeypatch.setenv(*key.copy().popitem())
    run = start(store, one("true", notice("finished")), tmp_path)
    if not signed:
        field = f"{{{store.namespace}}}:run:{run}"
        known = store.client.hget(field, "notify")
        assert isinstance(known, bytes)
        store.client.hset(field, "notify", known.replace(b'"OPS"', b'"OTHER"'))
    with WorkerProcess(url, env={"OTHER": f"{endpoint.url}/other", **key}):
        ended(store, run)
        if signed:
            assert messages(endpoint, 1)[0].path.startswith("/hook")
        else:
            until(lambda: [item["tries"] for item in queued(store)] == ["1"])
            assert endpoint.asked == []


def test_an_address_of_another_kind_is_reached_through_apprise(
    store: Store, url: str, endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPS", endpoint.url.replace("http://", "json://") + "/chat")
    with WorkerProcess(url):
        run = start(store, one("exit 1", notice("failed")), tmp_path)
        (asked,) = until(lambda: endpoint.asked, timeout=20, message="a message")
    assert json.loads(asked.body)["message"] == f"test failed (run {run}): a"


def test_an_address_that_is_not_there_is_tried_again(
    store: Store, url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with WorkerProcess(url):
        run = start(store, one("true", notice("finished")), tmp_path)
        until(lambda: [item["tries"] for item in queued(store)] == ["1"])
        until(lambda: "tried again" in (told := capfd.readouterr().err) and f"run {run}: message (finished) to $OPS" in told)


@pytest.mark.slow
def test_a_local_run_waits_for_its_messages(home: Path, endpoint: Endpoint, tmp_path: Path) -> None:
    """From Python, as `flowq run` does: the worker ends with the run, and sends before it does."""
    from flowq import Flow
    from flowq.connections.clients import open_store

    assert home.is_dir()
    with open_store().client as client:
        assert client.ping()
    endpoint.answers = [500]
    run = Flow(one("true", notice("finished"))).run(directory=tmp_path)
    assert run.status == "finished"
    assert [item.headers["X-Flowq-Try"] for item in endpoint.asked] == ["1", "2"]


def test_a_slot_whose_flow_is_not_valid_is_told_once(store: Store, url: str, endpoint: Endpoint) -> None:
    every = Entry(name="default", every=1000)
    flows = Flows.of(Flow("nightly", (every,), notify=(notice("refused", "failed"),)))
    scheduler = Scheduler(store, flows)
    scheduler.turn()
    flows.flows = {"nightly": Flow("nightly", (every,), "jobs: {a: {runs: 'true'}}\n")}
    scheduler.request_look()
    with WorkerProcess(url):
        until(lambda: scheduler.turn() and endpoint.asked, message="a message")
        scheduler.turn()
    (asked,) = endpoint.asked
    assert (asked.document["event"], asked.document["run"], asked.document["flow"]) == (
        "refused",
        None,
        "flows/nightly:default",
    )
    assert asked.document["message"].startswith("flows/nightly:default did not run: its flow is not valid (20")
    assert "FQ101" in asked.document["error"]


def test_it_is_told_also_by_a_scheduler_that_never_saw_the_flow_valid(store: Store, url: str, endpoint: Endpoint) -> None:
    """What an earlier one told of the entry counts, but not of entries that were renamed since."""
    every = Entry(name="default", every=1000)
    told = (notice("refused"),)
    former = Scheduler(store, Flows.of(Flow("nightly", (dataclasses.replace(every, name="old"),), notify=told)))
    former.turn()
    store.client.zincrby(f"{{{store.namespace}}}:schedules", -120_000, "flows/nightly:old")
    Scheduler(store, Flows.of(Flow("nightly", (every,), notify=told))).turn()
    late = Scheduler(store, Flows.of(Flow("nightly", (), "jobs: {a: {runs: 'true'}}\n"), Flow("new", (), "jobs: 3\n")))
    with WorkerProcess(url):
        until(lambda: late.turn() and endpoint.asked, message="a message")
    assert endpoint.asked[0].document["flow"] == "flows/nightly:default"
    assert {item.outcome for item in store.schedules.log("flows/nightly:default")} == {"refused"}
    assert store.schedules.log("flows/nightly:old") == []
