"""Jobs that are in no run, on the command line: `status` and `result`."""

import json
import os
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from flowq import Queue
from flowq.serializers import JSONSerializer
from tests.api import samples
from tests.api.conftest import Command


class Touching:
    """An object whose pickle makes a file when it is read."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.open, (self.path, os.O_CREAT | os.O_WRONLY)


def touching(path: str) -> Touching:
    return Touching(path)


def a_set() -> set[int]:
    return {1}


def a_date() -> dict[str, Any]:
    return {"day": date(2026, 1, 31), "pair": (1, "ü")}


@pytest.mark.parametrize(
    ("function", "value"), [(samples.add, 3), (samples.nothing, None), (a_date, {"day": "2026-01-31", "pair": [1, "ü"]})]
)
def test_a_result_is_printed_as_json(
    queue: Queue, work: Callable[..., None], command: Command, function: Callable[..., Any], value: object
) -> None:
    job = queue.enqueue(function, *([1, 2] if function is samples.add else []))
    waiting = command("result", job.id)
    assert (waiting[0], waiting[2]) == (
        2,
        f"error: {job.id!r} has no result, it is queued: `flowq status {job.id}` shows why\n",
    )
    work()
    code, out, _ = command("result", job.id)
    assert code == 0
    assert json.loads(out) == value


def test_a_result_of_another_serializer(queue: Queue, work: Callable[..., None], command: Command) -> None:
    mine = Queue("json", connection=queue.connection, serializer=JSONSerializer)
    job = mine.enqueue(samples.add, 1, 2)
    work(mine)
    assert command("result", job.id)[:2] == (0, "3\n")


def test_to_show_a_result_executes_nothing(queue: Queue, work: Callable[..., None], command: Command, tmp_path: Path) -> None:
    job = queue.enqueue(touching, str(tmp_path / "touched"))
    work()
    code, out, err = command("result", job.id)
    assert (code, out) == (2, "")
    assert f"it has an object of posix.open; in Python, flowq.job.Job.fetch('{job.id}').return_value() returns it" in err
    assert not (tmp_path / "touched").exists()
    os.close(job.return_value())  # this is how it is read, and what reading it does
    assert (tmp_path / "touched").exists()


def test_a_result_that_json_has_not(queue: Queue, work: Callable[..., None], command: Command) -> None:
    job = queue.enqueue(a_set)
    work()
    code, _, err = command("result", job.id)
    assert code == 2
    assert "is no JSON: result is a set; in Python," in err


def test_status_tells_of_a_job_without_a_flow(queue: Queue, work: Callable[..., None], command: Command) -> None:
    good, bad = queue.enqueue(samples.add, 1, 2), queue.enqueue(int, "x")
    assert command("status", good.id)[1].startswith(f"○ {good.id} queued: no worker listens on queue default\n  enqueued 2")
    assert command("status", good.id, "--exit-status")[0] == 1
    work()
    finished = command("status", good.id, "--exit-status")
    assert finished[0] == 0
    assert finished[1].startswith(f"✔ {good.id} finished  0.")
    assert "UTC, queue default\n" in finished[1]
    failed = command("status", bad.id, "--exit-status")
    assert failed[0] == 1
    assert "ValueError: invalid literal" in failed[1]
    assert f"flowq requeue --queue default {bad.id}" in failed[1]
    document = json.loads(command("status", good.id, "--json")[1])
    assert (document["job"], document["status"], document["queue"]) == (good.id, "finished", "default")
    assert document["enqueued_at"] <= document["started_at"] <= document["ended_at"]


@pytest.mark.parametrize("option", ["--watch", "--failed", "--all", "--junit=x"])
def test_options_for_runs(queue: Queue, command: Command, option: str) -> None:
    job = queue.enqueue(samples.nothing)
    code, out, err = command("status", job.id, option)
    assert (code, out) == (2, "")
    assert err == f"error: {job.id!r} is the id of a job that is in no run: {option.partition('=')[0]} is for runs\n"


@pytest.mark.parametrize("words", ["cancel", "retry --failed", "delete", "graph"])
def test_commands_for_runs_tell_what_it_is(queue: Queue, command: Command, words: str) -> None:
    job = queue.enqueue(samples.nothing)
    name, *options = words.split()
    code, _, err = command(name, job.id, *options)
    assert code == 2
    assert f"{job.id!r} is no run, it is a job that is in none: `flowq status {job.id}`" in " ".join(err.split())
