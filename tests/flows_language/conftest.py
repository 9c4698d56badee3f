"""One server and one worker for all flows of this folder: starting them is most of the time a small flow takes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from flowq.connections import open_client
from flowq.store import Store
from tests.flows_language.lab import MODULES, Lab
from tests.support import invariants
from tests.support.server import PrivateServer
from tests.support.workers import WorkerProcess

NAMESPACE = "flowq-language"


@pytest.fixture(scope="session")
def _laboratory() -> Iterator[Store]:
    server = PrivateServer().start()
    store = Store(open_client(server.url), namespace=NAMESPACE).open()
    with WorkerProcess(server.url, "default", "cpu", "-c", "6", "--log-level", "warning", namespace=NAMESPACE):
        yield store
    server.stop()


@pytest.fixture
def lab(_laboratory: Store, tmp_path: Path) -> Iterator[Lab]:
    """Where flows run. After each test the invariants of the whole store are checked."""
    (tmp_path / "language_jobs.py").symlink_to(MODULES / "language_jobs.py")
    yield Lab(_laboratory, tmp_path)
    invariants.check(_laboratory)
