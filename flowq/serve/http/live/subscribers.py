"""One client of the stream: the topics it watches, and a queue of what it still has to get.

The reader never waits for a client: one that is too slow is told to read its documents again.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from flowq.serve.http.live.topics import Topic
from flowq.serve.http.principals import Principal

WAITING: Final = 256
"""Messages that wait for a client."""

_COMMENT: Final = 15.0  # s between comments, so that proxies keep the connection
_RETRY: Final = 2000  # ms after which a browser comes back
_PADDING: Final = b":" + b" " * 2048 + b"\n\n"  # proxies pass on what is longer than their buffer


def message(data: Any, position: str) -> bytes:
    """Return a message as it is sent. `position`: everything before it has been told."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"id: {position}\ndata: {text}\n\n".encode("utf-8", "replace")


RESET: Final = b"event: reset\ndata: {}\n\n"
_BYE: Final = b"event: bye\ndata: {}\n\n"


@dataclass(eq=False)
class Subscriber:
    """A client.

    Attributes:
        principal: the user.
        address: of the client.
        topics: what it watches.
        after: position of the last message that it has; "" for a new client.
        entered: called when its stream begins; false: there are too many by now, so it ends at once.
        left: called when it has gone.
    """

    principal: Principal
    address: str
    topics: frozenset[Topic]
    after: str
    entered: Callable[["Subscriber"], bool]
    left: Callable[["Subscriber"], None]
    _loop: asyncio.AbstractEventLoop | None = None
    _queue: "asyncio.Queue[bytes | None]" = field(default_factory=lambda: asyncio.Queue(WAITING))
    _ended: bool = False

    def put(self, content: bytes) -> None:
        """Hand over what is to be sent; from any thread."""
        self._call(self._put, content)

    def end(self) -> None:
        """Let the stream end: the server stops, or the user may not look any more; from any thread."""
        self._call(self._end)

    async def stream(self, start: Callable[[], None]) -> AsyncIterator[bytes]:
        """Yield what is sent, until the client has gone. `start`: makes the subscriber known, in a thread."""
        self._loop = asyncio.get_running_loop()
        if not self.entered(self):
            yield _BYE
            return
        try:
            yield f"retry: {_RETRY}\n".encode() + _PADDING
            await asyncio.to_thread(start)
            while True:
                try:
                    content = await asyncio.wait_for(self._queue.get(), _COMMENT)
                except TimeoutError:
                    content = b": still here\n\n"
                if content is None:
                    yield _BYE
                    return
                yield content
        finally:
            self.left(self)

    def _call(self, function: Callable[..., None], *arguments: Any) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)

    def _put(self, content: bytes) -> None:
        if self._ended:
            return
        if self._queue.full():
            self._drain()
            content = RESET
        self._queue.put_nowait(content)

    def _end(self) -> None:
        self._ended = True
        self._drain()
        self._queue.put_nowait(None)

    def _drain(self) -> None:
        while not self._queue.empty():
            self._queue.get_nowait()
