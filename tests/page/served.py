"""`flowq serve` with its page, as tests use it: users by role, calls of the API, runs."""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from flowq.serve.http.access.secrets import grant
from flowq.store import Store
from flowq.store.page.access import AccessRecord
from tests.support.serve import ServeProcess
from tests.support.server import PrivateServer
from tests.support.wait import until


class Served:
    """A running server.

    Args:
        directory: the flows.
        server: where runs are stored.
        log: the file for its output.
    """

    def __init__(self, directory: Path, server: PrivateServer, *, log: Path) -> None:
        self.directory = directory
        self._server = server
        self._log = log
        self._secrets: dict[str, str] = {}
        self._cookies: dict[str, dict[str, object]] = {}
        self.url = ""
        self.port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *details: object) -> None:
        self.process.__exit__(*details)

    def start(self) -> None:
        """Start the process, on the same port as before."""
        self._log.unlink(missing_ok=True)
        self.process = ServeProcess(
            self.directory,
            "-c",
            "2",
            "--port",
            str(self.port),
            log=self._log,
            env={"FLOWQ_REDIS_URL": self._server.url},
            page=True,
        )
        self.process.says("page: http://")
        line = next(line for line in self.process.output.splitlines() if line.startswith("page: "))
        self.url = line.removeprefix("page: ").partition("#")[0].rstrip("/")
        self.port = int(self.url.rpartition(":")[2])
        self.login_url = line.removeprefix("page: ")

    def kill(self) -> None:
        """Kill it with all its children."""
        self.process.__exit__(None)

    @contextmanager
    def store(self) -> Iterator[Store]:
        """Open the store of the server."""
        with self._server.client() as client:
            yield Store(client).open()

    def secret(self, role: str) -> str:
        """Return a token of a user with this role, who has the role's name."""
        if role not in self._secrets:
            with self.store() as store:
                self._secrets[role] = grant(store, AccessRecord("", "token", role, role, ()))[0]
        return self._secrets[role]

    def cookie(self, role: str) -> dict[str, object]:
        """Return the cookie of a session of this role's user."""
        if role not in self._cookies:
            request = self._request("POST", "/session", {"token": self.secret(role)}, role)
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - http, our own
                name, _, value = answer.headers["Set-Cookie"].partition(";")[0].partition("=")
            self._cookies[role] = {"name": name, "value": value, "url": self.url}
        return self._cookies[role]

    def _request(self, method: str, path: str, body: Any, role: str) -> urllib.request.Request:
        headers = {"Authorization": f"Bearer {self.secret(role)}", "Content-Type": "application/json"}
        content = None if body is None else json.dumps(body).encode()
        return urllib.request.Request(f"{self.url}/api/v1{path}", content, headers, method=method)  # noqa: S310 - http, our own

    def api(self, method: str, path: str, body: Any = None, role: str = "admin") -> Any:
        """Call the API; return the document."""
        with urllib.request.urlopen(self._request(method, path, body, role), timeout=30) as answer:  # noqa: S310 - as above
            text = answer.read()
        return json.loads(text) if text else None

    def launch(self, flow: str, **params: Any) -> str:
        """Start a run; return its id."""
        return str(self.api("POST", f"/flows/{flow}/runs", {"params": params})["id"])

    def wait(self, run: str, status: str, timeout: float = 20) -> None:
        """Wait until a run has a status."""
        until(lambda: self.api("GET", f"/runs/{run}")["status"] == status, timeout=timeout, message=f"run {run} to be {status}")

    def run(self, flow: str, status: str = "finished", **params: Any) -> str:
        """Start a run, wait until it has a status, and return its id."""
        run = self.launch(flow, **params)
        self.wait(run, status)
        return run
