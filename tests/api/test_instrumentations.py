"""What instrumentations do to workers: they wrap methods, and look at a job when the original has returned."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowq import Queue, Retry, SimpleWorker, Worker
from flowq.job import Job
from tests.api import samples
from tests.api.classes import OwnQueue, TellingSpawnWorker
from tests.api.conftest import lines


class Wrapper:
    """A wrapper as instrumentations (ddtrace, by wrapt) make it: it is equal to what it wraps."""

    def __init__(self, wrapped: Any, note: Callable[[str], object], instance: Any = None) -> None:
        self._wrapped, self._note, self._instance = wrapped, note, instance

    def __get__(self, instance: Any, _owner: type) -> "Wrapper":
        return Wrapper(self._wrapped, self._note, instance)

    def __call__(self, job: Job, *arguments: Any) -> object:
        returned = self._wrapped(self._instance, job, *arguments)
        self._note(f"{job.get_status()} {job.is_failed}\n")
        job.refresh()
        self._note(f"{job.get_status()}\n")
        return returned

    def __eq__(self, other: object) -> bool:
        return bool(self._wrapped == other)

    def __hash__(self) -> int:
        return hash(self._wrapped)


@pytest.mark.parametrize("kind", [Worker, SimpleWorker])
def test_wrappers_are_called_and_see_the_end(
    queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Worker]
) -> None:
    log = tmp_path / "log"

    def note(text: str) -> None:
        with log.open("a") as stream:
            stream.write(text)

    monkeypatch.setattr(Worker, "perform_job", Wrapper(Worker.perform_job, note))
    queue.enqueue(samples.add, 1, 2)
    queue.enqueue(samples.div_by_zero, 1)
    kind([queue]).work(burst=True)
    assert lines(log) == ["finished False", "finished", "failed True", "failed"]


def test_a_handle_that_is_kept_shows_what_is_stored(queue: Queue) -> None:
    kept: list[Job] = []

    class Keeping(SimpleWorker):
        def handle_job_failure(self, job: Job, *arguments: Any, **named: Any) -> None:
            super().handle_job_failure(job, *arguments, **named)
            kept.append(job)

    queue.enqueue(samples.div_by_zero, 1, retry=Retry(1, 60))
    Keeping([queue]).work(burst=True)
    assert [job.get_status() for job in kept] == ["scheduled"]
    kept[0].delete()


def test_a_spawned_job_has_the_settings_of_its_worker(queue: Queue) -> None:
    job = queue.enqueue(samples.nothing)
    worker = TellingSpawnWorker(["default"], connection=queue.connection, queue_class=OwnQueue, default_result_ttl=77)
    worker.work(burst=True)
    assert job.get_meta()["known"] == ["Job", "OwnQueue", 77]
