"""Process records: ended, running and unknown processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from flowq import processes
from tests.support import namespaces
from tests.support.wait import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")

SAY = (sys.executable, "-c", "from flowq import processes; print(processes.identity(), flush=True); input()")


@pytest.fixture
def other() -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(SAY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_process_runs_until_it_ends(other: "subprocess.Popen[str]") -> None:
    assert processes.is_running(processes.identity()) is True
    identity = said(other)
    assert processes.is_running(identity) is True
    other.kill()
    until(lambda: processes.is_running(identity) is False, message="the zombie to count as ended")
    other.wait()
    assert processes.is_running(identity) is False


def test_a_stopped_process_is_unknown(other: "subprocess.Popen[str]") -> None:
    identity = said(other)
    other.send_signal(signal.SIGSTOP)
    until(lambda: processes.is_running(identity) is None)
    other.send_signal(signal.SIGCONT)
    until(lambda: processes.is_running(identity) is True)


def test_a_reused_id_is_another_process() -> None:
    where, pid, _ = processes.identity().rsplit(" ", 2)
    assert processes.is_running(f"{where} {pid} 1") is False


def test_a_process_of_another_machine_is_unknown() -> None:
    here = processes.scope()
    for text in ("", "x", f"elsewhere {os.getpid()} 1", "a b c", here, f"{here} x 1", f"{here} \u00b2 1"):
        assert processes.is_running(text) is None, text


@pytest.mark.parametrize("mounted", [True, False], ids=["its own proc", "the proc of the host"])
def test_a_process_of_another_namespace_is_unknown(mounted: bool) -> None:
    """This holds also for itself if its `/proc` shows another namespace."""
    if why := namespaces.why_not():
        pytest.skip(why)
    unshare = [part for part in namespaces.UNSHARE if mounted or part != "--mount-proc"]
    with subprocess.Popen([*unshare, *SAY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        identity = said(process)
        assert bool(identity) == mounted
        assert processes.is_running(identity) is None
        process.kill()
