"""Fixtures for all tests: a private server per test process, a store on it, and a home for the embedded server.

No test touches a server or a directory of the developer: the variables that name them are cleared for every test.
"""

import fcntl
import gc
import importlib
import importlib.util
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis

from flowq.isolation import BATCH, JOB
from tests.support import kinds
from tests.support.server import PrivateServer
from tests.support.wait import remove

if TYPE_CHECKING:
    from flowq.store import Store

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A suite started in the background ignores SIGINT, and so would the commands that tests interrupt. A Python handler is not inherited,
    # so that children start with the default.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Images often forbid Python to write compiled modules. Each of the thousands of commands and workers that tests start would then compile
# flowq again: a third of its processor time.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Clear the developer's settings: a test must not use the developer's server by mistake, nor depend on the developer's terminal."""
    if request.config.getoption("--isolation") == BATCH:
        monkeypatch.setenv("FLOWQ_ISOLATION", BATCH)
    for name in ("REDIS_URL", "NAMESPACE", "ALLOW_EVICTION", "SECRET_KEY", "LINGER", "HOME", "CONFIG"):
        monkeypatch.delenv(f"FLOWQ_{name}", raising=False)
    for name in ("COLUMNS", "LINES", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", f"{os.devnull}/a test that needs the embedded server asks for the fixture `home`")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the kind of the tests' server, and the options that take rights on it away: to call functions, so that scripts are sent, and all but a role's.

    And what the processes of jobs are shared by, where neither the worker nor the job says it.
    """
    parser.addoption("--server", choices=kinds.KINDS, default=kinds.KINDS[0], help="run the tests on a server of this kind")
    parser.addoption("--without-functions", action="store_true", help="let no user of the tests' server call its functions")
    parser.addoption(
        "--server-user", metavar="ROLE", help="use the tests' server as a user with the rights that `flowq acl ROLE` prints"
    )
    parser.addoption(
        "--isolation", choices=[JOB, BATCH], default=JOB, help="what jobs share a process: that of FLOWQ_ISOLATION"
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what the kind of server or the isolation that was asked for cannot do, and everything where the server cannot be had; order the rest."""
    if hasattr(config, "workerinput"):
        _begin_with_the_longest(items)
    kind = config.getoption("--server")
    missing = kinds.choose(kind)
    asked = {kind, config.getoption("--isolation")}
    for item in items:
        reasons = [marker.args[1] for marker in item.iter_markers("not_on") if marker.args[0] in asked]
        if missing or reasons:
            item.add_marker(pytest.mark.skip(reason=missing or reasons[0]))


def _begin_with_the_longest(items: list[pytest.Item]) -> None:
    """Let processes of a parallel test run begin with the files that take longest: one begun last would leave the others idle.

    The weights are those of a slow test and of any other, in seconds.
    """
    weights: defaultdict[Path, float] = defaultdict(float)
    for item in items:
        weights[item.path] += 4 if item.get_closest_marker("slow") else 0.2
    items.sort(key=lambda item: -weights[item.path])


def pytest_collection() -> None:
    """Collect no garbage while tests are collected: hardly anything is, and looking for it takes a sixth of the time."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Collect garbage again, but for the tests themselves."""
    _set_apart()
    gc.enable()


@pytest.fixture(autouse=True, scope="module")
def _set_apart_what_is_left() -> None:
    """Leave what the tests before have left (imported modules, caches, reports) out of garbage collections, too."""
    _set_apart()


def _set_apart() -> None:
    """Leave what there is out of garbage collections: the tests alone are half a million objects.

    Hundreds of tests fork, and a collection in the child writes to all that it looks at: the kernel copies the memory of the test process.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Iterator[PrivateServer]:
    """A server per test process, without persistence. Tests that kill or restart a server create their own `PrivateServer`."""
    rights = ("--user", "default", "on", "nopass", "~*", "&*", "+@all", "-fcall")
    without = request.config.getoption("--without-functions")
    private = kinds.server_of(request.config.getoption("--server")).start(*(rights if without else ()))
    with pytest.MonkeyPatch.context() as patch:
        if without:  # otherwise the first call of each session would be one more
            patch.setattr("flowq.store.client.session.Session.functions", False)
        try:
            with private.limited(request.config.getoption("--server-user"), "flowq-test", "flowq"):
                yield private
        finally:
            private.stop()


@pytest.fixture(scope="session")
def redis_binary() -> str:
    """The path of a `redis-server` on PATH, to test Redis besides Valkey; skips the test if there is none."""
    path = shutil.which("redis-server")
    if path is None:
        pytest.skip("no redis-server on PATH")
    return path


@pytest.fixture(scope="module")
def _fail_over(server: PrivateServer) -> None:
    """Let the replica behind a Sentinel become the primary before a module of tests."""
    if isinstance(server, kinds.SentinelServer):
        server.fail_over()


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Workers in this process set up logging, as those of a program do: tests that look at records must find it as it was."""
    logger = logging.getLogger("flowq.worker")
    level, handlers = logger.level, logger.handlers[:]
    yield
    logger.setLevel(level)
    logger.handlers[:] = handlers


@pytest.fixture
def redis_client(server: PrivateServer, _fail_over: None) -> Iterator[redis.Redis]:
    """A client of the private server, which is empty at the start of each test."""
    with server.client() as client:
        client.flushall()
        yield client


@pytest.fixture
def namespace() -> str:
    """A namespace that is not the default, to detect keys built without the namespace."""
    return "flowq-test"


@pytest.fixture
def store(redis_client: redis.Redis, server: PrivateServer, namespace: str) -> Iterator["Store"]:
    """A store on the private server, which is empty. After the test, the invariants of the whole store are checked."""
    from flowq.store import Store

    with server.user_client() as client:
        opened = Store(client, namespace=namespace)
        opened.open()
        yield opened
        if importlib.util.find_spec("tests.support.invariants") is not None:
            importlib.import_module("tests.support.invariants").check(opened)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A new `FLOWQ_HOME`, also for child processes; its embedded server is stopped after the test."""
    from flowq.embedded.control import server_status, stop_server

    directory = Path(tempfile.mkdtemp(prefix="fq-home-", dir="/tmp"))
    monkeypatch.setenv("FLOWQ_HOME", str(directory))
    monkeypatch.setenv("FLOWQ_LINGER", "60")  # for tests that look at it when its user has left, also on a busy machine
    yield directory
    stop_server(str(directory), force=True)
    assert not server_status(str(directory)).running, "the embedded server is still running after the test"
    remove(directory)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built like a release from a source archive: once, by the first of the processes of this test run."""
    place = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent
    folder = place / "dist"
    command = [sys.executable, "-m", "build", "--outdir", str(folder), str(Path(__file__).parents[1])]
    with (place / "wheel.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not list(folder.glob("*.whl")):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (found,) = folder.glob("*.whl")
    return found
