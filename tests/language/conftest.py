"""One server and one worker for all flows of this folder: starting them takes longer than a small flow."""

import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowq.connections.clients import open_client
from flowq.store import Store
from tests.language.guide import PROGRAMS, VARIABLES
from tests.language.lab import MODULES, Lab
from tests.support import invariants
from tests.support.server import PrivateServer
from tests.support.workers import WorkerProcess

NAMESPACE = "flowq-language"


@pytest.fixture(scope="session")
def _laboratory(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    yield from _work(request, tmp_path_factory)


@pytest.fixture
def large_lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Iterator[Lab]:
    """A server and worker for one test with many jobs, which would slow down the checks after all other tests."""
    for store in _work(request, tmp_path_factory):
        yield Lab(store, tmp_path)
        invariants.check(store)


def _work(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    programs = tmp_path_factory.mktemp("bin")
    for name in PROGRAMS:
        _program(programs / name, "exit 0")
    _program(programs / "python", f'exec {shlex.quote(sys.executable)} "$@"')
    env = {"PATH": f"{programs}:{os.environ['PATH']}", **VARIABLES}
    arguments = ("default", "cpu", "work", "aarch64", "-c", "6", "--log-level", "warning")
    server = PrivateServer().start()
    try:
        with server.limited(request.config.getoption("--server-user"), NAMESPACE):
            store = Store(open_client(server.url), namespace=NAMESPACE).open()
            with WorkerProcess(server.url, *arguments, namespace=NAMESPACE, env=env):
                yield store
    finally:
        server.stop()


def _program(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


@pytest.fixture
def lab(_laboratory: Store, tmp_path: Path) -> Iterator[Lab]:
    """A lab for flows. After each test the invariants of the whole store are checked, and ended runs are deleted: they would be checked again."""
    for module in MODULES.glob("[a-z]*"):
        (tmp_path / module.name).symlink_to(module)
    yield Lab(_laboratory, tmp_path)
    invariants.check(_laboratory)
    for run in _laboratory.runs.recent(1000):
        _laboratory.runs.delete(run)
