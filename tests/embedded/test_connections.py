"""Clients: the choice of the server, addresses, refused servers, and no automatic resending."""

import gc
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from flowq import connections
from flowq.connections import clients
from flowq.connections.clients import open_client, open_store
from flowq.embedded.control import server_status
from flowq.exceptions import ConfigError, ServerError, ServerUnavailableError
from flowq.flows.health import examine, read_facts
from tests.embedded.users import gone, server_pid
from tests.support.ports import free_ports
from tests.support.server import PrivateServer
from tests.support.wait import until

KEEPALIVE = [name for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT") if hasattr(socket, name)]


@contextmanager
def running(*options: str) -> Iterator[PrivateServer]:
    """Run a private server for this test."""
    private = PrivateServer().start(*options)
    try:
        yield private
    finally:
        private.stop()


@contextmanager
def listening(*replies: bytes) -> Iterator[int]:
    """Listen on a port and answer each connection's first request with the next of these bytes, then hang up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for reply in replies:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(reply)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(5)
        assert not thread.is_alive()


# -- the embedded server


def test_without_an_address_the_embedded_server_is_used(home: Path) -> None:
    with open_client() as client:
        assert client.ping()
        assert client.info("server")["process_id"] == server_pid(home)
        assert server_status().users == (os.getpid(),), "the clients' name tells who uses the server"


def test_the_embedded_server_runs_as_long_as_the_client_exists(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWQ_LINGER", "0")
    store = open_store()
    pid = server_pid(home)
    gc.collect()
    assert server_status().in_use
    assert store.now_ms() > 0
    store.client.close()
    del store
    gc.collect()
    until(lambda: gone(pid), message="the server to end")


def test_a_home_from_a_file(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "flowq.toml").write_text(f'home = "{home}"\n')
    monkeypatch.delenv("FLOWQ_HOME")
    monkeypatch.chdir(tmp_path)
    with open_client() as client:
        assert client.info("server")["process_id"] == server_status(str(home)).pid


# -- addresses


def test_a_unix_socket(server: PrivateServer) -> None:
    with open_client(f"{server.url}?db=3") as client:
        client.set("k", "v")
        assert client.get("k") == b"v"
    with server.client(db=3) as direct:
        assert direct.get("k") == b"v"


def test_the_address_from_the_environment(server: PrivateServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWQ_REDIS_URL", server.url)
    with open_client() as client:
        assert client.info("server")["process_id"] == server.pid


def test_host_port_database_and_password() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with running("--port", str(port), "--requirepass", "a/b@c") as private:
        with open_client(f"redis://:a%2Fb%40c@127.0.0.1:{port}/2") as client:
            client.set("k", "v")
        with private.client(password="a/b@c", db=2) as direct:
            assert direct.get("k") == b"v"
        with pytest.raises(
            ServerError, match=rf"^the server at redis://127\.0\.0\.1:{port} asks for a password: put it into the URL"
        ):
            open_client(f"redis://127.0.0.1:{port}")
        with pytest.raises(
            ServerError, match=rf"^the server at redis://u:\*\*\*@127\.0\.0\.1:{port} refused the user name or password"
        ):
            open_client(f"redis://u:wrong@127.0.0.1:{port}")


def test_sentinel() -> None:
    """A real sentinel returns the primary."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        port, watch = one.getsockname()[1], two.getsockname()[1]
    with running("--port", str(port)) as private:
        config = private.directory / "sentinel.conf"
        config.write_text(f"port {watch}\nsentinel monitor main 127.0.0.1 {port} 1\n")
        sentinel = subprocess.Popen(
            [private.binary, str(config), "--sentinel", "--logfile", str(private.directory / "sentinel.log")],
            cwd=private.directory,
        )
        try:
            address = f"redis+sentinel://127.0.0.1:{watch}/main/1"
            until(lambda: _reachable(address), message="the sentinel to know the primary")
            with open_client(address) as client:
                assert client.info("server")["process_id"] == private.pid
                client.set("k", "v")
                assert client.connection_pool.connection_kwargs["db"] == 1
            with pytest.raises(ServerUnavailableError, match="no master found for 'other'"):
                open_client(f"redis+sentinel://127.0.0.1:{watch}/other")
        finally:
            sentinel.terminate()
            sentinel.wait(10)


def _reachable(url: str) -> bool:
    try:
        open_client(url).close()
    except ServerUnavailableError:
        return False
    return True


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "localhost:6379",
            "'localhost:6379' is not a server's address, expected one that starts with redis://, rediss://, unix://",
        ),
        ("localhost:6379", "; did you mean redis://localhost:6379? (from"),
        ("http://x", "'http://x' is not a server's address"),
        ("http://queue.example:6379/0", "; did you mean redis://queue.example:6379/0? (from"),
        ("redis://u:geheim?x@host", "in a password `/` is written %2F, `?` %3F"),
        ("redis://u:1/geheim@host", "the database must be a number, found the part before the host; in a password"),
        ("redis://u:geheim/x@host:1/2?db=1", "in a password `/` is written %2F"),
        ("redis://u:geheim#x@host", "the port must be a number from 1 to 65535; in a password"),
        ("rediss://u:x?geheim@host?ssl_x=1", "unknown option the part before the host; in a password"),
        ("redis:/x", "'redis:/x' is not a server's address"),
        ("redis://host:port", "'redis://host:port': the port must be a number from 1 to 65535"),
        ("redis://host:99999", "the port must be a number from 1 to 65535"),
        ("redis://host/one", "the database must be a number, found 'one'"),
        ("redis://host?db=one", "db must be a number, found 'one'"),
        ("redis://host?socket_timeout=soon", "socket_timeout must be a number, found 'soon'"),
        ("redis://host?decode_responses=true", "unknown option 'decode_responses'"),
        ("redis://host?x", "is not a server's address"),
        ("redis://[::1", "is not a server's address"),
        ("redis://host?ssl_nonsense=1", "has an option that does not fit"),
        ("unix://", "names no socket, expected unix:///path/to/socket"),
        ("redis+sentinel://host:26379", "is incomplete, expected redis+sentinel://host:port,host:port/service"),
        ("redis+sentinel://host:x/main", "the port must be a number"),
        ("redis://u:geheim@host:port", "'redis://u:***@host:port'"),
    ],
)
def test_an_invalid_address(url: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWQ_REDIS_URL", url)
    with pytest.raises(ConfigError) as caught:
        open_client()
    assert message in str(caught.value)
    assert str(caught.value).endswith("(from FLOWQ_REDIS_URL)")
    assert "geheim" not in str(caught.value)


# -- unusable servers


def test_no_server_listens() -> None:
    with pytest.raises(
        ServerUnavailableError, match=r"^the server at redis://127\.0\.0\.1:1 cannot be reached: connection refused$"
    ):
        open_client("redis://127.0.0.1:1")
    with pytest.raises(ServerUnavailableError, match=r"^the server at unix:///no/such/socket cannot be reached: no such file"):
        open_client("unix:///no/such/socket")


def test_a_server_of_the_settings_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable may have been set long ago, and elsewhere."""
    monkeypatch.setenv("FLOWQ_REDIS_URL", "redis://127.0.0.1:1")
    with pytest.raises(ServerUnavailableError, match=r"connection refused \(from FLOWQ_REDIS_URL\)$"):
        open_client()


def test_another_program_listens() -> None:
    with (
        listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port,
        pytest.raises(ServerError, match=r"does not speak the Redis protocol"),
    ):
        open_client(f"redis://127.0.0.1:{port}")


def test_a_server_that_does_not_answer(server: PrivateServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(ServerUnavailableError, match=f"^the server at redis://127.0.0.1:{port}.* did not answer in time$"):
            open_client(f"redis://127.0.0.1:{port}?socket_timeout=0.2")


def test_an_old_server_is_refused() -> None:
    text = b"# Server\r\nredis_version:6.2.14\r\n"
    info = b"$%d\r\n%s\r\n" % (len(text), text)
    ok = b"+OK\r\n"
    with (
        listening_to_a_session(ok, info) as port,
        pytest.raises(ServerError, match=r"is Redis 6\.2\.14, flowq needs Redis >= 7\.0"),
    ):
        open_client(f"redis://127.0.0.1:{port}")


@contextmanager
def listening_to_a_session(ok: bytes, info: bytes) -> Iterator[int]:
    """Play an old server that knows CLIENT and INFO."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                while data := connection.recv(65536):
                    for name in [word for word in data.split(b"\r\n") if word in {b"CLIENT", b"INFO"}]:
                        connection.sendall(info if name == b"INFO" else ok)

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


def test_a_server_that_may_evict_jobs_is_refused_unless_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    with running("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru") as private:
        with pytest.raises(ServerError, match=r"may throw away jobs when its memory is full \(maxmemory-policy allkeys-lru\)"):
            open_client(private.url)
        monkeypatch.setenv("FLOWQ_ALLOW_EVICTION", "true")
        open_client(private.url).close()
    monkeypatch.delenv("FLOWQ_ALLOW_EVICTION")
    with running("--maxmemory-policy", "allkeys-lru") as private:
        open_client(private.url).close()  # without a memory limit nothing is evicted


def test_a_user_without_the_right_to_info_is_accepted() -> None:
    with running() as private:
        rights = ["+ping", "+client|setname"]
        private.client().acl_setuser("worker", enabled=True, passwords=["+secret"], keys=["{flowq}*"], commands=rights)
        with open_client(f"unix://worker:secret@{private.socket}") as client, pytest.raises(redis.exceptions.NoPermissionError):
            client.get("other")


def test_a_server_that_has_no_info_any_more_is_accepted() -> None:
    with running("--rename-command", "INFO", "") as private, open_client(private.url) as client:
        with pytest.raises(redis.exceptions.ResponseError, match="unknown command"):
            client.info()
        assert examine(read_facts(open_store(private.url), private.url))[3].text.startswith("the server does not answer INFO")


# -- no resending


def test_a_request_whose_reply_is_lost_is_not_sent_again(server: PrivateServer) -> None:
    """Count the requests to a server that closes the connection before it answers."""
    seen = 0
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            nonlocal seen
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return  # the test has ended
                with connection, socket.socket(socket.AF_UNIX) as upstream:
                    upstream.connect(server.socket)
                    while data := connection.recv(65536):
                        upstream.sendall(data)
                        reply = upstream.recv(65536)
                        if b"INCR" in data:
                            seen += 1
                            break
                        connection.sendall(reply)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with open_client(f"redis://127.0.0.1:{listener.getsockname()[1]}") as client:
            with server.client() as direct:
                direct.delete("counter")
            with pytest.raises(redis.exceptions.ConnectionError):
                client.incr("counter")
            assert client.get("counter") == b"1"
            assert seen == 1
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        assert not thread.is_alive(), "a closed client keeps no connection"


def test_the_package_exports_the_openers() -> None:
    assert (connections.open_store, connections.open_client) == (clients.open_store, clients.open_client)
    with pytest.raises(AttributeError, match="no attribute 'open_nothing'"):
        connections.open_nothing  # noqa: B018


@pytest.mark.skipif(len(KEEPALIVE) < 4, reason="this system has other names for it")
def test_the_system_asks_whether_the_other_end_of_a_connection_is_there() -> None:
    """A host that is gone sends no end: without this, a process that only waits would wait for hours."""
    (port,) = free_ports(1)
    with running("--port", str(port), "--bind", "127.0.0.1"), open_client(f"redis://127.0.0.1:{port}") as client:
        connection = client.connection_pool.get_connection()
        told = {name: connection._sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in KEEPALIVE}
        assert connection._sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        connection.disconnect()
    assert told["TCP_KEEPIDLE"] + told["TCP_KEEPINTVL"] * told["TCP_KEEPCNT"] <= 30
    assert 0 < told["TCP_USER_TIMEOUT"] <= 30_000, "also where it has sent something that no one acknowledges"
