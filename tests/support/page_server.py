"""`flowq ui` for tests: started as by a user, on a private server, and asked over real HTTP."""

import http.client
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from flowq.serve.http.access.secrets import grant
from flowq.store import Store
from flowq.store.page.access import AccessRecord
from tests.support import launcher
from tests.support.wait import until


@dataclass(frozen=True)
class Answer:
    """An answer: status, headers by their names in small letters, and the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        """The body, which must be JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of an error."""
        return str(self.document["error"]["code"])


class PageServer:
    """A `flowq ui`, used as a context manager.

    Args:
        arguments: after `--port=0`.
        log: the file for its output.
        env: further variables, such as the server's.
    """

    def __init__(self, *arguments: str, log: Path, env: Mapping[str, str] | None = None) -> None:
        self._log = log
        with log.open("wb") as output:
            self.process = launcher.start(
                "flowq.cli.main",
                *("ui", "--port=0", *arguments),
                env={**os.environ, **(env or {})},
                output=output.fileno(),
                errors=output.fileno(),
                session=True,
            )
        self.port = 0
        self.token = ""

    def __enter__(self) -> Self:
        until(
            lambda: "Ctrl+C stops" in self.output or self.process.poll() is not None, timeout=30, message="the page's address"
        )
        assert self.process.poll() is None, self.output
        address, _, self.token = self.output.split()[0].partition("#token=")
        self.url = address
        self.port = int(address.rstrip("/").rpartition(":")[2])
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            sys.stdout.write(self.output)
        self.stop(signal.SIGKILL)

    @property
    def output(self) -> str:
        """What it has written so far."""
        return self._log.read_text(errors="replace")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(15)

    def ask(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request, with a body of JSON (bytes are sent as they are), as a program does."""
        sent = {} if token is None else {"Authorization": f"Bearer {token}"}
        content = body
        if body is not None and not isinstance(body, bytes):
            content = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, content, {**sent, **(headers or {})})
            answer = connection.getresponse()
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def api(self, method: str, path: str, body: Any = None, *, token: str | None = None, **more: Any) -> Answer:
        """Send a request to the API."""
        return self.ask(method, f"/api/v1{path}", body, token=token, **more)

    def raw(self, content: bytes) -> bytes:
        """Send bytes; return what comes until the server closes, or 2 s pass."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
            connection.sendall(content)
            found = b""
            try:
                while chunk := connection.recv(65536):
                    found += chunk
            except (TimeoutError, ConnectionResetError):
                pass
            return found


def token_of(store: Store, role: str, *flows: str, name: str = "") -> str:
    """Return a new token."""
    return grant(store, AccessRecord("", "token", name or role, role, flows))[0]
