"""The lifecycle of the embedded server: one server for all users, also when many start at once; its data stays; it ends with them."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis

from flowq.embedded import watchdog as watchdog_module
from flowq.embedded.attach import attach
from flowq.embedded.control import ServerInUseError, server_status, start_server, stop_server
from flowq.exceptions import ConfigError
from tests.embedded.users import User, attached, client, gone, processes, server_pid, until_ended, watchdog_pid
from tests.support import namespaces
from tests.support.wait import until


def test_twenty_processes_that_start_at_once_share_one_server(clean_home: Path) -> None:
    users = [User() for _ in range(20)]
    for user in users:
        user.attach()
    answers = {user.answer() for user in users}
    assert answers == {f"{clean_home}/server.sock"}
    names = {Path(line.split()[0]).name.rstrip("3.1") for line in processes(clean_home)}
    assert len(processes(clean_home)) == len(names) == 3, names
    assert {"python", "sh"} < names, "one watchdog with its witness, and one server"
    assert client(clean_home).info("server")["process_id"] == server_pid(clean_home)
    assert [user.leave() for user in users] == [0] * 20


def test_data_is_kept_between_commands(clean_home: Path) -> None:
    with attach():
        client(clean_home).set("k", "v")
        first = server_pid(clean_home)
    assert stop_server()
    with attach():
        assert server_pid(clean_home) != first
        assert client(clean_home).get("k") == b"v"


def test_the_server_stops_when_no_user_is_left(clean_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWQ_LINGER", "0")
    one, two = attach(), attach()
    pid = server_pid(clean_home)
    one.close()
    assert server_status().in_use
    two.close()
    until(lambda: gone(pid), message="the server to end")
    until_ended(clean_home)


def test_a_user_that_is_killed_does_not_keep_the_server(clean_home: Path) -> None:
    with attached(FLOWQ_LINGER="0") as (user,):
        pid = server_pid(clean_home)
        user.kill9()
        until(lambda: gone(pid), message="the server to end")


def test_the_server_lingers_so_that_the_next_command_finds_it_warm(clean_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWQ_LINGER", "30")
    attach().close()
    pid = server_pid(clean_home)
    attach().close()
    assert server_pid(clean_home) == pid


def test_lingering_counts_from_the_last_user(clean_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWQ_LINGER", "0.6")
    attach().close()
    pid, log = server_pid(clean_home), clean_home / "server.log"
    os.utime(
        clean_home / "users.lock", (0, log.stat().st_mtime + 3600)
    )  # as if the last user had left in the future: a full linger again
    attach().close()
    left = (clean_home / "users.lock").stat().st_mtime
    until(lambda: gone(pid), message="the server to end")
    assert log.stat().st_mtime - left > 0.5  # its last line has the time of the end


@pytest.mark.parametrize("made_again", [False, True])
def test_a_server_whose_directory_was_removed_is_stopped(
    clean_home: Path, monkeypatch: pytest.MonkeyPatch, made_again: bool
) -> None:
    monkeypatch.setenv("FLOWQ_LINGER", "30" if made_again else "0.5")
    user = User()
    user.attach()
    user.answer()
    pid, watchdog = server_pid(clean_home), watchdog_pid(clean_home)
    shutil.rmtree(clean_home)
    if not made_again:
        user.leave()
        until(lambda: gone(pid), message="the server to end")
        until(lambda: gone(watchdog), message="its watchdog to end")
        clean_home.mkdir(mode=0o700)
        return
    with attach() as attachment:
        other = server_pid(clean_home)
        assert other != pid
        monkeypatch.setenv("FLOWQ_LINGER", "0")
        user.leave()
        os.kill(watchdog, signal.SIGTERM)
        until(lambda: gone(watchdog) and gone(pid), message="the former server to end")
        with redis.Redis(unix_socket_path=attachment.socket) as found:
            assert found.ping()


def test_the_socket_of_a_long_directory_that_was_removed_is_removed(clean_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = clean_home / ("long" * 30)
    monkeypatch.setenv("FLOWQ_LINGER", "0.5")
    with attach(str(home)) as attachment:
        place = Path(attachment.socket).parent
        pid = server_pid(home)
        assert place.parent == Path("/tmp")
        shutil.rmtree(home)
    until(lambda: gone(pid) and not place.exists(), message="the server to end and its socket to be removed")


def test_a_pinned_server_stays_without_users_until_it_is_stopped(clean_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWQ_LINGER", "0")
    status = start_server()
    assert (status.running, status.pinned, status.in_use) == (True, True, False)
    until(lambda: "but pinned" in (clean_home / "keeper.log").read_text(), message="the watchdog to see that no user is left")
    assert server_status().running
    assert stop_server()
    assert not server_status().running
    with attach():
        assert not server_status().pinned


def test_a_pinned_server_ends_when_its_directory_is_removed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No command would find it any more, so nothing could stop it."""
    monkeypatch.setenv("FLOWQ_LINGER", "0")
    first = start_server().pid
    assert first is not None
    until(lambda: "but pinned" in (home / "keeper.log").read_text())
    removed = home.rename(f"{home}-removed")
    shutil.rmtree(removed, ignore_errors=True)  # it may write there meanwhile
    with attach():
        until(lambda: gone(first), message="the server of the removed directory to end")
        assert client(home).ping(), "the one that was made in its place stays"
    until_ended(home)


def test_a_server_that_dies_after_its_directory_was_made_again_is_not_mistaken_for_the_one_there(clean_home: Path) -> None:
    """Its watchdog took the other server for its own, or removed its socket."""
    with attached():
        first, watchdog = server_pid(clean_home), watchdog_pid(clean_home)
        shutil.rmtree(clean_home)
        with attach():
            other = server_status()
            assert other.pid not in {None, first}
            os.kill(first, signal.SIGKILL)
            until(lambda: gone(watchdog), message="the watchdog of the dead server to end")
            assert client(clean_home).ping()
            assert (server_status().pid, server_status().watchdog) == (other.pid, other.watchdog)


_REMOVES = """
import os, shutil
from flowq.embedded import watchdog
from flowq.embedded.locks import LockFile

def take_unused(path):
    if watchdog.take_unused is not take_unused:
        return taken(path)
    watchdog.take_unused = taken
    shutil.rmtree(os.path.dirname(path), ignore_errors=True)
    if AGAIN:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        users.append(LockFile(path))
        users[0].try_shared()
    return taken(path)

users, taken = [], watchdog.take_unused
watchdog.take_unused = take_unused
watchdog.main()
"""


@pytest.mark.parametrize("again", [False, True], ids=["removed", "made again"])
def test_a_directory_that_is_removed_between_two_looks_ends_its_server(
    clean_home: Path, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    """Just before the watchdog looks for users. It ended without its server, or watched over the users of another one."""
    monkeypatch.setenv("FLOWQ_LINGER", "0")
    command = watchdog_module.command

    def removing(*arguments: Any) -> list[str]:
        words = command(*arguments)
        return [_REMOVES.replace("AGAIN", repr(again)) if "import main" in word else word for word in words]

    monkeypatch.setattr(watchdog_module, "command", removing)
    with attach():
        server, watchdog = server_pid(clean_home), watchdog_pid(clean_home)
    until(lambda: gone(server) and gone(watchdog), message=lambda: f"both to end: {gone(server)} {gone(watchdog)}")
    clean_home.mkdir(mode=0o700, exist_ok=True)


def test_stop_refuses_while_the_server_is_used_and_says_by_whom(clean_home: Path) -> None:
    with attached() as (user,):
        connection = client(clean_home)
        connection.client_setname(f"flowq-some.host-{user.process.pid}")
        with pytest.raises(ServerInUseError, match=rf"a flowq process \({user.process.pid}\) uses .*--force"):
            stop_server()
        assert server_status().users == (user.process.pid,)
        assert stop_server(force=True)
        assert not server_status().running
        assert not stop_server(), "a second stop finds nothing to stop"


def test_a_user_that_attaches_while_the_server_stops_gets_a_new_one(clean_home: Path) -> None:
    with attached() as (first,):
        pid, watchdog = server_pid(clean_home), watchdog_pid(clean_home)
        client(clean_home).set("k", "v")
        first.leave()
    os.kill(pid, signal.SIGSTOP)  # it cannot stop yet
    os.kill(watchdog, signal.SIGTERM)
    until(lambda: "stopping" in (clean_home / "keeper.lock").read_text(), message="the watchdog to begin")
    second = User()
    second.attach()
    os.kill(pid, signal.SIGCONT)
    assert second.answer().endswith("server.sock")
    until(lambda: gone(pid), message="the first server to end")
    assert client(clean_home).get("k") == b"v"
    assert second.leave() == 0


def test_the_watchdog_keeps_no_descriptors_or_secrets_of_the_user(clean_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader of a command's output must not wait for the watchdog, and its environment holds no secrets."""
    monkeypatch.setenv("SECRET", "canary-5f1c")
    ended = subprocess.run(
        ["sh", "-c", 'exec 7>&1; "$0" -c "from flowq.embedded.attach import attach; attach()"', sys.executable],
        capture_output=True,
        timeout=20,
        check=True,
    )
    assert ended.stdout == b""
    if Path("/proc/self").is_dir():
        for pid in (watchdog_pid(clean_home), server_pid(clean_home)):
            assert b"canary" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_the_watchdog_has_no_terminal(clean_home: Path) -> None:
    with attach():
        assert os.getsid(watchdog_pid(clean_home)) != os.getsid(0)
        os.kill(watchdog_pid(clean_home), signal.SIGINT)
        assert client(clean_home).ping()
        assert os.getpgid(server_pid(clean_home)) != os.getpgid(0)


def test_a_process_can_attach_although_the_system_reaps_its_children(clean_home: Path) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with attach():
            assert client(clean_home).ping()
    finally:
        signal.signal(signal.SIGCHLD, before)


@pytest.mark.parametrize("value", ["soon", "-1", "nan", "inf"])
def test_an_invalid_linger_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("FLOWQ_LINGER", value)
    with pytest.raises(ConfigError, match="FLOWQ_LINGER must be a number of seconds"):
        attach()


def test_a_server_of_another_container_is_not_stopped_from_here(clean_home: Path) -> None:
    """The id of its watchdog is that of another process here."""
    if why := namespaces.why_not():
        pytest.skip(why)
    start_server()
    command = [*namespaces.UNSHARE, sys.executable, "-m", "flowq.cli.main", "server", "stop", "--force"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "is kept by a process of another container" in done.stderr
    assert server_status().running
    assert stop_server()
    assert clean_home.exists()
