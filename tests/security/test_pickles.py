"""TH-1: with a secret key, a pickle that an attacker has put into the store is loaded by no one, wherever it stands."""

import contextlib
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from flowq import Job, Queue, SimpleWorker, Worker, signing
from flowq.registry import FailedJobRegistry, FinishedJobRegistry, StartedJobRegistry


class Gadget:
    """Makes a directory when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.makedirs, (str(self.path), 0o700, True)


def places(client: Any) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield each key of a job, and each field of its hash."""
    for key in client.scan_iter("{flowq}:*"):
        kind = client.type(key)
        if kind == b"hash":
            for field in client.hkeys(key):
                yield key, field
        elif kind == b"string":
            yield key, None


def read_all(connection: redis.Redis, ids: list[str]) -> None:
    """Read whatever there is to be read of jobs and workers; what is refused, however, is another matter."""
    for name in ids:
        with contextlib.suppress(Exception):
            job = Job.fetch(name, connection=connection)
            for attribute in (
                "args",
                "kwargs",
                "func_name",
                "meta",
                "success_callback",
                "failure_callback",
                "description",
                "func",
            ):
                with contextlib.suppress(Exception):
                    getattr(job, attribute)
            for method in (job.return_value, job.results, job.latest_result, job.get_status, job.refresh):
                with contextlib.suppress(Exception):
                    method()
    queue = Queue(connection=connection)
    for reading in (lambda: queue.jobs, lambda: Worker.all(connection=connection), queue.get_job_ids):
        with contextlib.suppress(Exception):
            reading()
    for registry in (FailedJobRegistry, FinishedJobRegistry, StartedJobRegistry):
        with contextlib.suppress(Exception):
            registry(queue=queue).get_job_ids()


@pytest.mark.parametrize("before", [True, False], ids=["before it runs", "after it has run"])
def test_no_pickle_in_any_place_of_the_store_is_loaded(
    redis_client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    monkeypatch.setenv(signing.VARIABLE, "a key that only our own machines know")
    queue = Queue(connection=redis_client)

    def make() -> str:
        return queue.enqueue(pow, 2, 3, meta={"for": "ann"}, on_success="builtins.print", on_failure="builtins.print").id

    def work() -> None:
        SimpleWorker([queue], connection=redis_client).work(burst=True)

    first = make()
    if not before:
        work()
    own = [(key, field) for key, field in places(redis_client) if first.encode() in key]
    assert len(own) > (10 if before else 12)
    gadget = tmp_path / "canary"
    poison = (
        pickle.dumps(Gadget(gadget)),
        b"1" + pickle.dumps(Gadget(gadget)),
        pickle.dumps(("builtins.print", None, [Gadget(gadget)], {})),
    )
    ids = [first]
    for number, (key, field) in enumerate(own):
        ids.append(make())
        if not before:
            work()
        other = key.replace(first.encode(), ids[-1].encode())
        data = poison[number % len(poison)]
        if field is None:
            redis_client.set(other, data)
        else:
            redis_client.hset(other, field, data)
    read_all(redis_client, ids)
    with contextlib.suppress(Exception):
        work()
    read_all(redis_client, ids)
    assert not gadget.exists()


def test_the_gadget_works(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Gadget(tmp_path / "canary")))  # noqa: S301
    assert (tmp_path / "canary").exists()
