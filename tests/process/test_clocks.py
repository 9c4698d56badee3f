"""Clocks that differ, and clocks that are set: only the server's counts, and a step of it costs no job and ends none twice."""

import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from flowq.plan import RetryPolicy
from flowq.store import Store
from tests.support.invariants import check
from tests.support.job_history import ENDED
from tests.support.server import PrivateServer
from tests.support.skew import Skew
from tests.support.wait import until
from tests.support.workers import WorkerProcess, ended, flow, node, script, start

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="preloads a library")

HOUR = 3600
WORKER = ("--lease", "1", "--log-level", "warning")


def test_a_skewed_clock_is_what_a_process_sees(tmp_path: Path) -> None:
    """The tests below prove nothing if it is not."""
    skew = Skew(tmp_path, HOUR)
    server = PrivateServer(environment=skew.environment).start()
    try:
        with server.client() as client:
            first = client.time()[0]
            skew.set(-HOUR)
            until(lambda: 2 * HOUR - 60 < first - client.time()[0] <= 2 * HOUR, message="the step")
    finally:
        server.stop()


def test_workers_with_wrong_clocks(store: Store, server: PrivateServer, tmp_path: Path) -> None:
    """One is an hour ahead, one is an hour behind, one is stepped while it works. Delays, retries and time-outs last as they should."""
    ahead, behind, stepping = Skew(tmp_path, HOUR), Skew(tmp_path, -HOUR), Skew(tmp_path)
    say = f"cd {tmp_path}; echo $FLOWQ_JOB_ID >> lines; date +%s >> dates"
    jobs = [
        *(node(f"j{number}", script(f"{say}; sleep 0.2"), retry=RetryPolicy(2)) for number in range(6)),
        node("again", script(f"{say}; [ $FLOWQ_ATTEMPT = 2 ]"), retry=RetryPolicy(1, (0.3,))),
        node("slow", script("sleep 60"), timeout=0.5, stop_grace=0.1, allow_failure=True),
        node("last", script(say), delay=0.3),
    ]
    begun = store.session.now_ms()
    with ExitStack() as stack:
        for skew in (ahead, behind, stepping):
            stack.enter_context(WorkerProcess(server.url, *WORKER, "--slots", "2", env=skew.environment))
        run = start(store, flow(*jobs, edges={"last": {job.name: "done" for job in jobs[:-1]}}), tmp_path)
        step = 0

        def over() -> bool:
            nonlocal step
            step += 1
            stepping.set([HOUR, -HOUR, 0][step % 3])
            return store.runs.require(run).ended

        until(over, 20, "the run to end")
        found = dict(zip((job.name for job in jobs), ended(store, run), strict=True))
    assert {name: (record.status, record.attempt) for name, record in found.items()} == {
        **{f"j{number}": ("finished", 1) for number in range(6)},
        "again": ("finished", 2),
        "slow": ("failed", 1),
        "last": ("finished", 1),
    }
    assert found["slow"].reason == "timeout"
    assert max(Counter((tmp_path / "lines").read_text().split()).values()) == 2, "only the one that was retried"
    dates = [int(text) * 1000 for text in (tmp_path / "dates").read_text().split()]
    assert max(dates) - min(dates) > HOUR * 1000, "the jobs have seen wrong clocks"
    over_by = store.session.now_ms()
    assert all(begun <= record.started_ms <= record.ended_ms <= over_by for record in found.values())  # type: ignore[operator]


both_ways = pytest.mark.parametrize("step", [2 * HOUR, -2 * HOUR], ids=["forward", "back"])


@both_ways
def test_the_clock_of_the_server_is_set(tmp_path: Path, step: int) -> None:
    """A step forward ends all leases: their workers keep their jobs, or these are executed again. A step back changes nothing for a living worker."""
    skew = Skew(tmp_path)
    server = PrivateServer(environment=skew.environment).start()
    try:
        store = Store(server.client(), namespace="flowq-test").open()
        text = f"cd {tmp_path}; echo >> begun; until [ -e go ]; do sleep 0.01; done; echo $FLOWQ_JOB_ID >> lines"
        jobs = [node(f"j{number}", script(text), retry=RetryPolicy(5)) for number in range(4)]
        last = node("last", script("true"), delay=0.2)
        with WorkerProcess(server.url, *WORKER, "--slots", "2"), WorkerProcess(server.url, *WORKER, "--slots", "2"):
            run = start(store, flow(*jobs, last, edges={"last": {job.name: "success" for job in jobs}}), tmp_path)
            until(lambda: (tmp_path / "begun").exists() and len((tmp_path / "begun").read_text()) >= 4, message="four jobs")
            before = store.session.now_ms()
            skew.set(step)
            until(lambda: abs(store.session.now_ms() - before) > HOUR * 1000, message="the step")
            since = store.session.now_ms()
            until(lambda: sum(since <= one.beat_ms < since + 60_000 for one in store.workers.live()) == 2, message="heartbeats")
            (tmp_path / "go").touch()
            found = ended(store, run, timeout=20)
            assert [record.status for record in found] == ["finished"] * 5
            ends = Counter(event.job for event in store.runs.events(run) if event.new in ENDED and event.job)
            assert ends == {record.id: 1 for record in found}
            if step < 0:
                assert [record.attempt for record in found] == [1] * 5
            check(store)
        store.close()
    finally:
        server.stop()


@both_ways
def test_a_worker_is_lost_and_the_clock_of_the_server_is_set(tmp_path: Path, step: int) -> None:
    """The lease of a lost worker does not last for hours then."""
    skew = Skew(tmp_path)
    server = PrivateServer(environment=skew.environment).start()
    try:
        store = Store(server.client(), namespace="flowq-test").open()
        job = node("a", script(f"touch {tmp_path}/begun; [ $FLOWQ_ATTEMPT = 2 ] || sleep 60"), retry=RetryPolicy(1))
        with WorkerProcess(server.url, *WORKER) as lost:
            run = start(store, flow(job), tmp_path)
            until((tmp_path / "begun").exists)
            with WorkerProcess(server.url, *WORKER):
                until(lambda: len(store.workers.live()) == 2, message="the other worker")
                lost.process.kill()
                skew.set(step)
                (record,) = ended(store, run, timeout=15)
        assert (record.status, record.attempt) == ("finished", 2)
        check(store)
        store.close()
    finally:
        server.stop()
