"""The command line in this process, on the test's own server, as a fixture."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from flowq.cli.main import run
from flowq.flows.actions.submit import submit
from flowq.plan import Plan
from flowq.store import Store
from tests.cli import samples
from tests.cli.manual_worker import HandWorker
from tests.support import launcher
from tests.support.server import PrivateServer


@dataclass(frozen=True, slots=True)
class Outcome:
    """The exit code and output of a command."""

    code: int
    out: str
    err: str


Cli = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def _say_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands in this process say late what they wait for, like those of the launcher."""
    launcher.say_late(monkeypatch.setattr)


@pytest.fixture
def cli(
    server: PrivateServer, namespace: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Cli:
    """Run `flowq` with arguments, on the server of the fixture `store`, in an empty directory, without a terminal."""
    monkeypatch.setenv("FLOWQ_REDIS_URL", server.url)
    monkeypatch.setenv("FLOWQ_NAMESPACE", namespace)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Outcome:
        capfd.readouterr()
        code = run(arguments)
        return Outcome(code, *capfd.readouterr())

    return call


@pytest.fixture
def report(store: Store, cli: Cli, tmp_path: Path) -> str:
    """A submitted run of `samples.report_plan` with a fixed id; no job has started."""
    return submit(store, samples.report_plan(), directory=tmp_path, run_id=samples.RUN)


@pytest.fixture
def worker(store: Store) -> Iterator[HandWorker]:
    """A manual worker on all queues of the sample but "gpu"."""
    hand = HandWorker(store, "default", "cpu")
    yield hand
    hand.close()


@pytest.fixture
def submit_plan(store: Store, tmp_path: Path) -> Callable[[Plan], str]:
    """Return a function that submits a plan from the test's directory."""
    return lambda plan: submit(store, plan, directory=tmp_path)
