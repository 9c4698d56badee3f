"""A right that the server's user loses while its worker executes a flow, and gets back: the worker says which, and then the flow ends as ever."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowq.store import Store
from flowq.store.schema.rights import ServerRole
from tests.support import invariants
from tests.support.server import PrivateServer
from tests.support.wait import until
from tests.support.workers import WorkerProcess, ended, flow, node, script, start

NAMESPACE = "flowq-test"
NOTE = "echo {} >> begun; until test -e go; do sleep 0.01; done; echo {} >> done"
COMMANDS = ["zadd", "xadd", "hincrby", "llen"]
RIGHTS = {name: (f"-{name}", f"+{name}") for name in COMMANDS} | {"any of its commands": ("resetkeys", f"~{{{NAMESPACE}}}:*")}


@pytest.fixture(scope="module")
def limited() -> Iterator[PrivateServer]:
    server = PrivateServer().start()
    server.restrict(ServerRole.WORKER, NAMESPACE)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def worker(limited: PrivateServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The log of a worker."""
    log = tmp_path_factory.mktemp("worker") / "log"
    Store(limited.user_client(), NAMESPACE).open()
    with log.open("w") as opened, WorkerProcess(limited.url, "default", "-c", "2", output=opened.fileno()):
        yield log


@pytest.mark.parametrize("right", RIGHTS)
def test_a_right_is_lost_in_the_middle_of_a_flow(limited: PrivateServer, worker: Path, tmp_path: Path, right: str) -> None:
    admin: Any = limited.client()
    store = Store(limited.client(), NAMESPACE).open()
    names = ["a", "b", "c", "d"]
    nodes = [node(name, script(NOTE.format(name, name))) for name in names]
    run = start(store, flow(*nodes, edges={"c": {"a": "success", "b": "success"}, "d": {"c": "success"}}), tmp_path)
    begun, done = tmp_path / "begun", tmp_path / "done"
    until(lambda: begun.exists() and len(begun.read_text().split()) == 2)
    read = worker.stat().st_size
    take, give = RIGHTS[right]
    admin.execute_command("ACL", "SETUSER", f"flowq-{ServerRole.WORKER}", take)
    (tmp_path / "go").touch()
    until(lambda: "does not allow this user" in worker.read_text()[read:])
    assert right in worker.read_text()[read:] or right == "any of its commands"
    assert store.runs.require(run).ended is False
    admin.execute_command("ACL", "SETUSER", f"flowq-{ServerRole.WORKER}", give)
    assert {job.status for job in ended(store, run)} == {"finished"}
    assert sorted(begun.read_text().split()) == sorted(done.read_text().split()) == names
    assert store.workers.all_set_aside() == {}
    invariants.check(store)
