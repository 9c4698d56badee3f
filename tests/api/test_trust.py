"""With a secret key, only signed data from the server is decoded or executed; `allow` limits the functions that a worker calls."""

import hashlib
import json
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from flowq import Callback, Job, Queue, SimpleWorker, Webhook, Worker, signing
from flowq.compiler import compile_text
from flowq.exceptions import ConfigError, DeserializationError, SignatureError
from flowq.flows.actions.submit import submit
from flowq.worker.horse.allowlist import refusal
from tests.api import samples
from tests.support.endpoint import Endpoint
from tests.support.wait import until
from tests.support.workers import WorkerProcess, ended

KEY = "a key that only our own machines know"
OTHER = "the key of another group of machines"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(signing.VARIABLE, KEY)


class Gadget:
    """An attacker's pickle in place of arguments, which runs a command when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def why(job: Job) -> str:
    job.refresh()
    assert job.is_failed
    latest = job.latest_result()
    assert latest is not None
    return str(latest.exc_string)


def key(name: str, job: Job) -> str:
    return f"{{flowq}}:{name}:{job.id}"


# -- plain jobs ----------------------------------------------------------------------------------------------------------------


def test_a_signed_job_is_executed_and_read(queue: Queue, work: Callable[..., None]) -> None:
    job = queue.enqueue(samples.add, 1, 2, meta={"for": "ann"}, on_success=Callback(samples.add))
    queue.enqueue(samples.add, 1, 2)
    work()
    read = Job.fetch(job.id, connection=queue.connection)
    assert read.args == (1, 2)
    assert read.meta == {"for": "ann"}
    other = queue.enqueue(samples.add, 4, 5)
    work()
    assert other.return_value() == 9


@pytest.mark.parametrize("worker_class", ["forked", "simple", "sync"])
def test_unsigned_data_is_not_decoded(
    queue: Queue, work: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worker_class: str
) -> None:
    monkeypatch.delenv(signing.VARIABLE)
    job = queue.enqueue(samples.add, Gadget(tmp_path / "canary"), 1)
    monkeypatch.setenv(signing.VARIABLE, KEY)
    if worker_class == "forked":
        work()
    elif worker_class == "simple":
        SimpleWorker([queue]).work(burst=True)
    else:
        monkeypatch.setattr(signing, "seal", lambda data, *_: data)  # a producer without the key
        job = Queue(connection=queue.connection, is_async=False).enqueue(samples.add, Gadget(tmp_path / "canary"), 1)
    assert "is not signed, and FLOWQ_SECRET_KEY is set here" in why(job)
    assert not (tmp_path / "canary").exists()
    with pytest.raises(SignatureError, match=f"the call of job {job.id} is not signed"):
        _ = Job.fetch(job.id, connection=queue.connection).args


def test_arguments_of_another_job(queue: Queue, connection: redis.Redis, work: Callable[..., None]) -> None:
    one, two = queue.enqueue(samples.add, 1, 2), queue.enqueue(samples.add, 3, 4)
    connection.copy(key("payload", one), key("payload", two), replace=True)
    work()
    assert one.return_value() == 3
    assert f"the signature of the call of job {two.id} is wrong" in why(two)


@pytest.mark.parametrize("field", ["on_success", "on_failure", "serializer", "webhooks"])
def test_callbacks_and_handlers_are_signed_too(
    queue: Queue, connection: redis.Redis, work: Callable[..., None], tmp_path: Path, field: str
) -> None:
    job = queue.enqueue(samples.add, 1, 2)
    connection.hset(key("job", job), field, "os.mkdir|60000" if field.startswith("on_") else str(tmp_path))
    work()
    assert "is wrong" in why(job)


@pytest.mark.parametrize("timeout", [0.05, 1, 60, 90.5, 1234567])
def test_callbacks_are_signed_as_schema_1_did(queue: Queue, timeout: float) -> None:
    job = queue.enqueue(samples.add, 1, 2, on_success=Callback(samples.add, timeout), on_stopped=Callback("os.mkdir", timeout))
    record = queue.store.jobs.get(job.id)
    assert record is not None
    assert record.fields["on_stopped"] == f"os.mkdir|{timeout * 1000:.0f}"
    signed = ("call of job", job.id, "", f"tests.api.samples.add|{timeout:g}", "", f"os.mkdir|{timeout:g}", "")
    assert signing.payload_context(job.id, record.fields) == signed


@pytest.mark.parametrize("text", ["os.mkdir", "os.mkdir|", "os.mkdir|soon", "|", ""])
def test_a_callback_that_is_none_is_signed_by_no_one(text: str) -> None:
    assert signing.payload_context("a", {"on_success": text})[3] == text


def test_forged_results_and_data(queue: Queue, connection: redis.Redis, work: Callable[..., None], tmp_path: Path) -> None:
    job = queue.enqueue(samples.add, 1, 2, meta={"a": 1})
    work()
    forged = pickle.dumps(Gadget(tmp_path / "canary"))
    for name in ("result", "meta"):
        connection.set(key(name, job), forged)
    read = Job.fetch(job.id, connection=connection)
    with pytest.raises(SignatureError, match=f"the result of job {job.id} is not signed"):
        read.return_value()
    with pytest.raises(SignatureError, match=f"the meta of job {job.id} is not signed"):
        _ = read.meta
    assert not (tmp_path / "canary").exists()


def test_a_job_stores_signed_data_while_it_runs(queue: Queue, work: Callable[..., None]) -> None:
    job = queue.enqueue(samples.save_progress)
    work()
    assert not job.is_failed, why(job)
    assert Job.fetch(job.id, connection=queue.connection).meta == {"progress": 100}


def test_the_callback_of_a_lost_execution(queue: Queue, work: Callable[..., None], tmp_path: Path) -> None:
    log = tmp_path / "log"
    job = queue.enqueue(samples.add, 1, on_failure=Callback(samples.on_failure), meta={"log": str(log)})
    assert queue.store.workers.claim("gone", ["default"], 0.001) is not None
    until(lambda: queue.store.workers.sweep(10).more or job.is_failed, message="the lease to run out")
    work()
    assert log.read_text() == "failure AbandonedJobError\n"


def test_a_key_is_changed_without_downtime(queue: Queue, work: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    old = queue.enqueue(samples.add, 1, 2)
    monkeypatch.setenv(signing.VARIABLE, f"{OTHER}, {KEY}")
    new = queue.enqueue(samples.add, 3, 4)
    work()
    assert (old.return_value(), new.return_value()) == (3, 7)
    monkeypatch.setenv(signing.VARIABLE, OTHER)
    assert new.return_value() == 7
    assert old.return_value() == 3, "the worker signed it with the new key"
    with pytest.raises(SignatureError, match="it was signed with another"):
        _ = Job.fetch(old.id, connection=queue.connection).args


def test_without_a_key_everything_is_accepted(queue: Queue, work: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    job = queue.enqueue(samples.add, 1, 2, meta={"a": 1})
    monkeypatch.delenv(signing.VARIABLE)
    work()
    read = Job.fetch(job.id, connection=queue.connection)
    assert (read.args, read.meta, read.return_value()) == ((1, 2), {"a": 1}, 3)


def test_a_key_that_is_too_short(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(signing.VARIABLE, "hunter2")
    with pytest.raises(ConfigError, match=r"FLOWQ_SECRET_KEY: a key of 7 characters is too short, expected 16 or more"):
        queue.enqueue(samples.add, 1, 2)


@given(st.binary(max_size=200), st.lists(st.text(max_size=20), max_size=3), st.integers(0), st.integers(0, 7))
def test_no_bit_can_be_changed(data: bytes, context: list[str], place: int, bit: int) -> None:
    sealed = bytearray(signing.seal(data, *context))
    assert signing.unseal(bytes(sealed), *context) == data
    sealed[place % len(sealed)] ^= 1 << bit
    with pytest.raises(SignatureError):
        signing.unseal(bytes(sealed), *context)
    with pytest.raises(SignatureError):
        signing.unseal(signing.seal(data, *context), *context, "more")


@pytest.mark.parametrize("attack", ["one more", "another address", "another header", "no signature"])
def test_a_webhook_that_was_changed_on_the_server_is_not_sent(queue: Queue, connection: redis.Redis, attack: str) -> None:
    """A worker is in a network in which one who writes to the server may not be."""
    with Endpoint() as endpoint:
        forge_webhook(connection, endpoint.url, attack)
        queue.enqueue(samples.add, 1, 2, webhooks=[Webhook(f"{endpoint.url}/fine", "finished")])
        Worker([queue], connection=connection).work(burst=True)
        assert [asked.path for asked in endpoint.asked] == ["/fine"]
        assert connection.hget("{flowq}:webhook:x|1|1", "tries") == b"1"  # it was looked at


def forge_webhook(connection: redis.Redis, url: str, attack: str) -> None:
    """Put a delivery on the list as one can who writes to the server and has seen another one."""
    spec = json.loads(Webhook(f"{url}/seen", "finished").stored().split(" ", 2)[2])
    match attack:
        case "one more":
            spec = {**spec, **Webhook(f"{url}/evil", "finished", method="POST").to_dict()}
        case "another address":
            spec["url"] = f"{url}/evil"
        case "another header":
            spec["headers"] = {"X-Evil": "1"}
        case "no signature":
            spec.pop("signed", None)
    fields = {"timeout": "10000", "job": "x", "func": "f", "status": "finished", "execution": "1", "enqueued_at": ""}
    for name, value in {**fields, "ended_at": "1", "tries": "0", "spec": json.dumps(spec)}.items():
        connection.hset("{flowq}:webhook:x|1|1", name, value)
    connection.zadd("{flowq}:webhooks", {"x|1|1": 0})


def test_a_signed_webhook_is_sent_by_sync_queues_and_by_workers_that_have_a_second_key(
    connection: redis.Redis, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Endpoint() as endpoint:
        hooks = [Webhook(f"{endpoint.url}/fine", "finished", method="POST", headers={"X-Own": "yes"}, timeout="5s")]
        Queue(is_async=False, connection=connection).enqueue(samples.add, 1, webhooks=hooks)
        job = queue.enqueue(samples.add, 1, webhooks=hooks)
        assert Job.fetch(job.id, connection=connection).webhooks == hooks
        monkeypatch.setenv(signing.VARIABLE, f"{OTHER},{KEY}")
        Worker([queue], connection=connection).work(burst=True)
        assert [asked.path for asked in endpoint.asked] == ["/fine"] * 2


# -- flows ---------------------------------------------------------------------------------------------------------------------


def flow_of(tmp_path: Path, queue: Queue) -> str:
    plan = compile_text(f"jobs:\n  a: {{run: 'echo fine > {tmp_path}/fine'}}\n").plan
    assert plan is not None
    return submit(queue.store, plan, directory=tmp_path)


def test_a_signed_flow_runs(queue: Queue, tmp_path: Path) -> None:
    run = flow_of(tmp_path, queue)
    with WorkerProcess(
        queue.store.session.client.connection_pool.connection_kwargs["path"].join(("unix://", "")), namespace="flowq"
    ):
        assert [str(record.status) for record in ended(queue.store, run)] == ["finished"]
    assert (tmp_path / "fine").exists()


@pytest.mark.parametrize("attack", ["the plan", "the directory", "no signature"])
def test_a_changed_flow_does_not_run(queue: Queue, connection: redis.Redis, tmp_path: Path, attack: str) -> None:
    run = flow_of(tmp_path, queue)
    if attack == "the plan":
        plan = connection.get(f"{{flowq}}:plan:{run}")
        assert isinstance(plan, bytes)
        connection.set(f"{{flowq}}:plan:{run}", plan.replace(b"echo fine >", b"echo evil >"))
    elif attack == "the directory":
        connection.hset(f"{{flowq}}:run:{run}", "directory", "/tmp")
    else:
        connection.hdel(f"{{flowq}}:run:{run}", "signature")
    url = f"unix://{connection.connection_pool.connection_kwargs['path']}"
    with WorkerProcess(url, namespace="flowq"):
        records = ended(queue.store, run)
    assert [str(record.status) for record in records] == ["failed"]
    result = queue.store.jobs.result(records[0].id)
    assert result is not None
    assert f"plan of run {run} is" in str(result.value)
    assert not (tmp_path / "fine").exists()


FETCHING = """
jobs:
  made: {workdir: made, run: "printf 'echo fine > {place}/fine' > script", artifacts: {tool: script}}
  other: {workdir: other, run: "printf 'echo evil > {place}/evil' > script", artifacts: {tool: script}}
  use: {queue: later, depends_on: [made, other], fetch: {made.tool: tool/}, run: sh tool/script}
"""


@pytest.mark.parametrize(("attack", "says"), [
    ("none", None),
    ("files of another job", "signature of the artifact tool of job .* is wrong"),
    ("other files", "signature of the artifact tool of job .* is wrong"),
    ("another path", "signature of the artifact tool of job .* is wrong"),
    ("no signature", "the artifact tool of job .* is not signed"),
])  # fmt: skip
def test_files_that_were_changed_on_the_server_do_not_reach_a_job(
    queue: Queue, connection: redis.Redis, tmp_path: Path, attack: str, says: str | None
) -> None:
    for name in ("made", "other"):
        (tmp_path / name).mkdir()
    plan = compile_text(FETCHING.replace("{place}", str(tmp_path))).plan
    assert plan is not None
    run = submit(queue.store, plan, directory=tmp_path)
    url = f"unix://{connection.connection_pool.connection_kwargs['path']}"
    made, other, use = (f"{run}-{plan.cells_of()[name][0]}" for name in ("made", "other", "use"))
    with WorkerProcess(url, namespace="flowq"):
        until(
            lambda: (job := queue.store.jobs.get(use)) is not None and str(job.status) == "queued",
            message="the job that fetches",
        )
    forge(connection, made, other, attack)
    with WorkerProcess(url, "later", namespace="flowq"):
        ended(queue.store, run)
    assert not (tmp_path / "evil").exists()
    assert (tmp_path / "fine").exists() == (says is None)
    result = queue.store.jobs.result(use)
    assert result is not None
    assert says is None or re.search(says, str(result.value)), result.value


def forge(connection: redis.Redis, made: str, other: str, attack: str) -> None:
    """Change the artifact of a job as one can who writes to the server."""
    place, files = f"{{flowq}}:artifacts:{made}", f"{{flowq}}:artifact-files:{made}:tool"
    row = connection.hget(place, "tool")
    assert isinstance(row, bytes)
    until_ms, _, stored = row.partition(b" ")
    manifest = json.loads(stored)
    match attack:
        case "files of another job":
            connection.copy(f"{{flowq}}:artifacts:{other}", place, replace=True)
            connection.copy(f"{{flowq}}:artifact-files:{other}:tool", files, replace=True)
            return
        case "other files":
            (content,) = connection.hvals(f"{{flowq}}:artifact-files:{other}:tool")
            assert isinstance(content, bytes)
            manifest["files"][0][1:3] = [len(content), hashlib.sha256(content).hexdigest()]
            connection.hset(files, manifest["files"][0][2], content)
        case "another path":
            manifest["files"][0][0] = "Makefile"
        case "no signature":
            manifest.pop("signature", None)
    connection.hset(place, "tool", until_ms + b" " + json.dumps(manifest).encode())


# -- allowed functions ----------------------------------------------------------------------------------------------------


def test_patterns() -> None:
    assert refusal("a.b", ()) is None
    assert refusal("reports.build.page", ("reports.*",)) is None
    assert (
        refusal("os.system", ("reports.*", "mail.send"))
        == "this worker may not call os.system: it allows only reports.*, mail.send"
    )
    assert refusal("reportsx", ("reports.*",)) is not None
    assert refusal("run", ("reports.*",)) == "this worker may not execute commands (run): it allows only reports.*"


def test_only_allowed_functions_are_called(queue: Queue, work: Callable[..., None], tmp_path: Path) -> None:
    fine = queue.enqueue(samples.add, 1, 2)
    bad = queue.enqueue("os.mkdir", str(tmp_path / "canary"))
    method = queue.enqueue((tmp_path / "canary").mkdir)
    called = queue.enqueue(samples.add, 1, 2, on_success=Callback("os.mkdir"))
    work(allow=["tests.api.samples.*"])
    assert fine.return_value() == 3
    assert "this worker may not call os.mkdir: it allows only tests.api.samples.*" in why(bad)
    assert re.search(r"this worker may not call pathlib\.(\w+\.)?PosixPath\.mkdir", why(method))
    assert "on_success: this worker may not call os.mkdir" in why(called)
    assert not (tmp_path / "canary").exists()


def test_simple_workers_obey_allow_too(queue: Queue, tmp_path: Path) -> None:
    bad = queue.enqueue("os.mkdir", str(tmp_path / "canary"))
    SimpleWorker([queue]).work(burst=True, allow=["tests.*"])
    assert "this worker may not call os.mkdir" in why(bad)
    assert not (tmp_path / "canary").exists()


def test_allowed_calls_of_a_flow(queue: Queue, connection: redis.Redis, tmp_path: Path) -> None:
    text = f"""
jobs:
  fine: {{call: 'os.path:basename', args: [a/b]}}
  bad: {{call: 'os:mkdir', args: ['{tmp_path}/canary']}}
  command: {{run: ['mkdir', '{tmp_path}/canary']}}
"""
    plan = compile_text(text, file=str(tmp_path / "f.yaml")).plan
    assert plan is not None
    run = submit(queue.store, plan, directory=tmp_path)
    url = f"unix://{connection.connection_pool.connection_kwargs['path']}"
    with WorkerProcess(url, "--allow", "os.path.*", namespace="flowq"):
        records = ended(queue.store, run)
    assert [str(record.status) for record in records] == ["finished", "failed", "failed"]
    errors = [str(result.value) for record in records[1:] if (result := queue.store.jobs.result(record.id)) is not None]
    assert "this worker may not call os.mkdir: it allows only os.path.*" in errors[0]
    assert "this worker may not execute commands (run)" in errors[1]
    assert not (tmp_path / "canary").exists()


def test_undecodable_is_not_the_same_as_unsigned(queue: Queue, connection: redis.Redis) -> None:
    job = queue.enqueue(samples.add, 1, 2)
    connection.set(key("payload", job), signing.seal(b"\x80nonsense", *signing.payload_context(job.id, {})))
    with pytest.raises(DeserializationError):
        _ = Job.fetch(job.id, connection=connection).args
