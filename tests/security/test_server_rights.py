"""TH-17: users of the server with the rights that `flowq acl` prints: what their role does works, and nothing else."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

import flowq
from flowq.cli.main import run as run_command
from flowq.flows.actions.submit import submit
from flowq.store import Store
from flowq.store.schema.rights import ServerRole, commands
from tests.support.server import PrivateServer
from tests.support.workers import WorkerProcess, ended, flow, node, script

NAMESPACE = "flowq-test"
PACKAGE = Path(flowq.__path__[0])
CONNECTION = {"ping", "select", "client", "readonly", "cluster", "command"}  # sent by redis-py itself
OF_REDIS_PY = {"close", "cluster", "connection_pool", "execute_command", "pipeline", "from_pool"}


@pytest.fixture(scope="module")
def private() -> Iterator[PrivateServer]:
    """A server with a user of each role, called as `flowq acl` calls them."""
    one = PrivateServer().start()
    with one.client() as client:
        for role in ServerRole:
            line = shlex.split(printed(role))
            assert line[:3] == ["ACL", "SETUSER", f"flowq-{role}"]
            client.execute_command(*line, "resetpass", f">{role}")
        client.set("of-others", "secret")
        client.set("{other}:job:1", "secret")
    yield one
    one.stop()


def printed(role: ServerRole, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "flowq", "acl", role, *options],
        env={"FLOWQ_NAMESPACE": NAMESPACE},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def client_of(private: PrivateServer, role: ServerRole) -> redis.Redis:
    return private.client(username=f"flowq-{role}", password=str(role))


FORBIDDEN = [
    ("FLUSHALL",), ("FLUSHDB",), ("KEYS", "*"), ("CONFIG", "GET", "*"), ("CONFIG", "SET", "dir", "/tmp"), ("ACL", "LIST"), ("ACL", "SETUSER", "x"),
    ("MONITOR",), ("DEBUG", "SLEEP", "0"), ("SHUTDOWN",), ("SAVE",), ("BGSAVE",), ("REPLICAOF", "host", "1"), ("MIGRATE", "host", "1", "k", "0", "1"),
    ("MODULE", "LIST"), ("CLIENT", "LIST"), ("CLIENT", "KILL", "TYPE", "normal"), ("SLOWLOG", "GET"), ("LATENCY", "LATEST"), ("SCRIPT", "FLUSH"),
    ("FUNCTION", "FLUSH"), ("FUNCTION", "DELETE", "x"), ("FUNCTION", "DUMP"), ("SUBSCRIBE", "x"), ("PUBLISH", "x", "y"), ("SWAPDB", "0", "1"),
    ("DUMP", "{flowq-test}:meta"), ("RESTORE", "{flowq-test}:x", "0", ""), ("OBJECT", "FREQ", "{flowq-test}:meta"), ("RANDOMKEY",),
    ("GET", "of-others"), ("GET", "{other}:job:1"), ("SET", "of-others", "1"), ("SET", "{flowq-test", "1"), ("DEL", "{other}:job:1"),
    ("EVAL", "return redis.call('GET', 'of-others')", "0"), ("EVAL", "return redis.call('FLUSHALL')", "0"),
    ("EVAL", "return redis.call('GET', '{other}:job:1')", "0"),
]  # fmt: skip
WRITES = [
    ("SET", "{flowq-test}:x", "1"), ("HSET", "{flowq-test}:meta", "x", "1"), ("DEL", "{flowq-test}:meta"), ("XADD", "{flowq-test}:events:1", "*", "a", "b"),
    ("EVAL", "return redis.call('HSET', KEYS[1], 'x', '1')", "1", "{flowq-test}:meta"), ("BLPOP", "{flowq-test}:wake:default", "1"),
    ("EVAL", "return redis.call('DEL', '{flowq-test}:meta')", "1", "{flowq-test}:meta"), ("RENAME", "{flowq-test}:a", "{flowq-test}:b"),
]  # fmt: skip
LIBRARY = ("FUNCTION", "LOAD", "REPLACE", "#!lua name=x\nredis.register_function('x', function() end)")


@pytest.mark.parametrize("role", ServerRole)
def test_what_no_role_needs_is_refused(private: PrivateServer, role: ServerRole) -> None:
    more = {
        ServerRole.WORKER: [],
        ServerRole.SUBMITTER: [LIBRARY, ("SCAN", "0"), ("INFO",)],
        ServerRole.VIEWER: [*WRITES, LIBRARY, ("SCAN", "0"), ("INFO",)],
    }[role]
    done = [command for command in [*FORBIDDEN, *more] if not is_refused(private, role, command)]
    assert done == []


def is_refused(private: PrivateServer, role: ServerRole, command: tuple[str, ...]) -> bool:
    with client_of(private, role) as client:
        try:
            client.execute_command(*command)
        except redis.exceptions.NoPermissionError:
            return True
        except redis.exceptions.ResponseError as error:
            return "ACL failure" in str(error) or "NOPERM" in str(error) or "no permissions" in str(error)
    return False


def test_each_role_does_what_it_is_for(
    private: PrivateServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nothing that a role is for is refused: the server's own log of refusals tells."""
    monkeypatch.setenv("FLOWQ_NAMESPACE", NAMESPACE)
    monkeypatch.chdir(tmp_path)

    def urls(role: ServerRole) -> str:
        return f"unix://flowq-{role}:{role}@{private.socket}"

    def refused() -> list[str]:
        return [entry for entry in private.refused() if entry not in {"command function|load", "command info"}]

    private.client().execute_command("ACL", "LOG", "RESET")  # type: ignore[no-untyped-call]
    with client_of(private, ServerRole.SUBMITTER) as client:
        store = Store(client, NAMESPACE).open()
        plan = flow(node("one", script("echo shown")), node("two", script("exit 3")), edges={"two": {"one": "success"}})
        run = submit(store, plan, directory=str(tmp_path))
        with WorkerProcess(urls(ServerRole.WORKER), "default", namespace=NAMESPACE):
            ended(store, run)
        for arguments in (
            ("retry", run, "--failed", "--detach"),
            ("cancel", run),
            ("enqueue", "os.getpid"),
            ("empty", "default"),
        ):
            assert run_command([arguments[0], "-u", urls(ServerRole.SUBMITTER), *arguments[1:]]) == 0, capfd.readouterr().err
        with WorkerProcess(urls(ServerRole.WORKER), "default", namespace=NAMESPACE):
            ended(store, run)
    assert refused() == []
    capfd.readouterr()
    for words in (
        ("status", run), ("status", run, "--json"), ("logs", run), ("why", run, "two"), ("result", run, "one"), ("runs",), ("runs", "--json"),
        ("graph", run), ("info",), ("info", "--json"),
    ):  # fmt: skip
        code = run_command([words[0], "-u", urls(ServerRole.VIEWER), *words[1:]])
        assert code in {0, 1}, (words, capfd.readouterr().err)
    assert "shown" in capfd.readouterr().out
    assert refused() == []
    for words in (("delete", run), ("enqueue", "os.getpid"), ("suspend",)):
        assert run_command([words[0], "-u", urls(ServerRole.VIEWER), *words[1:]]) == 6
        assert "does not allow this user what flowq needs" in capfd.readouterr().err


def test_the_rights_are_those_that_are_used() -> None:
    """What the scripts call, and what Python calls, is allowed to workers; and nothing is that neither calls."""
    lua = "\n".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.lua"))
    scripts = {
        name.lower()
        for name in re.findall(r"""(?:call|pcall\(call), ?['"(]+([A-Z]+)|call\(['"]([A-Z]+)""", lua)
        for name in name
        if name
    }
    scripts |= {name.lower() for name in re.findall(r"['\"]([A-Z]{3,})['\"]", lua)} & {"append", "zpopmin", "scan", "info"}
    python = "\n".join(
        path.read_text(encoding="utf-8") for folder in ("store", "connections") for path in (PACKAGE / folder).rglob("*.py")
    )
    methods = set(re.findall(r"\b(?:client|pipe|pipeline)\.([a-z_]+)\b", python)) & set(dir(redis.Redis)) - OF_REDIS_PY
    called = {method.removesuffix("_iter") for method in methods}
    allowed = {command.replace("|", "_") for command in commands(ServerRole.WORKER)}
    assert (scripts | called) - allowed - {"delete"} == set()
    unused = {name for name in allowed - scripts - called if name.partition("_")[0] not in CONNECTION}
    assert unused == {"eval", "evalsha", "fcall", "function_load"}, "these are sent as words"


def test_the_password_is_another_one_each_time_or_none() -> None:
    one, other = (re.findall(r"'>([\w-]{32})'", printed(ServerRole.VIEWER)) for _ in range(2))
    assert len(one) == len(other) == 1
    assert one != other
    assert ">" not in printed(ServerRole.VIEWER, "--keep-password")


def test_a_name_that_would_be_more_than_a_name(capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("a b", "a'", 'a"', "a\nACL", "é", ""):
        code = run_command(["acl", "viewer", "--user", name])
        out = capfd.readouterr()
        assert (code, out.out) == (2, "") or (name == "" and "flowq-viewer" in out.out)
