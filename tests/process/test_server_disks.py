"""The disk of the server: its file loses its end, or has no room in the middle of a run, or is gone."""

import random
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowq.exceptions import ServerUnavailableError
from flowq.plan import RetryPolicy
from flowq.store import Store
from tests.support.invariants import check
from tests.support.server import PrivateServer
from tests.support.wait import until
from tests.support.workers import WorkerProcess, ended, flow, node, script, start

WORKER = ("--lease", "1", "--slots", "3", "--log-level", "warning")
NAMESPACE = "flowq-test"


@pytest.fixture
def server() -> Iterator[PrivateServer]:
    own = PrivateServer().start(appendonly=True)
    yield own
    own.stop()


@pytest.fixture
def store(server: PrivateServer) -> Iterator[Store]:
    opened = Store(server.client(), namespace=NAMESPACE).open()
    yield opened
    check(opened)
    opened.close()


def changes(server: PrivateServer) -> Path:
    """Return the file to which the server appends."""
    (found,) = (server.directory / "appendonlydir").glob("*.incr.aof")
    return found


def is_there(store: Store, run: str) -> bool:
    """Return whether a run is complete in the store, after what was lost."""
    try:
        record = store.runs.get(run)
    except ServerUnavailableError:
        return False
    return record is not None and record.status != "created"


def rewrite(server: PrivateServer) -> None:
    """Do what docs/server.md says of a Redis after a power cut: it leaves half a change in its file, which it would make at the next start."""
    with server.client() as client:
        if "valkey_version" in client.info("server"):
            return
        client.bgrewriteaof()
        until(lambda: not client.info("persistence")["aof_rewrite_in_progress"], message="the file to be rewritten")
    until(lambda: len(list((server.directory / "appendonlydir").glob("*.incr.aof"))) == 1, message="the old file to be gone")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_the_end_of_the_file_is_lost_under_a_worker(server: PrivateServer, store: Store, tmp_path: Path, seed: int) -> None:
    """As after a power cut: at any byte. What is left is consistent, and goes on; what was executed since may be executed again."""
    dice = random.Random(seed)
    text = f"echo >> {tmp_path}/begun; sleep 0.05"
    leaves = [node(f"leaf{number}", script(text), retry=RetryPolicy(9)) for number in range(6)]
    plan = flow(
        node("root", script(text), retry=RetryPolicy(9)),
        *leaves,
        node("join", script(text), retry=RetryPolicy(9)),
        edges={leaf.name: {"root": "success"} for leaf in leaves} | {"join": {leaf.name: "success" for leaf in leaves}},
    )
    with WorkerProcess(server.url, *WORKER):
        ended(store, start(store, plan, tmp_path))
        for _ in range(2):
            before = changes(server).stat().st_size
            (tmp_path / "begun").write_text("")
            run = start(store, plan, tmp_path)
            wanted = dice.randint(1, 8)
            until(lambda wanted=wanted: len((tmp_path / "begun").read_text()) >= wanted, message="some jobs")  # type: ignore[misc]
            server.kill9()
            with changes(server).open("r+b") as file:
                file.truncate(dice.randint(before, file.seek(0, 2)))
            server.restart()
            rewrite(server)
            if is_there(store, run):
                assert {record.status for record in ended(store, run)} == {"finished"}
            check(store)
        assert {record.status for record in ended(store, start(store, plan, tmp_path))} == {"finished"}


@pytest.mark.skipif(sys.platform != "linux", reason="limits another process")
def test_the_disk_is_full_in_the_middle_of_a_run(
    server: PrivateServer, store: Store, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    text = f"touch {tmp_path}/begun; until [ -e {tmp_path}/go ]; do sleep 0.01; done; echo one=1 > $FLOWQ_OUTPUT"
    run = start(store, flow(node("a", script(text)), node("b", script("true")), edges={"b": {"a": "success"}}), tmp_path)
    with WorkerProcess(server.url, *WORKER):
        until((tmp_path / "begun").exists)
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (changes(server).stat().st_size + 10, resource.RLIM_INFINITY))
        (tmp_path / "go").touch()
        said = ""

        def told() -> bool:
            nonlocal said
            said += capfd.readouterr().err
            return "cannot write its data to disk" in said

        until(told, 15, "the worker to say so")
        with pytest.raises(ServerUnavailableError, match="cannot write its data to disk and refuses changes: make room"):
            start(store, flow(node("c", script("true"))), tmp_path)
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        a, b = ended(store, run)
    assert [(record.status, record.attempt) for record in (a, b)] == [("finished", 1)] * 2
    assert said.count("cannot write its data to disk") == 1
