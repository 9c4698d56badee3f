"""Processes are killed in any order: at most one server runs, no acknowledged data is lost, and no process is left."""

import ctypes
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flowq.embedded import attach as attach_module
from flowq.embedded.attach import attach
from flowq.embedded.control import server_status, stop_server
from flowq.embedded.directory import Home, prepare
from flowq.embedded.process import ServerProcess, StartError
from flowq.exceptions import ServerError, ServerUnavailableError
from tests.embedded.users import attached, client, gone, processes, server_pid, until_ended, watchdog_pid
from tests.support.wait import until


def kill9(*pids: int) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def witness_pids(home: Path) -> list[int]:
    lines = subprocess.run(["ps", "-ww", "-eo", "pid=,args="], capture_output=True, text=True, check=True).stdout.splitlines()
    return [int(line.split()[0]) for line in lines if "flowq-witness" in line and str(home) in line]


def orphan(home: Path) -> None:
    """Kill watchdog and witness so that neither can replace the other, and wait until they are gone."""
    watchdog = watchdog_pid(home)
    os.kill(watchdog, signal.SIGSTOP)
    kill9(*until(lambda: witness_pids(home)), watchdog)
    until(lambda: server_status(str(home)).watchdog is None, message="the watchdog to end")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_that_dies_in_use_is_restarted_with_its_data(clean_home: Path, how: signal.Signals) -> None:
    with attached():
        pid = server_pid(clean_home)
        client(clean_home).set("k", "v")
        os.kill(pid, how)
        until(lambda: server_status().pid not in {None, pid}, message="another server")
        assert client(clean_home).get("k") == b"v"


def test_a_server_that_keeps_dying_is_restarted_each_time(clean_home: Path) -> None:
    with attached():
        for number in range(4):
            pid = server_pid(clean_home)
            client(clean_home).rpush("k", number)
            kill9(pid)
            until(lambda pid=pid: server_status().pid not in {None, pid}, message="another server")  # type: ignore[misc]
        assert client(clean_home).lrange("k", 0, -1) == [b"0", b"1", b"2", b"3"]


def test_a_server_that_dies_unused_is_not_restarted(clean_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWQ_LINGER", "30")
    attach().close()
    kill9(server_pid(clean_home))
    until_ended(clean_home)


def test_a_killed_watchdog_is_followed_by_another_that_adopts_the_server(clean_home: Path) -> None:
    with attached(FLOWQ_LINGER="0") as (user,):
        server, watchdog = server_pid(clean_home), watchdog_pid(clean_home)
        kill9(watchdog)
        until(lambda: server_status().watchdog not in {None, watchdog}, message="another watchdog")
        assert server_pid(clean_home) == server
        user.leave()
        until(lambda: gone(server), message="the adopted server to be stopped with its last user")


def test_watchdog_and_server_killed_together_are_restarted(clean_home: Path) -> None:
    with attached():
        server, watchdog = server_pid(clean_home), watchdog_pid(clean_home)
        client(clean_home).set("k", "v")
        kill9(watchdog, server)
        until(lambda: server_status().pid not in {None, server}, message="another server")
        assert watchdog_pid(clean_home) != watchdog
        assert client(clean_home).get("k") == b"v"


def test_a_killed_witness_is_replaced(clean_home: Path) -> None:
    with attached():
        (witness,) = until(lambda: witness_pids(clean_home))
        kill9(witness)
        until(lambda: witness_pids(clean_home) not in ([], [witness]), message="another witness")


@pytest.mark.skipif(sys.platform != "linux", reason="needs a signal for one thread of another process")
def test_a_stop_signal_that_another_thread_gets_stops_the_server(clean_home: Path) -> None:
    """As when the main thread is just dealing with the end of the witness: the kernel may choose any thread."""
    with attached():
        server, watchdog = server_pid(clean_home), watchdog_pid(clean_home)
        threads = [int(thread) for thread in os.listdir(f"/proc/{watchdog}/task") if int(thread) != watchdog]
        ctypes.CDLL(None).tgkill(watchdog, threads[0], signal.SIGTERM)
        until(lambda: gone(server) and gone(watchdog), message="the server to be stopped")


def test_an_orphaned_server_is_adopted_by_the_next_user(clean_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All processes but the server are killed, which is noticed by the next user."""
    with attached() as (user,):
        server = server_pid(clean_home)
        orphan(clean_home)
        user.kill9()
    monkeypatch.setenv("FLOWQ_LINGER", "0")
    with attach():
        assert server_pid(clean_home) == server
        assert server_status().watchdog is not None
    until(lambda: gone(server), message="the adopted server to be stopped with its last user")


def test_an_orphaned_server_can_be_stopped(clean_home: Path) -> None:
    with attached():
        server = server_pid(clean_home)
        orphan(clean_home)
    assert stop_server()
    assert gone(server)


def test_stale_files_of_a_crashed_machine_are_ignored(clean_home: Path) -> None:
    """A socket without a listener, the id of a watchdog that is now another process's, and a pin are ignored."""
    with attached():
        client(clean_home).set("k", "v")
        server = server_pid(clean_home)
        orphan(clean_home)
        kill9(server)
    until(lambda: gone(server), message="the server to end")
    (clean_home / "server.sock").unlink(missing_ok=True)
    (clean_home / "server.sock").touch()
    (clean_home / "keeper.lock").write_text(f"{os.getpid()}\n")
    (clean_home / "pinned").touch()
    assert not server_status().running
    assert not stop_server(), "must not signal the process that has the old watchdog's id"
    with attach() as attachment:
        assert client(clean_home).get("k") == b"v"
        assert stat.S_ISSOCK(Path(attachment.socket).stat().st_mode)
        assert not server_status().pinned


def test_unreadable_data_is_an_error(clean_home: Path) -> None:
    with attach():
        client(clean_home).set("k", "v")
    stop_server()
    for part in (clean_home / "data" / "appendonlydir").glob("*.incr.aof"):
        part.write_bytes(b"this is not an append-only file\r\n" * 10)
    with pytest.raises(ServerError, match=r"ended as it started: .*its log is .*server\.log"):
        attach()
    assert not processes(clean_home)


def test_a_server_that_never_answers_is_killed_and_the_error_says_so(
    clean_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last line of its log was named as the reason, which was any warning."""
    monkeypatch.setattr("flowq.embedded.process._START_LIMIT", 0.2)
    (tmp_path / "server").write_text("#!/bin/sh\nexec sleep 61\n")
    (tmp_path / "server").chmod(0o755)
    home = Home(str(clean_home))
    prepare(home)
    server = ServerProcess(home, str(tmp_path / "server"))
    with pytest.raises(
        StartError, match=r"the embedded server did not answer for 0\.2 s after its start, and was killed: .*log"
    ):
        server.ensure()
    assert gone(server.pid)


def test_the_next_user_gets_the_error_of_data_that_became_unreadable(clean_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server dies in use and cannot be restarted: the watchdog keeps trying, and reports why it fails."""
    monkeypatch.setattr("flowq.embedded.attach._START_LIMIT", 1.0)
    with attached():
        client(clean_home).set("k", "v")
        pid = server_pid(clean_home)
        (part,) = (clean_home / "data" / "appendonlydir").glob("*.incr.aof")
        good = part.read_bytes()
        part.write_bytes(b"this is not an append-only file\r\n" * 10)
        kill9(pid)
        with pytest.raises(ServerUnavailableError, match=r"does not answer \(absent; watchdog: .*ended as it started"):
            attach()
        part.write_bytes(good)
        until(lambda: server_status().pid, message="the server to be restarted")
        assert client(clean_home).get("k") == b"v"


def test_an_incomplete_last_command_is_truncated(clean_home: Path) -> None:
    """As after a power cut, the last command is only half written."""
    with attach():
        client(clean_home).set("k", "v")
    stop_server()
    for part in (clean_home / "data" / "appendonlydir").glob("*.incr.aof"):
        with part.open("ab") as file:
            file.write(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1")
    with attach():
        assert client(clean_home).get("k") == b"v"


def test_half_a_change_at_the_end_of_the_file_is_never_made(clean_home: Path) -> None:
    """As after a power cut: not at the next start, and not at the one after it, when other changes have followed."""
    with attach():
        client(clean_home).set("k", "v")
    stop_server()
    (part,) = (clean_home / "data" / "appendonlydir").glob("*.incr.aof")
    with part.open("ab") as file:
        file.write(b"*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\nhalf\r\n*3\r\n$3\r\nSET\r\n$1")
    with attached():
        assert client(clean_home).get("k") == b"v"
        until(lambda: not client(clean_home).info("persistence")["aof_rewrite_in_progress"], message="the file to be rewritten")
        with client(clean_home).pipeline() as change:
            change.set("a", 1)
            change.set("b", 2)
            change.execute()
        pid = server_pid(clean_home)
        kill9(pid)
        until(lambda: server_status().pid not in {None, pid}, message="another server")
        assert client(clean_home).mget("k", "a", "b") == [b"v", b"1", b"2"]


def test_a_full_disk_is_distinguished_from_a_dead_server(clean_home: Path) -> None:
    """With a full disk the server refuses even PING, but it is alive and names the cause."""
    script = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
from flowq.connections.clients import open_client
from flowq.embedded.attach import attach
from flowq.store.client.errors import Translated
client = open_client()
value = "x" * 10_000
try:
    with Translated("the server"):
        for number in range(1000):
            client.set(str(number), value)
except Exception as error:
    print(f"{type(error).__name__}: {error}")
attach().close()
print("attached")
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    first, second = ended.stdout.splitlines()
    assert first.startswith("ServerUnavailableError: the server cannot write its data to disk")
    assert second == "attached"


def test_with_a_full_disk_what_is_there_can_be_read(clean_home: Path, tmp_path: Path) -> None:
    """Who looks for the cause of a run that stands still can see it; what would change something is refused."""
    flow = tmp_path / "flow.yaml"
    flow.write_text("jobs:\n  a: {run: echo hello}\n", encoding="utf-8")
    script = f"""
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
from flowq.cli.main import run
assert run(["-C", {str(tmp_path)!r}, "run", "--run-id", "one", "--output", "quiet"]) == 0
from flowq.connections.clients import open_client
client = open_client()
value = "x" * 100_000
try:
    for number in range(4):
        client.set(str(number), value)
except Exception:
    pass
for command in ("runs", "logs one", "why one a", "doctor", "delete one"):
    print(command, "->", run(command.split()), flush=True)
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True, cwd=tmp_path)
    assert "runs -> 0\n" in ended.stdout
    assert "hello\nlogs one -> 0\n" in ended.stdout
    assert "✔ a finished" in ended.stdout
    assert "why one a -> 0\n" in ended.stdout
    assert "D201  problem  the server" in ended.stdout
    assert "doctor -> 6\n" in ended.stdout
    assert "`flowq config`" not in ended.stdout, "the address is right"
    assert "delete one -> 6\n" in ended.stdout
    told = [line.partition(": ")[0] for line in ended.stderr.splitlines() if "cannot write its data to disk" in line]
    assert told == ["warning", "warning", "warning", "error"]


def test_a_server_that_is_stopped_is_given_up_as_soon_as_any_other(clean_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was waited for as long as one that starts, three times as long."""
    monkeypatch.setattr(attach_module, "_SILENT_LIMIT", 0.5)
    with attached():
        pid = server_pid(clean_home)
        os.kill(pid, signal.SIGSTOP)
        try:
            begun = time.monotonic()
            with pytest.raises(ServerUnavailableError, match=r"does not answer \(silent; "):
                attach()
            assert time.monotonic() - begun < 10
        finally:
            os.kill(pid, signal.SIGCONT)
        attach().close()
