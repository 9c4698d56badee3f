"""The state directory: its location and permissions, and sockets whose default path is too long."""

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from flowq.bundles.cache import BundleCache
from flowq.embedded.attach import attach
from flowq.embedded.control import server_status, stop_server
from flowq.embedded.directory import LONGEST_SOCKET_PATH, Home, locate
from flowq.exceptions import ConfigError, FlowqError, UsageError
from tests.embedded.users import client, gone, server_pid
from tests.support.wait import until


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"FLOWQ_HOME": "/a/b/", "XDG_STATE_HOME": "/x"}, "/a/b"),
        ({"XDG_STATE_HOME": "/x/y/"}, "/x/y/flowq"),
        ({"FLOWQ_HOME": "", "XDG_STATE_HOME": "/x"}, "/x/flowq"),
        ({"XDG_STATE_HOME": "relative"}, "{home}/.local/state/flowq"),  # the specification says to ignore it
        ({}, "{home}/.local/state/flowq"),
    ],
)
def test_the_location(environ: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert locate(environ=environ).root == expected.format(home=tmp_path)


def test_a_configured_directory_takes_precedence() -> None:
    assert locate("/configured", {"FLOWQ_HOME": "/other"}).root == "/configured"


@pytest.mark.parametrize("configured", ["", "data"])
def test_a_home_that_does_not_exist_is_not_made(configured: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Root could make it."""
    user = tmp_path / "nonexistent"
    for name in ("FLOWQ_HOME", "XDG_STATE_HOME", "FLOWQ_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(user))
    if configured:
        monkeypatch.setenv("FLOWQ_HOME", str(user / configured))
    with pytest.raises(ConfigError, match=rf"the home directory of this user, {user}, does not exist, .*: set FLOWQ_HOME"):
        attach()
    with pytest.raises(UsageError, match=rf"the home directory of this user, {user}, does not exist, .*: set FLOWQ_CACHE"):
        BundleCache().add("0" * 64, b"")
    assert list(tmp_path.iterdir()) == []
    assert not server_status().running


def test_everything_in_it_is_private(home: Path) -> None:
    home.rmdir()
    before = os.umask(0)
    try:
        with attach():
            client(home).set("k", "v")
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (home, *home.iterdir())}
    finally:
        os.umask(before)
    assert {name: oct(mode) for name, mode in modes.items() if mode & 0o077} == {}
    assert stat.S_IMODE((home / "server.sock").stat().st_mode if (home / "server.sock").exists() else 0o600) == 0o600


def test_a_directory_that_others_can_read_is_refused(home: Path) -> None:
    home.chmod(0o755)
    with pytest.raises(ConfigError, match=rf"{home} has mode 0755, expected 0700: .*chmod 700 {home}"):
        attach()
    assert list(home.iterdir()) == [] or not server_status().running


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_refused(home: Path) -> None:
    os.chown(home, 65534, -1)
    try:
        with pytest.raises(ConfigError, match=f"{home} belongs to user 65534, expected one of user 0"):
            attach()
    finally:
        os.chown(home, 0, -1)


def test_a_file_in_its_place_is_an_error(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for path in (file, file / "below"):
        with pytest.raises(ConfigError, match=r"cannot be made or read: .*set FLOWQ_HOME"):
            attach(str(path))


def test_a_path_too_long_for_a_socket(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket gets a short path in a separate directory, which is deleted with the server."""
    long = home / ("d" * 60) / ("é" * 40)
    monkeypatch.setenv("FLOWQ_HOME", str(long))
    for _ in range(2):
        with attach() as attachment:
            assert len(os.fsencode(attachment.socket)) <= LONGEST_SOCKET_PATH
            directory = Path(attachment.socket).parent
            assert stat.S_IMODE(directory.stat().st_mode) == 0o700
            with attach() as again:
                assert again.socket == attachment.socket
            client(long).incr("k")
        stop_server()
        assert not directory.exists()
    with attach():
        assert client(long).get("k") == b"2"
        pid = server_pid(long)
        os.kill(pid, 9)
        until(lambda: server_status().pid not in {None, pid}, message="another server")
        assert client(long).get("k") == b"2"
    stop_server(force=True)
    assert gone(pid)


def test_a_socket_directory_of_another_user_is_not_used(tmp_path: Path) -> None:
    """The directory in the note may have been deleted from /tmp and created again by another user."""
    home = Home(str(tmp_path / ("d" * 120)))
    Path(home.root).mkdir()
    first = home.settle_socket()
    assert home.settle_socket() == first == home.socket
    Path(first).parent.chmod(0o777)
    second = home.settle_socket()
    assert second != first
    assert home.socket == second
    for path in (first, second):
        shutil.rmtree(Path(path).parent)


def test_errors_of_the_directory_are_flowqs_own() -> None:
    with pytest.raises(FlowqError):
        attach("/proc/flowq" if Path("/proc/self").is_dir() else "/dev/null/flowq")


@pytest.mark.parametrize("ask", [server_status, stop_server, lambda home: stop_server(home, force=True)])
def test_a_directory_that_cannot_be_read_is_not_said_to_have_no_server(tmp_path: Path, ask: Callable[[str], object]) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    for name in ("file", "loop"):
        with pytest.raises(ConfigError, match=f"{name}, cannot be made or read"):
            ask(str(tmp_path / name))
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    if not os.access(closed, os.X_OK):  # the superuser can read everything
        with pytest.raises(ConfigError, match="Permission denied"):
            ask(str(closed))
    assert not server_status(str(tmp_path / "none")).running
