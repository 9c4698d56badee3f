"""A backup of the embedded server: whole while it is written to, and something to go back to."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flowq.embedded.attach import attach
from flowq.embedded.backup import back_up
from flowq.embedded.control import stop_server
from flowq.exceptions import UsageError
from tests.embedded.users import client, until_ended
from tests.examples.running import flowq
from tests.support.server import PrivateServer
from tests.support.wait import until


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Path]:
    """Where backups are, whose servers have all ended after the test."""
    yield tmp_path / "kept"
    for home in filter(Path.is_dir, (tmp_path / "kept").glob("*")):
        stop_server(str(home), force=True)
        until_ended(home)


def test_a_copy_made_while_the_data_changes_is_whole(clean_home: Path, kept: Path) -> None:
    with attach():
        connection = client(clean_home)
        connection.mset({f"k{number}": "v" * 100 for number in range(20_000)})
        stop, count = threading.Event(), 0

        def write() -> None:
            with client(clean_home) as writer:
                while not stop.is_set():
                    writer.pipeline(transaction=True).incr("a").incr("b").execute()

        thread = threading.Thread(target=write)
        thread.start()
        try:
            until(lambda: connection.get("a") is not None)
            connection.bgrewriteaof()
            count = int(connection.get("a") or 0)
            size = back_up(str(kept / "monday"))
        finally:
            stop.set()
            thread.join()
        last = int(connection.get("a") or 0)
    assert size > 2_000_000
    assert (kept / "monday").stat().st_mode & 0o777 == 0o700
    with attach(str(kept / "monday")):
        copied = client(kept / "monday")
        assert copied.get("a") == copied.get("b")
        assert count <= int(copied.get("a") or 0) <= last
        assert copied.dbsize() == 20_002


BACKUP = """
import shutil, sys
from flowq.embedded.backup import back_up
usual = shutil.copyfileobj
def held(*given):
    shutil.copyfileobj = usual
    print("copies", flush=True)
    sys.stdin.readline()
    usual(*given)
shutil.copyfileobj = held
back_up(sys.argv[1])
"""


@contextmanager
def begun(target: Path) -> Iterator[subprocess.Popen[str]]:
    """A backup in a process of its own, which waits for a line before it copies the first file."""
    command = [sys.executable, "-c", BACKUP, str(target)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "copies\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_backup_that_is_killed_leaves_nothing_on_the_server(clean_home: Path, kept: Path) -> None:
    with attach():
        connection = client(clean_home)
        before = connection.config_get("*")
        with begun(kept / "monday") as backup:
            backup.kill()
            backup.wait()
        assert connection.config_get("*") == before
        assert "data" not in os.listdir(kept / "monday"), "a server that is started there finds no data that look whole"
        back_up(str(kept / "monday"))
    assert sorted(os.listdir(kept / "monday")) == ["data", "written-by"], "the next one has removed what was left"


def test_only_one_backup_at_a_time_goes_to_a_directory(clean_home: Path, kept: Path) -> None:
    with attach():
        client(clean_home).set("k", "v")
        with begun(kept / "monday") as first:
            with pytest.raises(UsageError, match=r"another backup to .* is under way"):
                back_up(str(kept / "monday"))
            first.communicate("go\n")
            assert first.returncode == 0
        with pytest.raises(UsageError, match="is not empty"):
            back_up(str(kept / "monday"))
    with attach(str(kept / "monday")):
        assert client(kept / "monday").get("k") == b"v"


def test_backups_at_once_and_a_rewrite_do_not_disturb_each_other(clean_home: Path, kept: Path) -> None:
    with attach():
        connection = client(clean_home)
        connection.mset({f"k{number}": "v" * 100 for number in range(2_000)})
        with begun(kept / "first") as first, begun(kept / "second") as second:
            folder = clean_home / "data" / "appendonlydir"
            files = set(os.listdir(folder))
            connection.bgrewriteaof()
            until(
                lambda: len(files & set(os.listdir(folder))) == 1, message="the old files to be removed, all but the manifest"
            )
            connection.set("late", "1")
            for backup in (first, second):
                backup.communicate("go\n")
                assert backup.returncode == 0
    for name in ("first", "second"):
        with attach(str(kept / name)):
            assert client(kept / name).dbsize() == 2_000


def test_a_backup_is_never_mixed_with_something_else(clean_home: Path, kept: Path) -> None:
    attach().close()
    (kept / "tuesday").mkdir(parents=True)
    (kept / "tuesday" / "notes").touch()
    with pytest.raises(UsageError, match="is not empty: a backup is a directory of its own"):
        back_up(str(kept / "tuesday"))
    assert os.listdir(kept / "tuesday") == ["notes"]
    (kept / "file").touch()
    with pytest.raises(UsageError, match=r"cannot back up to .*: (Not a directory|File exists)"):
        back_up(str(kept / "file" / "here"))
    assert clean_home.exists()


def test_a_backup_is_of_the_server_that_is_used(
    clean_home: Path, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = flowq("server", "backup", str(kept / "sunday"), cwd=tmp_path)
    assert (refused.code, refused.err) == (
        2,
        f"error: there is nothing to back up: the embedded server has no data in {clean_home}\n",
    )
    monkeypatch.setenv("FLOWQ_REDIS_URL", "redis://:canary@db.example.org")
    refused = flowq("server", "backup", str(kept / "sunday"), cwd=tmp_path)
    assert refused.code == 2
    assert refused.err.startswith(
        "error: runs are kept on the server at redis://:***@db.example.org here (FLOWQ_REDIS_URL), not on"
    )
    assert not kept.exists()


def test_the_state_of_a_backup_comes_back(clean_home: Path, kept: Path, tmp_path: Path) -> None:
    """The steps of docs/server.md."""
    (tmp_path / "flow.yaml").write_text("jobs: {a: {run: echo hi}}\n")

    def runs() -> list[str]:
        return [line.split()[0] for line in flowq("runs", cwd=tmp_path).out.splitlines()[1:]]

    assert flowq("run", "--run-id", "first", cwd=tmp_path).code == 0
    made = flowq("server", "backup", str(kept / "friday"), cwd=tmp_path)
    assert (made.code, made.err) == (0, "")
    assert made.out.startswith("backed up ")
    assert flowq("run", "--run-id", "second", cwd=tmp_path).code == 0
    assert runs() == ["second", "first"]
    assert flowq("server", "stop", cwd=tmp_path).code == 0
    (clean_home / "data").rename(clean_home / "data.old")
    (kept / "friday" / "data").rename(clean_home / "data")
    assert runs() == ["first"]
    assert flowq("logs", "first", cwd=tmp_path).out == "a | hi\n"


def test_a_backup_is_the_data_of_a_server_of_ones_own(clean_home: Path, kept: Path, tmp_path: Path) -> None:
    """The steps of docs/server.md, with a run that waits for a decision meanwhile."""
    (tmp_path / "flow.yaml").write_text("jobs: {a: {approval: go?}, b: {depends_on: a, run: echo on}}\n")
    assert flowq("run", "--detach", "--run-id", "open", cwd=tmp_path).code == 0
    until(lambda: "flowq approve open a" in flowq("status", "open", cwd=tmp_path).out, message="the job to wait for a decision")
    assert flowq("server", "backup", str(kept / "moved"), cwd=tmp_path).code == 0
    assert flowq("cancel", "open", cwd=tmp_path).code == 0
    until(lambda: flowq("server", "stop", cwd=tmp_path).code == 0, message="the worker of the canceled run to leave the server")
    new = PrivateServer()
    try:
        shutil.copytree(kept / "moved" / "data", new.directory, dirs_exist_ok=True)
        new.start(appendonly=True)
        own = ("-u", new.url)
        assert flowq("approve", "open", "a", *own, cwd=tmp_path).code == 0
        resumed = flowq("run", "--resume", "open", *own, cwd=tmp_path)
        assert (resumed.code, "b | on" in resumed.out) == (0, True), resumed
    finally:
        new.stop()
