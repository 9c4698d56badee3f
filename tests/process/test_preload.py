"""Preloading: the fork server imports modules only if that is harmless, and only as long as their source is unchanged."""

import pickle
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

from flowq import Queue, Worker
from flowq.worker.supervisor.task_imports import imports_of
from tests.support.server import PrivateServer
from tests.support.supervisor_stub import Stand, task
from tests.support.wait import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="nothing is warmed where threads cannot be counted")


def loaded(stand: Stand, module: str, directory: Path) -> bool:
    """Return whether a new horse has the module before its job imports it."""
    job = task("call", module="process_jobs", attribute="loaded", args=[module], kwargs={}, path=[str(directory)])
    return bool(stand.run(job).outcome["value"] == b"true")


def warmed(stand: Stand, directory: Path, name: str, source: str) -> bool:
    """Write a module, request its preloading, and return whether it was preloaded."""
    (directory / f"{name}.py").write_text(source)
    answers = []
    take = stand.fork_server._take

    def listen(message: tuple[object, ...]) -> None:
        if message[0] in {"warmed", "cold"}:
            answers.append(message)
        take(message)

    stand.fork_server._take = listen  # type: ignore[method-assign]
    stand.fork_server.warm(name)
    stand.turn(lambda: answers)
    stand.fork_server._take = take  # type: ignore[method-assign]
    return bool(answers[0][0] == "warmed")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory on the path of fork servers started in the test."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    return tmp_path


def test_a_harmless_module_is_preloaded(place: Path) -> None:
    with Stand() as stand:
        assert not loaded(stand, "harmless", place)
        assert warmed(stand, place, "harmless", "import json\nVALUE = 1\n")
        assert loaded(stand, "harmless", place)
        assert stand.fork_server.fresh()


@pytest.mark.parametrize(
    "source",
    [
        "raise RuntimeError('not today')",
        "import sys; sys.exit(0)",
        "import os; os._exit(3)",
        "import os; os.kill(os.getpid(), 11)",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
        "import socket\nSOCKET = socket.socket()",
    ],
    ids=["fails", "exits", "exits hard", "crashes", "thread", "socket"],
)
def test_a_harmful_module_is_not_preloaded(place: Path, source: str) -> None:
    with Stand() as stand:
        assert not warmed(stand, place, "harmful", source)
        assert not loaded(stand, "harmful", place)


def test_a_module_that_hangs_is_given_up_without_delaying_jobs(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "hangs.py").write_text("import time\ntime.sleep(600)\n")
    with Stand() as stand:
        stand.run(task("argv", argv=["true"]))
        stand.fork_server.warm("hangs")
        before = time.monotonic()
        for _ in range(3):
            assert stand.run(task("argv", argv=["true"])).outcome["outcome"] == "finished"
        assert time.monotonic() - before < 4


def test_an_edited_file_makes_the_server_stale(place: Path) -> None:
    with Stand() as stand:
        assert warmed(stand, place, "edited", "VALUE = 1\n")
        assert stand.fork_server.fresh()
        (place / "edited.py").write_text("VALUE = 200\n")
        assert not stand.fork_server.fresh()
        stand.fork_server.retire()
        until(lambda: stand.fork_server.lost)


@pytest.mark.parametrize("protocol", [4, 5])
@pytest.mark.parametrize(
    ("name", "modules"),
    [
        ("pkg.mod.func", ("pkg.mod",)),
        ("mod.func", ("mod",)),
        ("func", ()),
        ("__main__.func", ()),
        ("no module.func", ()),
        ("pkg." + "x" * 300, ()),
    ],
)
def test_the_module_of_a_plain_job_is_found_without_unpickling(name: str, modules: tuple[str, ...], protocol: int) -> None:
    payload = pickle.dumps((name, (1, "two.three"), {"a": [1]}), protocol=protocol)
    assert imports_of(task("pickle", payload=payload)) == modules


def test_a_job_with_cache_also_preloads_the_cache_modules() -> None:
    own = "flowq.worker.horse.cache.decide"
    assert imports_of(task("shell", script="x", cache={})) == (own,)
    assert imports_of(task("call", module="m", cache={})) == (own, "m")
    assert imports_of(task("shell", script="x")) == ()


@pytest.mark.parametrize(
    "payload", [b"", b"\x80", b"\x80\x05\x8c", b"\x80\x05\x8c\xff", b'["json", []]', b"\x80\x05\x8c\x03\xff\xfe."]
)
def test_other_payloads_preload_no_user_modules(payload: bytes) -> None:
    assert imports_of(task("pickle", payload=payload)) == ()
    assert imports_of(task("pickle", payload=payload, serializer="json")) == ()


def test_preload_imports_at_the_start_and_tolerates_failures(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (place / "early.py").write_text("VALUE = 1\n")
    with Stand(preload=("early", "no_such_module")) as stand:
        assert loaded(stand, "early", place)
    assert "cannot preload no_such_module: ModuleNotFoundError" in capfd.readouterr().err


STAMPED = """
import os
from pathlib import Path

IMPORTED_BY = os.getpid()
VERSION = 1

def imported():
    return IMPORTED_BY == os.getpid(), VERSION

def edit():
    text = Path(__file__).read_text()
    Path(__file__).write_text(text.replace("VERSION = 1\\n", "VERSION = 2222\\n"))
"""


def test_modules_of_jobs_are_preloaded_into_a_clone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, redis_client: redis.Redis
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "stamped.py").write_text(STAMPED)
    queue = Queue(connection=redis_client)
    before = [queue.enqueue("stamped.imported") for _ in range(60)]
    queue.enqueue("stamped.edit")
    after = queue.enqueue("stamped.imported")
    Worker([queue], connection=redis_client).work(burst=True)
    values = [job.return_value() for job in before]
    assert values[0] == (True, 1)
    assert values[-1] == (False, 1)  # its horse had the module already
    assert after.return_value() == (True, 2222)  # as with a worker that imports nothing ahead
    assert "stamped" not in sys.modules


INHERITED = """
import gc
import pickle

def pickle_is_inherited():
    return all(found is not pickle._Unpickler for found in gc.get_objects())  # which has no objects that were there before the fork
"""


def test_horses_of_plain_jobs_import_no_pickle(place: Path, server: PrivateServer, redis_client: redis.Redis) -> None:
    (place / "inherited.py").write_text(INHERITED)
    first = Queue(connection=redis_client).enqueue("inherited.pickle_is_inherited")
    command = [sys.executable, "-m", "flowq", "worker", "--burst", "--url", server.url]
    subprocess.run(command, check=True, cwd=place, capture_output=True, timeout=60)
    assert first.return_value() is True
