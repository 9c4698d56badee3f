"""The stream of changes: what happens is told to all who watch, once, and a client that has been away is told what it missed."""

import http.client
import json
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from flowq.serve.http.live.hub import EACH
from flowq.serve.http.live.subscribers import WAITING
from flowq.store import Store
from flowq.store.schema.outcomes import LogLines
from tests.serve.http.conftest import NAMESPACE, execute, start
from tests.support import graphs
from tests.support.page_server import PageServer, token_of
from tests.support.server import PrivateServer
from tests.support.slot_driver import Driver
from tests.support.wait import until


class Stream:
    """An open stream."""

    def __init__(self, page: PageServer, topics: str, token: str, after: str = "") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=20)
        headers = {"Authorization": f"Bearer {token}"} | ({"Last-Event-ID": after} if after else {})
        self._connection.request("GET", f"/api/v1/events?topics={topics}", headers=headers)
        self.answer = self._connection.getresponse()
        self.last = ""

    def events(self) -> Iterator[tuple[str, Any]]:
        """Yield kind and data of each event."""
        kind, data = "message", None
        for raw in self.answer:
            line = raw.decode().rstrip("\n")
            name, _, value = line.partition(": ")
            if name == "event":
                kind = value
            elif name == "id":
                self.last = value
            elif name == "data":
                data = json.loads(value)
            elif not line and data is not None:
                yield kind, data
                kind, data = "message", None

    def next(self) -> tuple[str, Any]:
        return next(self.events())

    def close(self) -> None:
        self._connection.close()


@contextmanager
def watching(page: PageServer, topics: str, token: str, after: str = "") -> Iterator[Stream]:
    stream = Stream(page, topics, token, after)
    try:
        yield stream
    finally:
        stream.answer.close()
        stream.close()


@pytest.fixture
def viewer(store: Store) -> str:
    return token_of(store, "viewer")


def until_run(stream: Stream, status: str) -> list[dict[str, Any]]:
    """Return the messages up to the one that says that the run has this status."""
    found = []
    for kind, data in stream.events():
        assert kind == "message"
        found.append(data)
        if data.get("status") == status or data.get("run", {}).get("status") == status:
            return found
    raise AssertionError("the stream has ended")


def test_a_run_is_followed(page: PageServer, store: Store, flows: Path, viewer: str) -> None:
    run = start(store, flows)
    with watching(page, f"run:{run}", viewer) as first, watching(page, f"run:{run}", viewer) as second:
        assert first.answer.status == 200
        assert first.answer.getheader("Content-Type", "").startswith("text/event-stream")
        assert first.answer.getheader("X-Accel-Buffering") == "no"
        execute(store, run)
        for stream in (first, second):
            messages = until_run(stream, "finished")
            while messages[-1]["position"] != store.runs.position(
                run
            ):  # the run's state may be newer than the events read before
                messages += until_run(stream, "finished")
            states = {row[0]: row[1] for message in messages for row in message["jobs"]}
            assert states == {0: "finished", 1: "finished"}
            assert messages[-1]["counts"] == {"finished": 2}
            assert messages[-1]["position"] == store.runs.position(run)
            assert len(messages) < 6  # changes that come together are one message


def test_lists_of_runs_are_told(page: PageServer, store: Store, flows: Path, viewer: str) -> None:
    scoped = token_of(store, "viewer", "flows/etl/*")
    with watching(page, "runs", viewer) as everything, watching(page, "runs", scoped) as part:
        found: dict[str, str] = {}

        def more(stream: Stream, wanted: str) -> str:
            for _, data in stream.events():
                found[data["run"]["id"]] = data["run"]["status"]
                if data["run"]["id"] == wanted:
                    return str(data["run"]["status"])
            raise AssertionError

        hidden, shown = start(store, flows, "ask"), start(store, flows)
        assert more(everything, hidden) == "running"
        found.clear()
        assert more(part, shown) == "running"
        assert hidden not in found


def test_a_run_that_began_before_the_first_look_is_told(page: PageServer, store: Store, flows: Path, viewer: str) -> None:
    """A client has read the list before it is heard of, and must not miss what came in between."""
    run = start(store, flows)
    with watching(page, "runs", viewer) as stream:
        _, data = stream.next()
        assert (data["run"]["id"], data["run"]["status"]) == (run, "running")


def test_output_is_told(page: PageServer, store: Store, flows: Path, viewer: str) -> None:
    run = start(store, flows)
    driver = Driver(store)
    claim = driver.take()
    with watching(page, f"log:{run},log:{run}/0,log:{run}/1", viewer) as stream:
        driver.step(logs=(LogLines(claim.id, claim.token, 1, "out", b"hello\n"),))
        topics = {}
        for _, data in stream.events():
            topics[data["topic"]] = [(row[2], row[3], row[4]) for row in data["entries"]]
            if len(topics) == 2:
                break
        assert topics == {f"log:{run}": [(0, "out", "hello\n")], f"log:{run}/0": [(0, "out", "hello\n")]}
    driver.close()


def test_clients_that_come_while_output_is_written_are_told_each_line_once(
    page: PageServer, store: Store, flows: Path, viewer: str
) -> None:
    run = start(store, flows)
    driver = Driver(store)
    claim = driver.take()
    lines = 600

    def told() -> list[int]:
        with watching(page, f"log:{run}", viewer) as stream:
            found: list[int] = []
            for _, data in stream.events():
                found += [int(row[4]) for row in data["entries"]]
                if found[-1] == lines:
                    break
            return found

    with ThreadPoolExecutor(EACH) as pool:
        clients = []
        for number in range(1, lines + 1):
            driver.step(logs=(LogLines(claim.id, claim.token, number, "out", b"%d\n" % number),))
            if number % (lines // EACH) == 1:
                clients.append(pool.submit(told))
        assert [client.result() for client in clients] == [list(range(1, lines + 1))] * EACH
    driver.close()


def test_a_client_that_comes_back_is_told_what_it_missed(page: PageServer, store: Store, flows: Path, viewer: str) -> None:
    run = start(store, flows)
    with watching(page, f"run:{run}", viewer) as stream:
        stream.next()
        last = stream.last
    execute(store, run)
    with watching(page, f"run:{run}", viewer, last) as stream:
        assert until_run(stream, "finished")[-1]["counts"] == {"finished": 2}


@pytest.mark.parametrize("after", ["1-0", "x", "1" * 30])
def test_a_client_that_was_away_for_long_reads_again(
    page: PageServer, store: Store, flows: Path, viewer: str, after: str
) -> None:
    run = start(store, flows)
    with watching(page, f"run:{run}", viewer, after) as stream:
        assert stream.next() == ("reset", {})


def test_an_approval_that_begins_to_wait_is_told(page: PageServer, store: Store, flows: Path, viewer: str) -> None:
    run = start(store, flows, "ask")
    driver = Driver(store)
    with watching(page, f"run:{run}", viewer) as stream:
        driver.settle()
        rows = next(data["jobs"] for _, data in stream.events() if any(row[2] == "approval" for row in data["jobs"]))
        assert [row[:3] for row in rows] == [[0, "deferred", "approval"]]
    driver.close()


def test_schedules_are_told(page: PageServer, store: Store, viewer: str) -> None:
    store.schedules.beat("test", [("flows/etl/tick:default", "d", False)])
    with watching(page, "schedules", viewer) as stream:
        begun = store.now_ms()
        until(lambda: store.now_ms() - begun > 2500, timeout=5)  # the first look has been made
        store.schedules.pause("flows/etl/tick:default", "ann")
        assert stream.next() == ("message", {"topic": "schedules", "schedule": "flows/etl/tick:default"})


def test_a_revoked_token_ends_its_streams(page: PageServer, store: Store, viewer: str) -> None:
    with watching(page, "runs", viewer) as stream:
        begun = time.monotonic()
        store.accesses.revoke(store.accesses.all()[0].digest)
        kinds = [line for line in stream.answer if line.startswith(b"event")]
        assert kinds == [b"event: bye\n"]
        assert time.monotonic() - begun < 4


def test_a_session_has_a_limit_of_streams(page: PageServer, store: Store, viewer: str) -> None:
    streams = [Stream(page, "runs", viewer) for _ in range(EACH)]
    try:
        assert {stream.answer.status for stream in streams} == {200}
        refused = page.api("GET", "/events?topics=runs", token=viewer)
        assert (refused.status, refused.code) == (429, "too_many_streams")
    finally:
        for stream in streams:
            stream.answer.close()
            stream.close()

    def again() -> bool:
        stream = Stream(page, "runs", viewer)
        status = stream.answer.status
        stream.answer.close()
        stream.close()
        return status == 200

    until(again, timeout=20)


def test_streams_that_come_at_once_have_the_same_limit(page: PageServer, store: Store, viewer: str) -> None:
    def begun(_number: int) -> Stream | None:
        stream = Stream(page, "runs", viewer)
        if stream.answer.status == 200 and stream.answer.readline() != b"event: bye\n":
            return stream
        stream.close()
        return None

    with ThreadPoolExecutor(6 * EACH) as pool:
        streams = [stream for stream in pool.map(begun, range(6 * EACH)) if stream is not None]
    try:
        assert len(streams) == EACH
    finally:
        for stream in streams:
            stream.answer.close()
            stream.close()


@pytest.mark.parametrize(
    "topics",
    ["all", "run", "run:", "run:..", "run:x/1", "log:x/y", "runs:x", ",".join(f"run:a{number}" for number in range(51))],
)
def test_wrong_topics_are_refused(page: PageServer, store: Store, viewer: str, topics: str) -> None:
    assert page.api("GET", f"/events?topics={topics}", token=viewer).status == 400
    assert page.api("GET", "/events?topics=run:nothing", token=viewer).status == 404


def test_a_client_that_reads_nothing_is_told_to_read_again_and_another_one_gets_all(
    page: PageServer, store: Store, viewer: str
) -> None:
    """The reader waits for no client: of one whose messages do not fit any more it drops them, and tells it with `reset`."""
    run, jobs = graphs.run(store, {f"j{number}": [] for number in range(40)}), 40
    driver = Driver(store)
    claims = [driver.take() for _ in range(jobs)]
    topics = ",".join(f"log:{run}/{number}" for number in range(jobs))  # each a message of its own
    rounds = 2 * WAITING // jobs + 4
    with watching(page, topics, viewer) as quick, socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", page.port))
        head = f"GET /api/v1/events?topics={topics} HTTP/1.1\r\nHost: 127.0.0.1:{page.port}\r\nAuthorization: Bearer {viewer}\r\n\r\n"
        slow.sendall(head.encode())
        slow.settimeout(20)
        answer = bytearray(slow.recv(64))  # the stream has begun
        told = quick.events()
        for index in range(1, rounds + 1):
            lines = (LogLines(claim.id, claim.token, index, "out", b"x" * 20_000 + b"\n") for claim in claims)
            driver.step(logs=tuple(lines))
            assert sum(len(next(told)[1]["entries"]) for _ in range(jobs)) == jobs
        driver.step(logs=(LogLines(claims[0].id, claims[0].token, rounds + 1, "out", b"the last one\n"),))
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**20)
        while b"the last one" not in answer[-500:]:
            answer += slow.recv(2**20)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"event: reset" in answer
    assert len(answer) < rounds * jobs * 20_000
    driver.close()


def test_streams_end_when_the_server_stops(server: PrivateServer, store: Store, tmp_path: Path, viewer: str) -> None:
    env = {"FLOWQ_REDIS_URL": server.url, "FLOWQ_NAMESPACE": NAMESPACE}
    with PageServer(log=tmp_path / "log", env=env) as page, watching(page, "runs", viewer) as stream:
        page.process.send_signal(signal.SIGTERM)
        assert [line for line in stream.answer if line.startswith(b"event")] == [b"event: bye\n"]
        assert page.process.wait(10) == 0
        assert "Traceback" not in page.output
