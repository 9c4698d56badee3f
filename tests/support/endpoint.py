"""A web server for tests that records its requests and gives prepared answers."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Asked:
    """A recorded request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)  # when it came, on the monotonic clock

    @property
    def document(self) -> Any:
        """The body, which must be JSON."""
        return json.loads(self.body)


@dataclass
class Endpoint:
    """A web server, used as a context manager. `answers` are the statuses of the first requests, then 200; `before` runs before each. `redirects`: from paths to addresses."""

    answers: list[int] = field(default_factory=list)
    before: Callable[[], object] = lambda: None
    asked: list[Asked] = field(default_factory=list)
    redirects: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> Self:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                endpoint.asked.append(Asked(self.command, self.path, dict(self.headers), body))
                status = endpoint.answers.pop(0) if endpoint.answers else 200
                endpoint.before()
                away = endpoint.redirects.get(self.path)
                try:
                    self.send_response(status if away is None else 302)
                    if away is not None:
                        self.send_header("Location", away)
                    self.end_headers()
                except (BrokenPipeError, ConnectionResetError):
                    return  # the client has closed the connection

            do_GET = do_POST = answer  # noqa: N815 - http.server's names

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"
