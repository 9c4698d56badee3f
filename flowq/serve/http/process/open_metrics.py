"""Metrics on a port of their own, without credentials: for scrapers in a private network (`--metrics-open`)."""

import asyncio
import re
from collections.abc import Callable
from typing import Final

from starlette.types import Receive, Scope, Send

from flowq.exceptions import FlowqError, UsageError
from flowq.telemetry.metrics.exposition import MEDIA_TYPE

_PLACE: Final = re.compile(r"(?:(?P<host>\[[^\]]+\]|[^:\[\]]+):)?(?P<port>\d{1,5})")


def read_place(text: str) -> tuple[str, int]:
    """Return host and port of `[HOST:]PORT`; without a host that of this machine alone.

    Raises:
        UsageError: it is none.
    """
    match = _PLACE.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        raise UsageError(f"--metrics-open takes a port or HOST:PORT, such as 9464 or 10.0.0.5:9464, found {text!r}")
    return match["host"] or "127.0.0.1", int(match["port"])


class OpenMetrics:
    """The ASGI application: the metrics at /metrics, and nothing else.

    Args:
        text: returns them; called in a thread.
    """

    def __init__(self, text: Callable[[], str]) -> None:
        self._text = text

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        status, content = 404, "there is only /metrics\n"
        if scope["path"] == "/metrics" and scope["method"] in {"GET", "HEAD"}:
            try:
                status, content = 200, await asyncio.to_thread(self._text)
            except FlowqError as error:
                status, content = 503, f"{error}\n"
        body = content.encode("utf-8", "replace")
        headers = {"content-type": MEDIA_TYPE, "content-length": str(len(body)), "x-content-type-options": "nosniff"}
        await send(
            {"type": "http.response.start", "status": status, "headers": [(k.encode(), v.encode()) for k, v in headers.items()]}
        )
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
