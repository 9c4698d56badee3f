"""Timeouts end a job, whatever it does."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.supervisor_stub import Stand, call, gone, shell, survivors
from tests.support.wait import until


@pytest.fixture(scope="module")
def stand() -> Iterator[Stand]:
    with Stand(grace=0.3, preload=("process_jobs",)) as one:
        yield one
    until(lambda: not survivors(one.mark))


@pytest.fixture(scope="module")
def patient() -> Iterator[Stand]:
    """A supervisor with a grace period that is long enough for an exception on a busy machine."""
    with Stand(grace=10, preload=("process_jobs",)) as one:
        yield one
    until(lambda: not survivors(one.mark))


def test_the_exception_comes_first_and_has_a_traceback(patient: Stand, tmp_path: Path) -> None:
    outcome = patient.run(call("block", str(tmp_path / "pid"), timeout=0.2)).outcome
    assert (outcome["reason"], outcome["exception"]) == ("timeout", "flowq.timeouts.JobTimeoutException")
    assert "in block" in outcome["error"]
    assert outcome["error"].endswith("the job ran longer than its timeout of 0.2 s")
    assert "flowq/timeouts.py" not in outcome["error"]


def test_except_exception_does_not_catch_it(patient: Stand, tmp_path: Path) -> None:
    assert patient.run(call("swallow_exceptions", str(tmp_path / "pid"), timeout=0.2)).outcome["reason"] == "timeout"


def test_a_job_that_catches_it_has_timed_out(patient: Stand, tmp_path: Path) -> None:
    outcome = patient.run(call("swallow", str(tmp_path / "pid"), timeout=0.2)).outcome
    assert outcome["reason"] == "timeout"
    assert "caught JobTimeoutException" in outcome["error"]


def test_finally_blocks_have_the_grace_period(patient: Stand, tmp_path: Path) -> None:
    patient.run(call("clean_up", str(tmp_path / "file"), timeout=0.2))
    assert (tmp_path / "file").read_text() == "cleaned"


@pytest.mark.parametrize("job", ["block_signals", "ignore_term"])
def test_a_job_that_ignores_signals_is_killed(stand: Stand, tmp_path: Path, job: str) -> None:
    before = time.monotonic()
    outcome = stand.run(call(job, str(tmp_path / "pid"), timeout=0.2)).outcome
    assert (outcome["reason"], outcome["error"]) == ("timeout", "the job ran longer than its timeout of 0.2 s and was killed")
    assert 0.2 + 2 * 0.3 <= time.monotonic() - before < 5
    pid = int((tmp_path / "pid").read_text())
    assert gone(pid, stand.mark)


def test_a_script_gets_sigterm_at_once_and_can_clean_up(patient: Stand, tmp_path: Path) -> None:
    script = f"trap 'echo cleaned > {tmp_path}/file; exit 0' TERM\nsleep 60 & wait\n"
    outcome = patient.run(shell(script, timeout=0.3)).outcome
    assert outcome["reason"] == "timeout"
    assert (tmp_path / "file").read_text() == "cleaned\n"


def test_a_script_that_ignores_sigterm_is_killed_with_its_children(stand: Stand, tmp_path: Path) -> None:
    outcome = stand.run(shell(f"trap '' TERM\nsh -c 'echo $$ > {tmp_path}/pid; exec sleep 60'\n", timeout=1.0)).outcome
    assert outcome["reason"] == "timeout"
    pid = int((tmp_path / "pid").read_text())
    until(lambda: gone(pid, stand.mark))


def test_a_job_within_its_timeout_is_not_interrupted(stand: Stand) -> None:
    assert stand.run(call("echo", 1, timeout=5.0)).outcome["outcome"] == "finished"
    assert stand.run(call("echo", 1, timeout=None)).outcome["outcome"] == "finished"
