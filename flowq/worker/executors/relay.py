"""A node below a process of a cluster, and the messages that this process carries between node and driver: what all clusters share.

The driver asks by `pull` and brings by `push`, in calls of the cluster's own; the node speaks frames through its stdin and stdout.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

from flowq.worker.executors import wire
from flowq.worker.executors.wire import Decoder, WireError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowq.worker.executors.wire import Message

GONE: Final = "gone"
"""The first part of a message in place of a node's: it has ended."""

PULL: Final = 2.0  # s that a driver waits for messages in one call
_READ: Final = 256 * 1024


class Relay:
    """A node below this process, if one was wanted so far, and what it has said."""

    def __init__(self) -> None:
        self._node: subprocess.Popen[bytes] | None = None
        self._said: list[Message] = []
        self._ends: dict[str, threading.Event] = {}
        self._waiter: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        self._asked = time.monotonic()
        self._guard = threading.RLock()
        self._unsent: SimpleQueue[Message | None] = SimpleQueue()

    def begin(self, token: str, python: str, variables: Mapping[str, str] | None = None) -> threading.Event:
        """Let the node start a token; return what is set when that has ended. `variables`: for the job, of the place that it has got."""
        with self._guard:
            ended = self._ends.setdefault(token, threading.Event())
            if self._node is None:
                self._start(python)
            self._unsent.put((wire.START, token, dict(variables or {})))
        return ended

    def silence(self) -> float:
        """Return how long the driver has not called, in seconds."""
        return time.monotonic() - self._asked

    def push(self, messages: list[Message]) -> None:
        """Give messages to the node."""
        self._asked = time.monotonic()
        for message in messages:
            self._unsent.put(message)
            if message[0] in {wire.REFUSE, wire.CANCEL}:
                self._finish(message[1])

    async def pull(self) -> list[Message]:
        """Return what the node has said, as soon as there is something, or nothing after `PULL`."""
        self._asked = time.monotonic()
        event = asyncio.Event()
        with self._guard:
            self._waiter = asyncio.get_running_loop(), event
            if self._said:
                event.set()
        try:
            await asyncio.wait_for(event.wait(), PULL)
        except TimeoutError:
            return []
        with self._guard:
            said, self._said, self._waiter = self._said, [], None
        return said

    def end(self) -> None:
        """End the node, with all that runs there."""
        with self._guard:
            node, self._node = self._node, None
            self._said = []
            for event in self._ends.values():
                event.set()
            self._ends.clear()
        if node is not None:
            self._unsent.put(None)
            node.kill()  # its fork servers end with it, and all below them
            node.wait()

    def _start(self, python: str) -> None:
        argv = [python or sys.executable, "-P", "-m", "flowq.worker.node"]
        self._unsent = SimpleQueue()
        node = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, bufsize=0)
        self._node = node
        threading.Thread(target=self._write, args=(node, self._unsent), daemon=True).start()
        threading.Thread(target=self._read, args=(node,), daemon=True).start()

    @staticmethod
    def _write(node: subprocess.Popen[bytes], messages: SimpleQueue[Message | None]) -> None:
        assert node.stdin is not None
        try:
            while (message := messages.get()) is not None:
                frame = memoryview(wire.encode(message))
                while frame:
                    frame = frame[os.write(node.stdin.fileno(), frame) :]
            node.stdin.close()
        except OSError:
            return  # the reader sees its end

    def _read(self, node: subprocess.Popen[bytes]) -> None:
        assert node.stdout is not None
        decoder = Decoder(noisy=True)
        why = "its process has ended"
        try:
            while data := os.read(node.stdout.fileno(), _READ):
                for message in decoder.feed(data):
                    self._say(node, message)
        except WireError as error:
            why = str(error)
        if self._node is node:
            self._say(node, (GONE, why))
            self._leave(node)

    def _leave(self, node: subprocess.Popen[bytes]) -> None:
        with self._guard:
            self._node = None
            for event in self._ends.values():
                event.set()
            self._ends.clear()
        self._unsent.put(None)
        node.kill()
        node.wait()

    def _say(self, node: subprocess.Popen[bytes], message: Message) -> None:
        with self._guard:
            if self._node is not node:
                return
            self._said.append(message)
            waiter = self._waiter
        if waiter is not None:
            loop, event = waiter
            loop.call_soon_threadsafe(event.set)
        if message[0] == wire.EXITED:
            self._finish(message[1])

    def _finish(self, token: str) -> None:
        with self._guard:
            event = self._ends.pop(token, None)
        if event is not None:
            event.set()
