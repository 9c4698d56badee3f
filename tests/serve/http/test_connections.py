"""What a client has to send or take has a deadline: a connection that is held costs it nothing, and the page has a thousand of them."""

import asyncio
import resource
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack

import pytest
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from flowq.serve.http.process import protocol, server
from flowq.store import Store
from tests.support.page_server import PageServer
from tests.support.wait import until

DEADLINE = 0.5  # s, in place of those of the page
REQUEST = b"%s / HTTP/1.1\r\nHost: x\r\n%s\r\n"


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer without reading the body, as a stranger is answered; with a stream, or with a large file, where it is asked for."""
    answer = Response(b"answer" if scope["path"] == "/" else b"x" * 40_000_000)
    if scope["path"] == "/stream":
        answer = StreamingResponse(endless())
    await answer(scope, receive, send)


async def endless() -> AsyncIterator[bytes]:
    """Yield parts of an answer as long as they are wanted."""
    while True:
        yield b"x" * 65536
        await asyncio.sleep(0)


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of the page's HTTP server, in this process, with short deadlines."""
    monkeypatch.setattr(protocol, "HEAD", DEADLINE)
    monkeypatch.setattr(protocol, "STALLED", DEADLINE)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        served = server._server(application)
        thread = threading.Thread(target=lambda: asyncio.run(served.serve(sockets=[listener])))
        thread.start()
        yield listener.getsockname()[1]
        served.should_exit = served.force_exit = True
        thread.join(10)
        assert not thread.is_alive()


def answered(connection: socket.socket) -> None:
    """Read an answer."""
    found = b""
    while not found.endswith(b"answer"):
        chunk = connection.recv(65536)
        assert chunk, found
        found += chunk


def ended(connection: socket.socket) -> bool:
    """Return whether the server has closed a connection."""
    connection.settimeout(5)
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param([b"x"], id="some"),
        pytest.param([b"x" * 999], id="almost all"),
        pytest.param([b"x" * 1000], id="all"),
        pytest.param([b"x" * 1000, REQUEST[:6]], id="all and the begin of a request"),
    ],
)
def test_a_body_that_comes_after_its_answer_holds_no_connection(port: int, sent: list[bytes]) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(REQUEST % (b"POST", b"Content-Length: 1000\r\n"))
        answered(connection)
        for part in sent:
            connection.sendall(part)
        assert ended(connection)


def test_a_body_that_trickles_in_after_its_answer_holds_no_connection(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(REQUEST % (b"POST", b"Content-Length: 1000000\r\n"))
        answered(connection)
        connection.settimeout(0.02)
        begun = time.monotonic()
        while time.monotonic() - begun < 10:
            try:
                connection.sendall(b"x")
                if not connection.recv(1):
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        assert time.monotonic() - begun < 5


def test_a_connection_goes_on_when_the_body_comes_after_its_answer(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(10)
        for _ in range(3):
            connection.sendall(REQUEST % (b"POST", b"Content-Length: 5\r\n"))
            answered(connection)
            connection.sendall(b"12345")


@pytest.mark.parametrize("path", [b"/stream", b"/large"])
def test_a_client_that_does_not_read_holds_no_connection(port: int, path: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path)
        until(lambda: peers(port) == 1, message="the connection")
        until(lambda: peers(port) == 0, message="the end of the connection")


@pytest.mark.parametrize("path", [b"/stream", b"/large"])
def test_a_client_that_reads_slowly_is_served(port: int, path: bytes) -> None:
    """It takes less than waits for it, but some of it again and again."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.connect(("127.0.0.1", port))
        connection.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path)
        connection.settimeout(10)
        begun = time.monotonic()
        while time.monotonic() - begun < 4 * DEADLINE:
            assert connection.recv(65536)
            time.sleep(DEADLINE / 10)  # the pace of the client


def peers(port: int) -> int:
    """Return how many connections the server has that can still send."""
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table][1:]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "01" for row in rows)


def test_more_connections_than_descriptors_leave_the_page_as_it_was(page: PageServer, store: Store) -> None:
    """None of them needs credentials. Without a limit, each wait for a descriptor wrote a traceback for each connection, megabytes in a second."""
    before = resource.prlimit(page.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(page.process.pid, resource.RLIMIT_NOFILE, (200, before[1]))
    written = len(page.output)
    try:
        with ExitStack() as opened:
            for _ in range(400):
                opened.enter_context(socket.create_connection(("127.0.0.1", page.port), timeout=10))
            until(lambda: 0 < peers(page.port) <= 200, message="the refusal of some of the connections")
            assert page.output[written:] == ""
        until(lambda: peers(page.port) == 0, message="the end of the connections")
        until(lambda: answers(page), message="the page to see that they have ended")
    finally:
        resource.prlimit(page.process.pid, resource.RLIMIT_NOFILE, before)


def answers(page: PageServer) -> bool:
    try:
        return page.ask("GET", "/healthz").status == 200
    except ConnectionError:  # refused
        return False
