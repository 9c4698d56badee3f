"""Webhooks, delivered to a real web server: content, time, retries, slow receivers and killed workers."""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import redis

from flowq import Callback, Group, Queue, SimpleWorker, Webhook, Worker
from flowq.command import send_stop_job_command
from flowq.exceptions import UsageError
from flowq.job import Job
from flowq.store.schema.outcomes import Outcome
from flowq.worker.webhooks import delivery
from tests.api import samples
from tests.api.conftest import Background, wait_for
from tests.support.endpoint import Endpoint
from tests.support.pids import children_of
from tests.support.server import PrivateServer
from tests.support.slot_driver import Driver
from tests.support.wait import until
from tests.support.workers import WorkerProcess

ALL = ("finished", "failed")


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as endpoint:
        yield endpoint


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the delays between tries, in workers forked from this process."""
    monkeypatch.setattr(delivery, "_WAITS", (0.01,) * 5)


def both(endpoint: Endpoint, **more: Any) -> list[Webhook]:
    return [Webhook(f"{endpoint.url}/{status}?a=1", status, method="POST", **more) for status in ALL]


def left(queue: Queue) -> list[bytes]:
    """Return the keys of pending deliveries."""
    return sorted(queue.connection.scan_iter("{flowq}:webhook*", count=1000))


# -- deliveries


@pytest.mark.parametrize("worker_class", [Worker, SimpleWorker])
def test_a_success_is_delivered(queue: Queue, endpoint: Endpoint, worker_class: type[Worker]) -> None:
    job = queue.enqueue(samples.add, 1, webhooks=both(endpoint, headers={"Authorization": "Bearer s", "X-Own": "yes"}))
    worker_class([queue]).work(burst=True)
    (asked,) = endpoint.asked
    assert (asked.method, asked.path) == ("POST", "/finished?a=1")
    document = asked.document
    assert document == {
        "job_id": job.id,
        "func_name": "tests.api.samples.add",
        "status": "finished",
        "enqueued_at": document["enqueued_at"],
        "ended_at": document["ended_at"],
    }
    assert datetime.fromisoformat(document["enqueued_at"]) <= datetime.fromisoformat(document["ended_at"]) == job.ended_at
    headers = {name: asked.headers[name] for name in ("Content-Type", "Authorization", "X-Own", "X-Flowq-Try")}
    assert headers == {"Content-Type": "application/json", "Authorization": "Bearer s", "X-Own": "yes", "X-Flowq-Try": "1"}
    assert left(queue) == []


@pytest.mark.parametrize("worker_class", [Worker, SimpleWorker])
def test_a_failure_is_delivered_once_no_retries_are_left(queue: Queue, endpoint: Endpoint, worker_class: type[Worker]) -> None:
    queue.enqueue(samples.div_by_zero, 1, retry=2, webhooks=both(endpoint))
    worker_class([queue]).work(burst=True)
    (asked,) = endpoint.asked
    assert asked.path == "/failed?a=1"
    assert asked.document["status"] == "failed"
    assert "ZeroDivisionError" in asked.document["exc_info"]


@pytest.mark.parametrize("elsewhere", [True, False])
def test_a_redirect_to_another_server_gets_no_headers_that_are_for_the_first(
    queue: Queue, endpoint: Endpoint, work: Callable[..., None], elsewhere: bool
) -> None:
    with Endpoint() as other:
        endpoint.redirects["/x"] = f"{other.url if elsewhere else endpoint.url}/y"
        queue.enqueue(
            samples.add,
            1,
            webhooks=[Webhook(f"{endpoint.url}/x", "finished", headers={"Authorization": "Bearer s", "X-Key": "s"})],
        )
        work()
        assert endpoint.asked[0].headers["Authorization"] == "Bearer s"
        asked = (other if elsewhere else endpoint).asked[-1]
        assert (asked.path, "X-Flowq-Delivery" in asked.headers) == ("/y", True)
        assert [asked.headers.get(name) for name in ("Authorization", "X-Key")] == (
            [None, None] if elsewhere else ["Bearer s", "s"]
        )


def test_a_redirect_to_what_is_not_http_is_given_up(queue: Queue, endpoint: Endpoint, work: Callable[..., None]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(0)
        endpoint.redirects["/x"] = f"ftp://127.0.0.1:{other.getsockname()[1]}/y"
        queue.enqueue(samples.add, 1, webhooks=[Webhook(f"{endpoint.url}/x", "finished", timeout=1)])
        work()
        with pytest.raises(BlockingIOError):
            other.accept()
    assert left(queue) == []


def test_a_get_has_no_body(queue: Queue, endpoint: Endpoint, work: Callable[..., None]) -> None:
    queue.enqueue(samples.add, 1, webhooks=[Webhook(endpoint.url + "/x", "finished")])
    work()
    (asked,) = endpoint.asked
    assert (asked.method, asked.path, asked.body, "Content-Type" in asked.headers) == ("GET", "/x", b"", False)


def test_sync_mode_delivers_before_enqueue_returns(connection: redis.Redis, endpoint: Endpoint, queue: Queue) -> None:
    sync = Queue(is_async=False, connection=connection)
    sync.enqueue(samples.add, 1, webhooks=both(endpoint))
    sync.enqueue(samples.div_by_zero, 1, webhooks=both(endpoint))
    assert [asked.document["status"] for asked in endpoint.asked] == ["finished", "failed"]
    assert left(queue) == []


def test_each_repetition_is_a_success(queue: Queue, endpoint: Endpoint, work: Callable[..., None]) -> None:
    queue.enqueue(samples.add, 1, repeat=2, webhooks=both(endpoint))
    work()
    assert [asked.path for asked in endpoint.asked] == ["/finished?a=1"] * 3
    assert len({asked.headers["X-Flowq-Delivery"] for asked in endpoint.asked}) == 3


def test_ends_without_an_execution_are_failures(queue: Queue, endpoint: Endpoint, driver: Driver) -> None:
    lost = queue.enqueue(samples.add, 1, webhooks=both(endpoint), job_id="lost")
    driver.lose(driver.take())
    expired = queue.enqueue(samples.add, 1, ttl=0.01, webhooks=both(endpoint), job_id="expired")
    until(lambda: driver.swept() and expired.is_failed, message="the job to expire")
    assert lost.is_failed
    SimpleWorker([queue]).work(burst=True)
    assert {asked.document["job_id"]: asked.document["exc_info"][:17] for asked in endpoint.asked} == {
        "lost": "AbandonedJobError",
        "expired": "expired",
    }


def test_canceled_and_stopped_jobs_deliver_nothing(
    queue: Queue, endpoint: Endpoint, background: Callable[..., Background], connection: redis.Redis
) -> None:
    queue.enqueue(samples.add, 1, webhooks=both(endpoint)).cancel()
    background(lambda: Worker([queue]))
    stopped = queue.enqueue(samples.hang, webhooks=both(endpoint))
    wait_for(stopped, "started")
    send_stop_job_command(connection, stopped.id)
    wait_for(stopped, "stopped")
    assert left(queue) == []
    assert endpoint.asked == []


def test_a_result_that_is_not_kept_is_delivered(queue: Queue, endpoint: Endpoint, driver: Driver) -> None:
    job = queue.enqueue(samples.add, 1, result_ttl=0, webhooks=both(endpoint))
    driver.end(driver.take())
    assert not Job.exists(job.id, queue.connection)
    SimpleWorker([queue]).work(burst=True)
    assert endpoint.asked[0].document["job_id"] == job.id


def test_every_way_to_enqueue(queue: Queue, connection: redis.Redis, endpoint: Endpoint, work: Callable[..., None]) -> None:
    hooks = [Webhook(endpoint.url, "finished")]
    queue.enqueue_many([Queue.prepare_data(samples.add, (1,), webhooks=hooks)])
    Group.create(connection).enqueue_many(queue, [Queue.prepare_data(samples.add, (1,), webhooks=hooks)])
    queue.enqueue_call(samples.add, (1,), webhooks=hooks)
    queue.enqueue_job(queue.create_job(samples.add, (1,), webhooks=hooks))
    queue.enqueue_job(Job.create(samples.add, (1,), webhooks=hooks, connection=connection))
    queue.enqueue(samples.add, 1, webhooks=hooks, job_id="fetched")
    assert Job.fetch("fetched", connection).webhooks == hooks
    work()
    assert len(endpoint.asked) == 6


# -- slow, broken and missing receivers


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(
    ("answers", "requests"),
    [([500, 429], 3), ([404], 1), ([301], 1), ([503] * 20, 6)],
    ids=["tried again", "not wanted", "nowhere", "given up"],
)
def test_answers_other_than_success(
    queue: Queue, background: Callable[..., Background], answers: list[int], requests: int
) -> None:
    with Endpoint(answers) as endpoint:
        background(lambda: Worker([queue]))
        queue.enqueue(samples.add, 1, webhooks=both(endpoint))
        until(lambda: len(endpoint.asked) >= requests and not left(queue), timeout=20, message="the last request")
        assert len(endpoint.asked) == requests
        assert len({asked.headers["X-Flowq-Delivery"] for asked in endpoint.asked}) == 1
        assert [asked.headers["X-Flowq-Try"] for asked in endpoint.asked] == [str(number + 1) for number in range(requests)]


@pytest.mark.usefixtures("soon")
def test_no_receiver(queue: Queue, background: Callable[..., Background]) -> None:
    with Endpoint() as endpoint:
        url = endpoint.url
    background(lambda: Worker([queue]))
    job = queue.enqueue(samples.add, 1, webhooks=[Webhook(url, "finished"), Webhook("http://no.such.host.invalid", "finished")])
    wait_for(job, "finished")
    until(lambda: not left(queue), timeout=20, message="both to be given up")
    assert job.is_finished


def test_a_slow_receiver_delays_no_jobs(queue: Queue, background: Callable[..., Background]) -> None:
    go = threading.Event()
    with Endpoint(before=lambda: go.wait(20)) as endpoint:
        background(lambda: Worker([queue]))
        queue.enqueue(samples.add, 1, webhooks=both(endpoint))
        until(lambda: endpoint.asked, message="the request")
        for number in range(5):
            wait_for(queue.enqueue(samples.add, number), "finished", timeout=5)
        assert left(queue)
        go.set()
        until(lambda: not left(queue), message="the answer to be reported")
        assert len(endpoint.asked) == 1


@pytest.mark.usefixtures("soon")
def test_a_receiver_that_does_not_answer_times_out(queue: Queue, background: Callable[..., Background]) -> None:
    silent = Endpoint()
    go = threading.Event()
    silent.before = lambda: len(silent.asked) > 1 or go.wait(20)
    with silent:
        background(lambda: Worker([queue]))
        queue.enqueue(samples.add, 1, webhooks=both(silent, timeout=1))
        until(lambda: len(silent.asked) == 2 and not left(queue), message="the second try")
        go.set()


def test_a_callback_and_a_webhook(queue: Queue, endpoint: Endpoint, work: Callable[..., None], tmp_path: Path) -> None:
    log = tmp_path / "log"
    queue.enqueue(samples.add, 1, meta={"log": str(log)}, on_success=Callback(samples.on_success), webhooks=both(endpoint))
    work()
    assert (log.read_text(), len(endpoint.asked)) == ("success 1 True\n", 1)


# -- workers that stop or die


def due(queue: Queue) -> None:
    """Expire the claims on all deliveries."""
    for member in queue.connection.zrange("{flowq}:webhooks", 0, -1):
        queue.connection.zadd("{flowq}:webhooks", {member: 1})


def test_another_worker_delivers_the_webhooks_of_a_killed_one(queue: Queue, background: Callable[..., Background]) -> None:
    go = threading.Event()
    with Endpoint(before=lambda: go.wait(20)) as endpoint:
        worker = background(lambda: Worker([queue]))
        queue.enqueue(samples.add, 1, webhooks=both(endpoint))
        until(lambda: endpoint.asked, message="the request")
        worker.signal(signal.SIGKILL)
        worker.wait()
        go.set()
        due(queue)
        SimpleWorker([queue]).work(burst=True)
        first, second = endpoint.asked
        assert first.headers["X-Flowq-Delivery"] == second.headers["X-Flowq-Delivery"]
        assert left(queue) == []


@pytest.mark.usefixtures("soon")
@pytest.mark.skipif(sys.platform != "linux", reason="finds the process by /proc")
def test_the_process_that_sends_may_die(queue: Queue, background: Callable[..., Background]) -> None:
    silent = Endpoint()
    go = threading.Event()
    silent.before = lambda: len(silent.asked) > 1 or go.wait(20)
    with silent:
        worker = background(lambda: Worker([queue]))
        job = queue.enqueue(samples.add, 1, webhooks=both(silent))
        until(lambda: silent.asked, message="the request")
        os.kill(senders(worker.pid)[0], signal.SIGKILL)
        until(lambda: not left(queue), message="another process to send it")
        assert (len(silent.asked), job.is_finished) == (2, True)
        (second,) = senders(worker.pid)
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0
        assert not Path(f"/proc/{second}").exists()
        go.set()


def senders(parent: int) -> list[int]:
    """Return the processes of a worker that send webhooks."""
    return [pid for pid in children_of(parent) if b"webhooks import sender" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@pytest.mark.skipif(sys.platform != "linux", reason="finds the process by /proc")
def test_the_sending_process_survives_the_fork_server(queue: Queue, server: PrivateServer) -> None:
    silent = Endpoint()
    go = threading.Event()
    silent.before = lambda: go.wait(20)
    with silent, WorkerProcess(server.url, "default", namespace="flowq") as worker:
        queue.enqueue(samples.add, 1, webhooks=both(silent))
        until(lambda: silent.asked, message="the request")
        parent = worker.process.pid
        (sending,) = senders(parent)
        (fork_server,) = set(children_of(parent)) - {sending}
        os.kill(fork_server, signal.SIGKILL)  # the worker then kills its orphaned descendants
        until(lambda: fork_server not in children_of(parent), message="the worker to see that it is gone")
        wait_for(queue.enqueue(samples.add, 2), "finished", timeout=20)
        assert senders(parent) == [sending]
        go.set()
        until(lambda: not left(queue), message="the answer to be reported")
        assert len(silent.asked) == 1


def test_a_warm_stop_waits_for_answers_and_a_cold_stop_gives_deliveries_back(
    queue: Queue, background: Callable[..., Background]
) -> None:
    go = threading.Event()
    with Endpoint(before=lambda: go.wait(20)) as endpoint:
        worker = background(lambda: Worker([queue]))
        queue.enqueue(samples.add, 1, webhooks=both(endpoint))
        until(lambda: endpoint.asked, message="the request")
        worker.signal(signal.SIGTERM)
        first = time.monotonic()
        until(lambda: Worker.all(queue.connection)[0].state == "stopping", message="the worker to stop")
        until(lambda: time.monotonic() > first + 1.2, message="a second signal to be another one")
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0
        assert queue.connection.hget(left(queue)[0], "tries") == b"0"
        again = background(lambda: Worker([queue]))
        until(lambda: len(endpoint.asked) == 2, message="the second request")
        again.signal(signal.SIGTERM)
        go.set()
        assert again.wait() == 0
        assert left(queue) == []


def test_a_simple_worker_reports_while_it_executes_a_job(
    queue: Queue, background: Callable[..., Background], tmp_path: Path, endpoint: Endpoint
) -> None:
    go = threading.Event()
    endpoint.before = lambda: go.wait(20)
    background(lambda: SimpleWorker([queue]))
    queue.enqueue(samples.add, 1, webhooks=both(endpoint))
    until(lambda: endpoint.asked, message="the request")
    job = queue.enqueue(samples.wait_for_file, str(tmp_path / "go"))
    wait_for(job, "started")
    go.set()
    until(lambda: not left(queue), message="the answer to be reported")
    assert job.is_started
    (tmp_path / "go").touch()
    wait_for(job, "finished")


def test_a_worker_delivers_the_end_of_its_last_job(queue: Queue, endpoint: Endpoint) -> None:
    queue.enqueue(samples.add, 1, webhooks=both(endpoint))
    queue.enqueue(samples.add, 2)
    Worker([queue]).work(max_jobs=1)
    assert (len(endpoint.asked), len(queue)) == (1, 1)


def test_reports_are_fenced(queue: Queue, driver: Driver) -> None:
    queue.enqueue(samples.add, 1, webhooks=[Webhook("http://127.0.0.1:9/", "finished")])
    claim = driver.take()
    driver.end(claim)
    assert driver.store.webhooks.undelivered(-1) == [], "it was not tried"
    (first,) = driver.store.webhooks.take(5)
    assert driver.store.webhooks.take(5) == []
    assert driver.store.webhooks.undelivered(-1) == [f"job {claim.id}"]
    assert driver.store.webhooks.undelivered(60) == [], "it may be on its way"
    due(queue)
    (second,) = driver.store.webhooks.take(5)
    assert (first.id, first.tries, second.tries) == (second.id, 1, 2)
    assert driver.store.webhooks.over(first) is Outcome.FENCED
    assert driver.store.webhooks.back(second) is Outcome.DONE
    (third,) = driver.store.webhooks.take(5)
    assert third.tries == 2
    assert driver.store.webhooks.again(third, 60) is Outcome.DONE
    assert driver.store.webhooks.take(5) == []
    assert driver.store.webhooks.over(third) is Outcome.DONE
    assert driver.store.webhooks.over(third) is Outcome.NOT_FOUND


# -- values


def test_as_plain_data() -> None:
    hook = Webhook("https://example.com/x", "failed", method="POST", headers={"a": "b"}, timeout="5s")
    assert hook.to_dict() == {
        "url": "https://example.com/x",
        "job_status": "failed",
        "method": "POST",
        "headers": {"a": "b"},
        "timeout": 5.0,
    }
    assert Webhook.from_dict(hook.to_dict()) == hook
    assert Webhook.from_dict({"url": "http://a", "job_status": "finished"}) == Webhook("http://a", "finished")
    assert hash(hook) == hash(Webhook.from_dict(hook.to_dict()))
    assert repr(hook) == "Webhook('https://example.com/x', 'failed', method='POST')"


def test_the_document_of_a_job(queue: Queue, work: Callable[..., None]) -> None:
    job = queue.enqueue(samples.add, 1)
    work()
    document = Webhook("http://a", "failed").get_payload(job, exc_string="boom")
    assert (document["job_id"], document["exc_info"]) == (job.id, "boom")
    assert "exc_info" not in Webhook("http://a", "finished").get_payload(job)


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "ftp://a"},
        {"url": "http://"},
        {"url": "file:///etc/passwd"},
        {"url": "http://a b/"},
        {"url": "http://a:x/"},
        {"url": "http://[a/"},
        {"url": "http://a/\nX: y"},
        {"url": 7},
        {"job_status": "started"},
        {"method": "PUT"},
        {"headers": {"a": "b\r\nc: d"}},
        {"headers": {"a": 1}},
        {"headers": "a: b"},
        {"timeout": 0},
        {"timeout": -1},
    ],
)
def test_invalid_webhooks(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Webhook(**{"url": "http://a", "job_status": "finished", **wrong})


def test_invalid_values_of_the_webhooks_option(queue: Queue) -> None:
    with pytest.raises(UsageError, match="expected a list"):
        queue.enqueue(samples.add, 1, webhooks=["http://a"])
