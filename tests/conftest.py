"""Fixtures of all tests: a real server of this test process's own, a store on it, and a home for the embedded server.

Nothing here touches a server or a directory of the user: the variables that lead to them are cleared for every test.
"""

import fcntl
import importlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis

from tests.support.server import PrivateServer

if TYPE_CHECKING:
    from flowq.store import Store

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A suite that a script starts in the background ignores SIGINT, and so would the commands that tests interrupt. What handles a
    # signal in Python is not inherited: children start with the default.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that forgets to say where its server is must not find the developer's."""
    for name in ("REDIS_URL", "NAMESPACE", "ALLOW_EVICTION", "SECRET_KEY", "LINGER", "HOME", "CONFIG"):
        monkeypatch.delenv(f"FLOWQ_{name}", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", f"{os.devnull}/a test that needs the embedded server asks for the fixture `home`")


@pytest.fixture(scope="session")
def server() -> Iterator[PrivateServer]:
    """One server per test process, without persistence. Tests that kill or restart a server make a `PrivateServer` of their own."""
    private = PrivateServer().start()
    yield private
    private.stop()


@pytest.fixture(scope="session")
def redis_binary() -> str:
    """The path of a `redis-server` on PATH, to see that Redis does what Valkey does; skips where there is none."""
    path = shutil.which("redis-server")
    if path is None:
        pytest.skip("no redis-server on PATH")
    return path


@pytest.fixture
def redis_client(server: PrivateServer) -> Iterator[redis.Redis]:
    """A client of the private server, which is empty at the start of each test."""
    with server.client() as client:
        client.flushall()
        yield client


@pytest.fixture
def namespace() -> str:
    """Not the default, so that a key that was built without the namespace is noticed."""
    return "flowq-test"


@pytest.fixture
def store(redis_client: redis.Redis, namespace: str) -> Iterator["Store"]:
    """An opened store on the private server. After the test, the invariants of the whole store are checked."""
    from flowq.store import Store

    opened = Store(redis_client, namespace=namespace)
    opened.open()
    yield opened
    if importlib.util.find_spec("tests.support.invariants") is not None:
        importlib.import_module("tests.support.invariants").check(opened)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A fresh `FLOWQ_HOME`, also for child processes; the embedded server in it is stopped after the test, and gone."""
    from flowq.embedded.control import server_status, stop_server

    directory = Path(tempfile.mkdtemp(prefix="fq-home-", dir="/tmp"))
    monkeypatch.setenv("FLOWQ_HOME", str(directory))
    monkeypatch.setenv("FLOWQ_LINGER", "1")
    yield directory
    stop_server(str(directory), force=True)
    assert not server_status(str(directory)).running, "the embedded server is still running after the test"
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built as a release would be: by way of a source archive.

    One process builds at a time: the archive is put together inside the checkout.
    """
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--outdir", str(folder), str(Path(__file__).parents[1])]
    with (tmp_path_factory.getbasetemp().parent / "wheel.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (found,) = folder.glob("*.whl")
    return found
