"""TH-8: the password of the server, the secret key and secrets of flows, looked for in all that flowq stores, sends, shows and starts.

`tests/cli/test_secrets.py` has the forms of a secret and the embedded server; here are a server of one's own, files that travel, traces and the page.
"""

import base64
import gzip
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowq.cli.main import run as run_command
from flowq.store import Store
from flowq.store.schema.rights import ServerRole, rules
from flowq.worker.secrets.execution import ExecutionSecrets
from tests.cli.test_secrets import found_in, values_of
from tests.support.endpoint import Endpoint
from tests.support.page_server import PageServer, token_of
from tests.support.server import PrivateServer
from tests.support.supervisor_stub import Execution, Stand, shell
from tests.support.workers import WorkerProcess, ended

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

FLOW = """
secrets: {TOKEN: {env: SOURCE}}
code: ship
jobs:
  tells: {secrets: [TOKEN], run: 'echo "$TOKEN" | tee /dev/stderr; printf %s "$TOKEN" | base64; echo "value=$TOKEN" >> $FLOWQ_OUTPUT; set -x; : "$TOKEN"; echo kept > kept.txt', artifacts: {kept: kept.txt}}
  raises: {allow_failure: true, secrets: [TOKEN], call: "shipped:fail"}
  crashes: {allow_failure: true, secrets: [TOKEN], run: 'kill -SEGV $$'}
  looks: {run: 'cat /proc/$PPID/environ /proc/self/environ /proc/$PPID/cmdline | tr "\\\\0" "\\n"'}
  shows: {depends_on: tells, run: ["echo", "${{ to_json(jobs.tells.result) }}"]}
"""
MODULE = """
import os
def fail():
    raise ValueError(os.environ["TOKEN"], dict(os.environ))
"""


class Canaries:
    """Three values that may be nowhere."""

    def __init__(self) -> None:
        self.password, self.key, self.token = (os.urandom(16).hex() for _ in range(3))

    def needles(self) -> list[bytes]:
        """Return the values and parts of them, plain and encoded."""
        plain = [value.encode() for value in (self.password, self.key, self.token)]
        return [*plain, *(value[:24] for value in plain), *(base64.b64encode(value)[:-4] for value in plain)]


@pytest.fixture
def private() -> Iterator[PrivateServer]:
    server = PrivateServer().start()
    yield server
    server.stop()


def unpacked(data: bytes) -> bytes:
    """Return data, with what it is when it is decompressed."""
    return data + gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data


def test_no_secret_is_anywhere(
    private: PrivateServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    canaries = Canaries()
    flows, temporary, out = (tmp_path / name for name in ("flows", "tmp", "out"))
    for directory in (flows, temporary, out):
        directory.mkdir()
    (flows / "flow.yaml").write_text(FLOW)
    (flows / "shipped.py").write_text(MODULE)
    (flows / ".env").write_text(f"TOKEN={canaries.token}\n")
    user = ("ACL", "SETUSER", "flowq", "on", f">{canaries.password}", *rules(ServerRole.WORKER, "flowq-test"))
    private.client().execute_command(*user)  # type: ignore[no-untyped-call]
    url = f"unix://flowq:{canaries.password}@{private.socket}"
    found: dict[str, bytes] = {}
    with Endpoint() as collector, (out / "worker").open("wb") as log:
        env = {
            "FLOWQ_REDIS_URL": url,
            "FLOWQ_NAMESPACE": "flowq-test",
            "FLOWQ_SECRET_KEY": canaries.key,
            "SOURCE": canaries.token,
            "TMPDIR": str(temporary),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
        }

        def flowq(*arguments: str, **more: str) -> None:
            capfd.readouterr()
            with monkeypatch.context() as patch:
                for name, value in (env | more).items():
                    patch.setenv(name, value)
                run_command(arguments)
            found[" ".join(arguments[:2])] = "".join(capfd.readouterr()).encode()

        monkeypatch.chdir(flows)
        run = "canaries"
        flowq("run", "flow.yaml", "--detach", "--run-id", run)
        store = Store(private.client(), "flowq-test").open()
        with WorkerProcess(url, "default", env=env, output=log.fileno()):
            ended(store, run, timeout=60)
        for command in ("status", "logs", "why", "trace"):
            flowq(command, run)
        for words in (
            ("status", "--json"),
            ("logs", "--json"),
            ("runs", "--json"),
            ("info", "--json"),
            ("doctor",),
            ("metrics",),
            ("artifacts", "list", run),
            ("config",),
            ("run", "--dry-run"),
        ):
            flowq(*words)
        flowq("status", "wrong-server", FLOWQ_REDIS_URL=url.replace(private.socket, f"{private.socket}-gone"))
        flowq("status", "wrong-user", FLOWQ_REDIS_URL=url.replace("flowq:", "another:"))
        flowq("status", "wrong-option", FLOWQ_REDIS_URL=f"{url}?db=x")
        with PageServer(str(flows), log=out / "page", env=env) as page:
            token = token_of(store, "admin")
            jobs = [f"/runs/{run}/jobs/{number}{part}" for number in range(5) for part in ("", "/log", "/result", "/why")]
            for path in (
                "/info",
                "/flows",
                "/flows/flow",
                "/flows/flow/source",
                f"/runs/{run}",
                f"/runs/{run}/source",
                "/doctor",
                "/workers",
                "/audit",
                *jobs,
            ):
                found[path] = page.api("GET", path, token=token).body
            for path in ("/metrics", f"/?token={canaries.token}"):
                found[path] = page.ask("GET", path, token=token).body
        found |= {f"trace {number}": unpacked(asked.body) for number, asked in enumerate(collector.asked)}
        found |= {f"stored {number}": value for number, value in enumerate(values_of(private.client()))}
        client: Any = private.client()
        bundles = [client.get(key) for key in client.scan_iter("*:bundle:*")]
        found |= {f"bundle {number}": unpacked(data) for number, data in enumerate(bundles)}
    for directory in (out, temporary, tmp_path / "cache"):
        found |= {str(file): unpacked(file.read_bytes()) for file in directory.rglob("*") if file.is_file()}
    found["log of the server"] = private.log.read_bytes()
    assert b"***" in found[f"logs {run}"]
    assert b"shipped.py" in found["bundle 0"], "the archive was looked into"
    assert b"tells" in found["trace 0"]
    assert b"kept.txt" in found["artifacts list"]
    assert b"flowq_jobs" in found["metrics"]
    assert b"flowq_jobs" in found["/metrics"]
    assert {
        name: found_in(data, canaries.needles()) for name, data in found.items() if found_in(data, canaries.needles())
    } == {}
    assert not [file for file in tmp_path.rglob("core*") if file.is_file()]


def test_a_process_with_secrets_leaves_no_core_file() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        with Stand() as stand:
            limits = []
            for secrets in (None, ExecutionSecrets({"TOKEN": "canary-31f0"})):
                execution = stand.executions[0] = Execution()
                stand.slots[0].start(shell("ulimit -c"), stand.fork_server, secrets)
                stand.turn(lambda e=execution: e.freed)  # type: ignore[misc]
                limits.append(execution.output().strip())
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
    assert limits == [b"unlimited" if hard == resource.RLIM_INFINITY else str(hard // 1024).encode(), b"0"]
