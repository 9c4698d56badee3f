"""The part of the Dask engine that runs in Dask's workers: each has a node per driver, and carries its messages.

`execute` is the task that Dask schedules: it lets the node start a token, and ends with that. `pull`, `push` and `drop` are called by the
driver, past Dask's queue. What a task needs is never in the scheduler: a token is all that it sees.
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
    from flowq.worker.executors.wire import Message

GONE: Final = "gone"
"""The first part of a message in place of a node's: it has ended."""

_PULL: Final = 2.0  # s that a driver waits for messages in one call
_FORGOTTEN: Final = 12.0  # s without a call of the driver after which it is gone
_READ: Final = 256 * 1024

_relays: dict[str, _Relay] = {}
_lock = threading.Lock()


def execute(driver: str, token: str, python: str) -> None:
    """Let the node of a driver start a token, and wait for its end there."""
    relay = _relay(driver)
    relay.begin(token, python)
    relay.ended(token).wait()


async def pull(driver: str) -> list[Message]:
    """Return the messages of a driver's node, as soon as there are some."""
    return await _relay(driver).pull()


async def push(driver: str, messages: list[Message]) -> None:
    """Give messages to a driver's node."""
    relay = _relay(driver)
    for message in messages:
        relay.push(message)


async def drop(driver: str) -> None:
    """End a driver's node, with all that runs there."""
    _relay(driver).end()


def _relay(driver: str) -> _Relay:
    with _lock:
        found = _relays.get(driver)
        if found is None:
            found = _relays[driver] = _Relay()
            threading.Thread(target=_watch, args=(driver, found), daemon=True).start()
        return found


def _watch(driver: str, relay: _Relay) -> None:
    """End a node whose driver does not ask any more. By then its jobs have been killed, because nothing renewed them."""
    while relay.silence() < _FORGOTTEN:
        time.sleep(_PULL)
    with _lock:
        del _relays[driver]
    relay.end()


class _Relay:
    """A node below this process, if one was wanted so far, and what it has said."""

    def __init__(self) -> None:
        self._node: subprocess.Popen[bytes] | None = None
        self._said: list[Message] = []
        self._ends: dict[str, threading.Event] = {}
        self._waiter: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        self._asked = time.monotonic()
        self._guard = threading.RLock()
        self._unsent: SimpleQueue[Message | None] = SimpleQueue()

    def begin(self, token: str, python: str) -> None:
        with self._guard:
            self.ended(token)
            if self._node is None:
                self._start(python)
        self.push((wire.START, token))

    def ended(self, token: str) -> threading.Event:
        with self._guard:
            return self._ends.setdefault(token, threading.Event())

    def silence(self) -> float:
        return time.monotonic() - self._asked

    def push(self, message: Message) -> None:
        self._asked = time.monotonic()
        self._unsent.put(message)
        if message[0] in {wire.REFUSE, wire.CANCEL}:
            self._finish(message[1])

    async def pull(self) -> list[Message]:
        self._asked = time.monotonic()
        event = asyncio.Event()
        with self._guard:
            self._waiter = asyncio.get_running_loop(), event
            if self._said:
                event.set()
        try:
            await asyncio.wait_for(event.wait(), _PULL)
        except TimeoutError:
            return []
        with self._guard:
            said, self._said, self._waiter = self._said, [], None
        return said

    def end(self) -> None:
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
