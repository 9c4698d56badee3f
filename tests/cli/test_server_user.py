"""A user of the server with the rights that `flowq acl worker` prints, and no others: everything that flows need works."""

import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli import process
from tests.cli.process import FLOWQ, Process
from tests.support.server import PrivateServer
from tests.support.wait import until

FLOW = """
jobs:
  list: {run: "echo '{\\"items\\": [1, 2]}' >> $FLOWQ_OUTPUT", retry: 1, concurrency: {group: one, max: 1}, cache: {key: "'a'"}}
  each: {depends_on: list, foreach: jobs.list.result.items, run: "echo out; test -e mended"}
  ask: {depends_on: {each: done}, approval: ready?}
  late: {depends_on: ask, delay: 1s, run: "true"}
on_exit:
  clean: {run: "true"}
"""


@pytest.fixture
def private() -> Iterator[PrivateServer]:
    """A server with that user, called `flowq`."""
    server = PrivateServer().start()
    printed = subprocess.run(
        [*FLOWQ, "acl", "worker", "--user", "flowq", "--keep-password"], capture_output=True, text=True, check=True
    )
    server.client().execute_command(*shlex.split(printed.stdout), ">password")  # type: ignore[no-untyped-call]
    yield server
    assert server.refused() in ([], ["command time"], ["auth AUTH"]), "what the tests take away"
    server.stop()


@pytest.mark.slow
def test_the_rights_of_a_worker_are_enough(private: PrivateServer, tmp_path: Path) -> None:
    env = {"FLOWQ_REDIS_URL": f"unix://flowq:password@{private.socket}"}

    def flowq(*arguments: str, code: int = 0) -> str:
        done = process.flowq(*arguments, cwd=tmp_path, env={**os.environ, **env})
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
        return done.stdout

    def asked() -> bool:
        listed = json.loads(flowq("runs", "--json") or "[]")
        return bool(listed) and '"reason": "approval"' in flowq("status", "--json")

    (tmp_path / "flow.yaml").write_text(FLOW)
    worker = Process("worker", "-c", "2", cwd=tmp_path, env=env)
    run = Process("run", "flow.yaml", cwd=tmp_path, env=env)
    try:
        until(asked, timeout=30)
        document = json.loads(flowq("status", "--json"))
        flowq("approve", document["id"], "ask")
        assert run.wait(60) == 1, run.err
        assert "out" in flowq("logs", document["id"])
        (tmp_path / "mended").touch()
        flowq("retry", document["id"], "--failed", "--detach")
        run = Process("status", "--watch", cwd=tmp_path, env=env)
        until(asked, timeout=30)
        flowq("approve", document["id"], "ask")
        assert run.wait(60) == 0
        assert json.loads(flowq("status", "--json"))["status"] == "finished"
        for command in (
            ("why", "late"),
            ("info",),
            ("gc",),
            ("doctor",),
            ("result", document["id"], "list"),
            ("graph", document["id"]),
        ):
            flowq(*command)
        flowq("enqueue", "os.getpid")
        flowq("suspend")
        flowq("resume")
        flowq("delete", document["id"])
    finally:
        run.end()
        worker.end()


def test_a_right_that_is_missing_is_named(private: PrivateServer, tmp_path: Path) -> None:
    private.client().execute_command("ACL", "SETUSER", "flowq", "-time")  # type: ignore[no-untyped-call]
    (tmp_path / "flow.yaml").write_text("jobs: {a: {run: 'true'}}\n")
    env = {**os.environ, "FLOWQ_REDIS_URL": f"unix://flowq:password@{private.socket}"}
    for command in (("run", "flow.yaml"), ("worker",)):
        done = process.flowq(*command, cwd=tmp_path, env=env)
        assert done.returncode == 6, done.stderr
        assert (
            "does not allow this user what flowq needs: User flowq has no permissions to run the 'time' command\n"
            in done.stderr
        )


def test_a_worker_exits_like_every_command_when_the_server_refuses_it(private: PrivateServer, tmp_path: Path) -> None:
    env = {**os.environ, "FLOWQ_REDIS_URL": f"unix://flowq:wrong@{private.socket}"}
    for command in (("status",), ("worker",)):
        done = process.flowq(*command, cwd=tmp_path, env=env)
        assert done.returncode == 6, done.stderr
        assert "refused the user name or password" in done.stderr
