"""What a fork server executes before its first horse leaves no trace, and is no code of the user's."""

import gc
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from flowq import Job
from flowq.jobs.context import current_task
from flowq.timeouts import UnixSignalDeathPenalty
from flowq.worker.fork_server import rehearsal
from flowq.worker.horse import callbacks
from tests.support.supervisor_stub import Stand, task

PLAIN = task("pickle", payload=pickle.dumps(("os.getpid", (), {})))


def test_a_rehearsal_leaves_environment_and_context_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWQ_JOB_ID", "of the job that this program is")
    monkeypatch.delenv("FLOWQ_ATTEMPT", raising=False)
    before = dict(os.environ)
    frozen = gc.get_freeze_count()
    rehearsal.settle()
    assert dict(os.environ) == before
    assert current_task() is None
    assert gc.get_freeze_count() > frozen


def test_a_rehearsal_calls_no_code_of_the_users(tmp_path: Path) -> None:
    calls = tmp_path / "calls"

    class Penalty(UnixSignalDeathPenalty):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            with calls.open("a") as file:
                file.write(f"{os.getpid()}\n")
            super().__init__(*args, **kwargs)

    former = callbacks.install(callbacks.Hooks(penalty_class=Penalty))
    try:
        with Stand(clone=True) as stand:
            horse = pickle.loads(stand.run(PLAIN).outcome["value"])  # noqa: S301 - made above
    finally:
        callbacks.install(former)
    assert calls.read_text().split() == [str(horse)]


def test_garbage_of_a_program_is_left_to_it(tmp_path: Path) -> None:
    """A finalizer may close what the program's own will close, or write to what both share."""
    calls = tmp_path / "calls"
    program = os.getpid()

    class Circle:
        def __init__(self) -> None:
            self.myself = self

        def __del__(self) -> None:
            if os.getpid() != program:
                calls.touch()

    gc.disable()
    try:
        Circle()
        with Stand(clone=True) as stand:
            assert stand.run(PLAIN).outcome["outcome"] == "finished"
    finally:
        gc.enable()
    assert not calls.exists()


def test_a_rehearsal_performs_no_job_of_a_patched_class(monkeypatch: pytest.MonkeyPatch) -> None:
    def perform(_job: Job) -> None:
        pytest.fail("performed by a fork server")

    monkeypatch.setattr(Job, "perform", perform)
    rehearsal.settle()


def test_modules_that_are_imported_ahead_are_set_apart_too() -> None:
    counted = task("pickle", payload=pickle.dumps(("gc.get_freeze_count", (), {})))
    with Stand() as stand:

        def frozen() -> int:
            return int(pickle.loads(stand.run(counted).outcome["value"]))  # noqa: S301 - made above

        first = frozen()
        stand.fork_server.warm("pickle")
        assert any(frozen() > first + 100 for _ in range(100))
