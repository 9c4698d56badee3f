"""Fail-overs that roll back: what a lagging replica does not have is done again, and its own history keeps all guarantees."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from flowq.plan import RetryPolicy
from flowq.store import Store
from flowq.store.schema.records import Event
from tests.support.invariants import check
from tests.support.job_history import ENDED
from tests.support.ports import free_ports
from tests.support.proxy import Proxy
from tests.support.server import PrivateServer
from tests.support.wait import until
from tests.support.workers import WorkerProcess, ended, flow, node, script, start

NAMESPACE = "flowq-test"
WORKER = ("--lease", "1", "--log-level", "warning")


@dataclass
class Pair:
    """A primary and its replica, with a store on each."""

    primary: PrivateServer
    replica: PrivateServer
    old: Store
    new: Store

    def part(self) -> None:
        """Let the replica have all that was written until now, and nothing later: it is a primary of its own from now on."""
        assert self.old.client.wait(1, 10_000) == 1
        self.new.client.replicaof("NO", "ONE")


@pytest.fixture
def pair() -> Iterator[Pair]:
    with ExitStack() as stack:
        primary, replica = PrivateServer(), PrivateServer()
        for server in (primary, replica):
            stack.callback(server.stop)
        (port,) = free_ports(1)
        primary.start("--port", str(port), "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0")
        replica.start("--replicaof", f"127.0.0.1 {port}")
        until(lambda: replica.client().info("replication")["master_link_status"] == "up", 20, "the replica")
        old, new = (Store(server.client(), NAMESPACE) for server in (primary, replica))
        old.open()
        yield Pair(primary, replica, old, new)
        check(new)
        old.close()
        new.close()


def lines(place: Path) -> list[str]:
    return (place / "lines").read_text().split() if (place / "lines").exists() else []


def ends(events: list[Event]) -> Counter[str]:
    return Counter(event.job for event in events if event.new in ENDED and event.job)


def test_a_replica_that_lags_takes_over(pair: Pair, tmp_path: Path) -> None:
    """The end of `b` and the start of `c` are lost with the primary: `b` is executed again, and `c` after it."""
    text = f"cd {tmp_path}; echo %s >> lines; until [ -e %s ]; do sleep 0.01; done"
    jobs = [node(name, script(text % (name, f"go-{name}")), retry=RetryPolicy(3)) for name in "abc"]
    proxy = Proxy(pair.primary.socket)
    try:
        with WorkerProcess(proxy.url, *WORKER):
            (tmp_path / "go-a").touch()
            run = start(pair.old, flow(*jobs, edges={"b": {"a": "success"}, "c": {"b": "success"}}), tmp_path)
            until(lambda: lines(tmp_path) == ["a", "b"], message="b to begin")
            pair.part()
            (tmp_path / "go-b").touch()
            until(lambda: lines(tmp_path) == ["a", "b", "c"], message="c to begin")
            proxy.upstream = pair.replica.socket
            pair.primary.kill9()
            (tmp_path / "go-c").touch()
            a, b, c = ended(pair.new, run)
    finally:
        proxy.close()
    assert [record.status for record in (a, b, c)] == ["finished"] * 3
    assert (a.attempt, b.attempt, c.attempt) == (1, 2, 1)
    assert lines(tmp_path)[:3] == ["a", "b", "c"]
    assert lines(tmp_path)[3:] == ["b", "c"], "b, whose end was lost, and then its dependent"
    events = list(pair.new.runs.events(run))
    assert ends(events) == {a.id: 1, b.id: 1, c.id: 1}
    assert [event.job for event in events if event.new in {"started", "finished"} and event.job][-2:] == [c.id, c.id]


def test_two_primaries_for_a_while(pair: Pair, tmp_path: Path) -> None:
    """Both execute the same run; what the losing one did vanishes, and its worker goes on with the other one."""
    text = f"cd {tmp_path}; echo %s >> lines; sleep 0.2"
    leaves = [node(f"leaf{number}", script(text % number), retry=RetryPolicy(3)) for number in range(6)]
    join = node("join", script(text % "join"), retry=RetryPolicy(3))
    proxy = Proxy(pair.primary.socket)
    try:
        run = start(pair.old, flow(*leaves, join, edges={"join": {leaf.name: "success" for leaf in leaves}}), tmp_path)
        pair.part()
        with WorkerProcess(proxy.url, *WORKER) as loser, WorkerProcess(pair.replica.url, *WORKER):
            found = ended(pair.new, run)
            ended(pair.old, run)
            second = start(pair.old, flow(leaves[0]), tmp_path)
            ended(pair.old, second)
            proxy.upstream = pair.replica.socket
            pair.primary.kill9()
            third = start(pair.new, flow(leaves[0]), tmp_path)
            assert [record.status for record in ended(pair.new, third)] == ["finished"]
            until(lambda: loser.process.pid in {worker.pid for worker in pair.new.workers.live()}, message="the loser's worker")
    finally:
        proxy.close()
    assert [record.status for record in found] == ["finished"] * 7
    assert ends(list(pair.new.runs.events(run))) == {record.id: 1 for record in found}
    assert Counter(lines(tmp_path))["join"] == 2, "executions overlap: each primary has had its own"
    assert pair.new.runs.get(second) is None
