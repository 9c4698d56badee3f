"""A flow, from its file to its end, on each kind of server; on one behind a Sentinel with a fail-over in its middle."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowq.connections.clients import open_store
from flowq.embedded.binary import VARIABLE
from flowq.embedded.control import stop_server
from flowq.states import JobStatus
from tests.cli.process import Process
from tests.support import kinds
from tests.support.invariants import check
from tests.support.kinds import SentinelServer
from tests.support.server import PrivateServer
from tests.support.wait import until
from tests.support.workers import WorkerProcess

FLOW = """
name: everywhere
jobs:
  list: {run: 'echo names=[1,2,3] >> $FLOWQ_OUTPUT; touch begun; until [ -e go ]; do sleep 0.02; done', timeout: 60}
  each: {depends_on: list, foreach: from_json(jobs.list.result.names), run: 'echo n=${{ item }} >> $FLOWQ_OUTPUT'}
  cells: {depends_on: list, matrix: {n: [1, 2]}, concurrency: {group: one, max: 1}, run: "echo ${{ matrix.n }}"}
  last: {depends_on: [each, cells], run: echo all}
on_exit: {note: {run: touch noted}}
"""


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """A kind of server, whose binary is used meanwhile."""
    before = os.environ.pop(VARIABLE, None)
    missing = kinds.choose(request.param)
    try:
        if missing:
            pytest.skip(missing)
        yield request.param
    finally:
        os.environ.pop(VARIABLE, None)
        if before is not None:
            os.environ[VARIABLE] = before


@pytest.mark.slow
@pytest.mark.parametrize("kind", kinds.KINDS, indirect=True)
def test_a_flow_runs_on_each_kind_of_server(kind: str, home: Path, tmp_path: Path) -> None:
    (tmp_path / "flow.yaml").write_text(FLOW)
    with contextlib.ExitStack() as stack:
        address, server = None, None
        if kind in {"embedded", "redis7"}:  # `flowq run` starts the server and executes the jobs
            stack.callback(stop_server, str(home), force=True)
        else:
            server = kinds.server_of(kind).start()
            stack.callback(server.stop)
            address = server.url
            stack.enter_context(WorkerProcess(address, "--slots", "2", namespace="flowq"))
        command = Process(
            "run", "flow.yaml", "--run-id", "the-run", cwd=tmp_path, env={"FLOWQ_REDIS_URL": address} if address else {}
        )
        stack.callback(command.end)
        until(lambda: (tmp_path / "begun").exists() or command.code is not None, 30, "the first job")
        if isinstance(server, SentinelServer):
            server.fail_over()
        (tmp_path / "go").touch()
        begun = time.monotonic()
        assert command.wait() == 0, command.err
        assert time.monotonic() - begun < 9, "a worker that was led to the former primary does not stay with it (10 s)"
        with contextlib.closing(open_store(address)) as store:
            ends = [record.status for record in store.runs.jobs("the-run", range(12)) if record]
            assert set(ends) == {JobStatus.FINISHED}, ends
            assert (tmp_path / "noted").exists()
            assert ("valkey_version" in store.client.info("server")) == (kind != "redis7")
            check(store)


def test_a_kind_that_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    assert kinds.choose("redis7") == "there is no redis-server on PATH (Debian: apt-get install redis-server)"
    assert [kinds.choose(kind) for kind in kinds.KINDS if kind != "redis7"] == [""] * 3


def test_a_server_is_used_where_it_serves(server: PrivateServer) -> None:
    """The socket of the tests' server leads to the node that serves their namespace, whatever its kind."""
    with server.client() as client, PrivateServer.client(server) as direct:
        client.set("{flowq-test}:here", "x")
        assert direct.get("{flowq-test}:here") == b"x"
        client.delete("{flowq-test}:here")


@pytest.mark.slow
def test_a_flow_runs_where_an_administrator_has_taken_commands_away(tmp_path: Path) -> None:
    """As hosters do with `rename-command`: no settings, no functions, no look at the server."""
    (tmp_path / "flow.yaml").write_text(FLOW)
    (tmp_path / "go").touch()
    server = PrivateServer()
    taken = ("CONFIG", "FUNCTION", "SCRIPT", "INFO", "KEYS", "FLUSHALL", "DEBUG", "MONITOR")
    server.start(*(word for name in taken for word in ("--rename-command", name, "")), "--timeout", "1")
    try:
        with WorkerProcess(server.url, "--slots", "2", namespace="flowq"):
            command = Process("run", "-u", server.url, "flow.yaml", cwd=tmp_path)
            assert command.wait() == 0, command.err
    finally:
        server.stop()
    assert (tmp_path / "noted").exists()
