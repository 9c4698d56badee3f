"""Tests that fail while the machine stands still are run again; others are not."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CONFTEST = """
from tests.support.standstill import Standstills

def pytest_configure(config):
    config.pluginmanager.register(Standstills(), "standstills")
"""

TESTS = """
import os, pathlib, signal, time
import pytest
from tests.support.standstill import LIMIT
from tests.support.wait import until

@pytest.fixture
def tries(request):
    file = pathlib.Path(__file__).with_name(request.node.name)
    with file.open("a") as opened:
        opened.write("x")
    return len(file.read_text())

@pytest.fixture
def stand_still(request):
    def stop():
        watcher = request.config.pluginmanager.getplugin("standstills").watcher
        os.kill(watcher, signal.SIGSTOP)
        begun = time.monotonic()
        until(lambda: time.monotonic() > begun + LIMIT + 0.2)
        os.kill(watcher, signal.SIGCONT)
    return stop

@pytest.fixture(scope="module")
def shared():
    return []

@pytest.fixture(scope="session")
def opened():
    state = ["open"]
    yield state
    state.clear()
    raise ValueError("it cannot be closed")

def test_before(tries, opened):
    assert tries == 2, "it fails, and is not run again"

def test_passes_then(tries, stand_still, shared, opened):
    assert opened
    assert not shared, "what was broken by the first try"
    if tries == 1:
        shared.append("broken")
        stand_still()
    assert tries == 2, "the first time"

def test_fails_again(tries, stand_still):
    if tries == 1:
        stand_still()
    assert tries == 3, "always"

def test_passes(tries, opened):
    assert opened
    assert tries == 1
"""


@pytest.mark.slow
def test_a_test_that_failed_while_the_machine_stood_still_is_run_again(tmp_path: Path) -> None:
    """The process that watches the machine is stopped, as if everything were."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--rootdir", str(tmp_path), "-p", "no:cacheprovider", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    tries = {path.name: len(path.read_text()) for path in tmp_path.glob("test_*") if not path.suffix}
    assert tries == {"test_before": 1, "test_passes_then": 2, "test_fails_again": 2, "test_passes": 1}, done.stdout
    assert "2 failed, 2 passed, 1 error" in done.stdout
    again = [
        line.partition(": it had failed while the machine stood still for ")[0]
        for line in done.stdout.splitlines()
        if "RUN AGAIN" in line
    ]
    assert again == ["RUN AGAIN test_it.py::test_fails_again", "RUN AGAIN test_it.py::test_passes_then"]
    assert "it fails, and is not run again" in done.stdout
