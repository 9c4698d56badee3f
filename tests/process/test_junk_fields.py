"""Any field of a record may be damaged: workers end the job with a reason or set it aside, readers say what cannot be read."""

import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from flowq import Callback, Queue, SimpleWorker, Worker
from flowq.cli.main import run as command
from flowq.exceptions import CorruptRecordError
from flowq.flows.actions.submit import submit
from flowq.flows.documents.queue_documents import worker_json
from flowq.plan import Plan
from flowq.states import ENDED
from flowq.store import Store
from flowq.store.schema.job_fields import FIELDS
from flowq.store.schema.outcomes import LogLines
from tests.support.page_server import PageServer, token_of
from tests.support.server import PrivateServer
from tests.support.slot_driver import Driver
from tests.support.workers import flow, node, script

JUNK = (b"letters", b"\xff\xfe", b"", b"-1", b"nan", b"1e400", b"9" * 30, b"1|2|3|4|5", b"[1]")
SOME = JUNK[:3] + JUNK[5:6]
OWNER = "the-worker"
NO_NUMBER = "invalid literal for int() with base 10: 'letters'"
ALL = pytest.param(JUNK, marks=pytest.mark.chaos, id="all")


@pytest.fixture(autouse=True)
def _clean(store: Store) -> Iterator[None]:
    """What these tests break on purpose is no finding of the invariants."""
    yield
    store.client.flushall()
    store.open()


@pytest.mark.slow
@pytest.mark.parametrize("junk", [pytest.param(SOME, id="some"), ALL])
@pytest.mark.parametrize("kind", [Worker, SimpleWorker])
def test_no_field_of_a_job_ends_a_worker(
    kind: type[Worker], store: Store, caplog: pytest.LogCaptureFixture, junk: Sequence[bytes]
) -> None:
    queue = Queue(connection=store)
    for field in FIELDS:
        for number, value in enumerate(junk):
            name = f"{field}-{number}"
            more = {} if number % 2 else {"on_failure": Callback("os.getpid"), "on_stopped": Callback("os.getpid")}
            queue.enqueue("operator.add", 1, 2, job_id=name, **more)
            store.client.hset(store.session.keys("job", name), field, value)
    queue.enqueue("operator.add", 1, 2, job_id="good")
    with caplog.at_level(logging.WARNING):
        kind([queue]).work(burst=True)
    assert queue.fetch_job("good").get_status() == "finished"  # type: ignore[union-attr]
    told = {name.partition("|")[2] for name in store.workers.all_set_aside()}
    for field in FIELDS:
        for number in range(len(junk)):
            name = f"{field}-{number}"
            status: Any = store.client.hget(store.session.keys("job", name), "status") or b""
            assert status.decode("utf-8", "replace") in ENDED or name in told or field in {"status", "run"}, (name, status)
    assert "Traceback" not in caplog.text
    result = store.jobs.result("timeout-0")
    assert result is not None
    assert "what is stored of job timeout-0 cannot be read" in (result.error or "")


def damaged(store: Store, kind: str, name: str, values: Sequence[bytes]) -> Iterator[tuple[str, bytes]]:
    """Damage each field of a record in turn."""
    key = store.session.keys(kind, name)
    record: Any = store.client.hgetall(key)
    for field, value in record.items():
        for junk in values:
            store.client.hset(key, field, junk)
            yield field.decode(), junk
        store.client.hset(key, field, value)


@pytest.mark.slow
@pytest.mark.parametrize("values", [pytest.param(JUNK[:2], id="some"), ALL])
def test_readers_say_what_they_cannot_read(
    store: Store,
    server: PrivateServer,
    namespace: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    values: Sequence[bytes],
) -> None:
    env = {"FLOWQ_REDIS_URL": server.url, "FLOWQ_NAMESPACE": namespace}
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    driver = Driver(store, name=OWNER)
    run = submit(store, plan(), directory=tmp_path, run_id="junk")
    driver.settle()
    driver.end(driver.take(), "failed")
    driver.beat()
    Queue(connection=store).enqueue("operator.add", 1, 2, job_id="plain")
    readers = {
        "run": (("status", run), ("runs",), ("why", run, "b"), ("metrics",)),
        "job": (("status", run, "--json"), ("why", run, "b"), ("info", "--jobs"), ("result", run, "a"), ("metrics",)),
        "worker": (("info",), ("metrics",)),
    }
    pages = {
        "run": (f"/runs/{run}", "/runs"),
        "job": (f"/runs/{run}/jobs/0", f"/runs/{run}/jobs/1/why", f"/runs/{run}/jobs/0/result"),
        "worker": ("/workers", "/info"),
    }
    with PageServer(str(tmp_path), log=tmp_path / "page", env=env) as page:
        token = token_of(store, "admin")
        for kind, name in (("run", run), ("job", f"{run}:0"), ("worker", OWNER)):
            for number, (field, junk) in enumerate(damaged(store, kind, name, values)):
                words = readers[kind][number % len(readers[kind])]
                capfd.readouterr()
                code = command(words)
                told = "".join(capfd.readouterr())
                assert "internal error" not in told, (field, junk, words, told)
                assert code in {0, 1, 2}, (field, junk, words, told)
                path = pages[kind][number % len(pages[kind])]
                answer = page.api("GET", path, token=token)
                assert answer.status < 500 or "cannot be read" in json.loads(answer.body)["error"]["message"], (
                    field,
                    junk,
                    path,
                )
    driver.close()
    assert "Traceback" not in (tmp_path / "page").read_text()


@pytest.mark.parametrize("junk", JUNK)
def test_a_worker_with_a_damaged_time_is_listed(store: Store, junk: bytes) -> None:
    driver = Driver(store, name=OWNER)
    driver.beat()
    for field in ("started", "beat"):
        store.client.hset(store.session.keys("worker", OWNER), field, junk)
    worker = store.workers.get(OWNER)
    assert worker is not None
    assert worker_json(worker)["started_at"] == "1970-01-01T00:00:00.000Z"
    driver.close()


@pytest.mark.parametrize(
    ("field", "junk"), [("created_at", b"letters"), ("status", b"\xff\xfe"), ("attempt", b""), ("params", b"[1]")]
)
def test_a_list_names_a_damaged_run_and_shows_the_others(
    store: Store,
    server: PrivateServer,
    namespace: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    field: str,
    junk: bytes,
) -> None:
    monkeypatch.setenv("FLOWQ_REDIS_URL", server.url)
    monkeypatch.setenv("FLOWQ_NAMESPACE", namespace)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flow.yaml").write_text("name: test\njobs: {a: {run: 'true'}}\n")
    for name in ("a-older", "b-torn", "c-newer"):
        submit(store, plan(), directory=tmp_path, run_id=name)
    store.client.hset(store.session.keys("run", "b-torn"), field, junk)
    why = "the record of run b-torn cannot be read: "

    def said(*words: str) -> tuple[int, str, str]:
        code = command(words)
        return (code, *capfd.readouterr())

    for words in (("runs",), ("runs", "--json"), ("runs", "--status", "running"), ("info",), ("info", "--json")):
        code, out, err = said(*words)
        assert (code, err.count(why), len(err.splitlines())) == (0, 1, 1), (words, err)
        assert "c-newer" in out, words
        assert "a-older" in out, words
        assert "b-torn" not in out, words
    code, out, err = said("list", "--json")
    assert (code, json.loads(out)[0]["name"], err.count(why)) == (0, "test", 1)
    assert why in said("doctor")[1]
    assert said("runs", "--limit", "1")[2] == "", "it is not among these"
    assert said("cancel", "b-torn")[0] == (2 if field == "status" else 0)
    sweep(store)
    assert said("delete", "b-torn")[1] == "deleted run b-torn (its record was damaged)\n"
    assert said("runs")[2] == ""


def test_a_run_whose_plan_is_damaged_is_listed_and_named(
    store: Store, server: PrivateServer, namespace: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it is orphaned cannot be told then: its jobs would have to be known."""
    monkeypatch.setenv("FLOWQ_NAMESPACE", namespace)
    submit(store, plan(), directory="/", run_id="torn")
    waiting: Any = {"local": 1, "attempt": 2, "started_at": 1000, "jobs:queued": 0, "jobs:deferred": 2}
    store.client.hset(store.session.keys("run", "torn"), mapping=waiting)
    store.client.set(store.session.keys("plan", "torn"), b"letters")
    for words in (("runs",), ("info",)):
        assert command((*words, "-u", server.url)) == 0
        out, err = capfd.readouterr()
        assert "torn" in out
        assert "orphaned" not in out
        assert err.startswith("warning: the stored plan of run torn cannot be read: ")


def ended_run(store: Store, directory: Path) -> str:
    """Let `a` of a run fail and `b` finish; return the run's id."""
    run = submit(store, plan(), directory=directory, run_id="torn")
    driver = Driver(store, name=OWNER)
    driver.settle()
    claim = driver.take()
    driver.step(logs=(LogLines(claim.id, claim.token, 1, "out", b"a line\n"),))
    driver.end(claim, "failed")
    driver.end(driver.take())
    driver.settle()
    driver.close()
    return run


SALVAGED = [
    ("attempt", b"letters", "attempt: invalid literal"),
    ("started_at", b"-1", "started_at: '-1' is no time"),
    ("cache", b"[1]", "cache: "),
    ("status", b"odd", "status: 'odd' is not a valid"),
]


@pytest.mark.parametrize(("field", "junk", "why"), SALVAGED)
def test_a_run_is_shown_although_the_record_of_a_job_is_damaged(
    store: Store,
    server: PrivateServer,
    namespace: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    field: str,
    junk: bytes,
    why: str,
) -> None:
    env = {"FLOWQ_REDIS_URL": server.url, "FLOWQ_NAMESPACE": namespace}
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    run = ended_run(store, tmp_path)
    job = f"{run}:0"
    store.client.hset(store.session.keys("job", job), field, junk)
    text = f"the record of job {job} cannot be read: {why}"
    capfd.readouterr()

    def said(*words: str, code: int = 0) -> str:
        assert command(words) == code, (words, capfd.readouterr())
        return capfd.readouterr().out

    shown = said("status", run)
    assert f"the record of this job cannot be read: {why}" in shown
    assert "b  finished" in shown
    (torn, other) = json.loads(said("status", run, "--json"))["jobs"]
    assert torn["damaged"].startswith(text)
    assert "damaged" not in other
    assert text in said("why", run, "a")
    assert "a line" in said("logs", run)
    assert said("graph", run) == f"{'?' if field == 'status' else '✖'} a\n✔ b\n"
    if field == "status":
        assert f"flowq delete {run}" in shown
        assert command(("retry", run, "--failed", "--detach")) == 2
        assert (
            f"such a run cannot be retried: run the flow again, and remove this run with `flowq delete {run}`"
            in capfd.readouterr().err
        )
        return
    assert f"flowq retry {run} --job a   # writes its damaged record again" in shown
    said("retry", run, "--job", "a", "--detach")
    assert "cannot be read" not in said("status", run)


def test_the_api_names_the_damaged_record_of_a_job_and_shows_the_run(
    store: Store, server: PrivateServer, namespace: str, tmp_path: Path
) -> None:
    run = ended_run(store, tmp_path)
    store.client.hset(store.session.keys("job", f"{run}:0"), "attempt", "letters")
    text = f"the record of job {run}:0 cannot be read: attempt: {NO_NUMBER}"
    env = {"FLOWQ_REDIS_URL": server.url, "FLOWQ_NAMESPACE": namespace}
    with PageServer(str(tmp_path), log=tmp_path / "page", env=env) as page:
        token = token_of(store, "viewer")

        def read(path: str) -> Any:
            return json.loads(page.api("GET", path, token=token).body)

        assert read(f"/runs/{run}")["damaged"] == [{"ordinal": 0, "job": "a", "error": text}]
        assert len(read(f"/runs/{run}/jobs")["rows"]) == 2
        assert read(f"/runs/{run}/jobs/0")["damaged"] == text
        assert read(f"/runs/{run}/jobs/0/why")["details"][-1] == text


def test_entries_of_streams_that_cannot_be_read_are_left_out(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = ended_run(store, tmp_path)
    whole = store.runs.events(run), store.runs.logs(run)
    for kind in ("events", "logs"):
        for entry in (
            {"j": "x"},
            {"j": b"\xff", "f": "a", "t": "b", "r": "", "x": "1", "a": "1", "s": "out", "d": "x"},
            {"x": "letters"},
        ):
            store.client.xadd(store.session.keys(kind, run), entry)  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING):
        assert (store.runs.events(run), store.runs.logs(run), store.runs.latest_logs(run, 2)) == (*whole, whole[1][::-1])
        assert store.runs.events(run, after=whole[0][-1].seq) == []
        assert store.runs.logs(run, after=whole[1][-1].seq) == []
    assert len(caplog.messages) == 6, "each is told once"
    assert all("torn cannot be read, and is left out: " in text for text in caplog.messages)


def test_a_plan_that_is_missing_is_told_as_such(store: Store, tmp_path: Path) -> None:
    run = ended_run(store, tmp_path)
    store.client.delete(store.session.keys("plan", run))
    with pytest.raises(
        CorruptRecordError, match=f"the stored plan of run {run} cannot be read: it is missing .`flowq delete {run}`"
    ):
        store.runs.plan(run)


def test_requeueing_all_failed_jobs_names_a_damaged_one_and_takes_the_others(
    store: Store, server: PrivateServer, namespace: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWQ_NAMESPACE", namespace)
    queue = Queue(connection=store)
    for name in ("one", "torn", "two"):
        queue.enqueue("os.abort_", job_id=name)
    SimpleWorker([queue]).work(burst=True)
    store.client.hset(store.session.keys("job", "torn"), "attempt", "letters")
    capfd.readouterr()
    assert command(("requeue", "--all", "-u", server.url, "--queue", "default")) == 1, "one was not"
    out, err = capfd.readouterr()
    assert f"error: the record of job torn cannot be read: attempt: {NO_NUMBER}" in err
    assert "requeued 2 jobs in queue default" in out
    assert sorted(store.queues.job_ids("default")) == ["one", "two"]


def sweep(store: Store) -> None:
    """Let the jobs of canceled runs end."""
    driver = Driver(store, name=OWNER)
    driver.settle()
    driver.close()


def test_lists_of_the_api_name_what_is_damaged(store: Store, server: PrivateServer, namespace: str, tmp_path: Path) -> None:
    driver = Driver(store, name=OWNER)
    for name in ("a-older", "b-torn", "c-newer"):
        submit(store, plan(), directory=tmp_path, run_id=name)
    driver.settle()
    driver.take()
    driver.beat()
    store.client.hset(store.session.keys("run", "b-torn"), "created_at", "letters")
    job = next(iter(store.workers.jobs(OWNER)))
    store.client.hset(store.session.keys("job", job), "attempt", "letters")
    env = {"FLOWQ_REDIS_URL": server.url, "FLOWQ_NAMESPACE": namespace}
    with PageServer(str(tmp_path), log=tmp_path / "page", env=env) as page:

        def read(path: str, token: str) -> Any:
            answer = page.api("GET", path, token=token)
            assert answer.status == 200, (path, answer.body)
            return json.loads(answer.body)

        viewer, scoped = token_of(store, "viewer"), token_of(store, "viewer", "elsewhere/*")
        found = read("/runs", viewer)
        assert [run["id"] for run in found["items"]] == ["c-newer", "a-older"]
        assert [run["id"] for run in found["damaged"]] == ["b-torn"]
        assert found["damaged"][0]["error"].startswith("the record of run b-torn cannot be read: ")
        assert read("/runs?limit=1", viewer)["damaged"] == []
        assert (read("/runs", scoped)["items"], read("/runs", scoped)["damaged"]) == ([], [])
        (worker,) = read("/workers", viewer)["items"]
        assert worker["jobs"] == [{"id": job, "error": f"the record of job {job} cannot be read: attempt: {NO_NUMBER}"}]
        assert read("/workers", scoped)["items"][0]["jobs"] == []
        assert read("/queues", viewer)["items"][0]["name"] == "default"
    driver.close()


def plan() -> Plan:
    return flow(node("a", script("false")), node("b", script("true")))


@pytest.mark.parametrize("field", ["outcome", "token", "ended_at", "started_at", "worker"])
def test_a_damaged_result(store: Store, field: str) -> None:
    queue = Queue(connection=store)
    queue.enqueue("operator.add", 1, 2, job_id="job")
    SimpleWorker([queue]).work(burst=True)
    key = store.session.keys("job", "job")
    right = store.client.hget(key, field) or b""
    for junk in JUNK:
        store.client.hset(key, field, junk)
        told = ""
        try:
            store.jobs.results("job")
        except CorruptRecordError as error:
            told = str(error)
        assert "result cannot be read" in told or field in {"outcome", "worker"} or junk in {b"", b"-1", b"9" * 30}
    store.client.hset(key, field, right)
    store.client.lpush(store.session.keys("results", "job"), b"\xff\xfe 1")
    with pytest.raises(CorruptRecordError, match="an earlier result cannot be read"):
        store.jobs.results("job")
