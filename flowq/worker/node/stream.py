"""The two ends of a node's connection: frames come through stdin and go through stdout, which nothing else uses."""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING

from flowq.worker.executors import wire
from flowq.worker.executors.wire import Decoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowq.worker.executors.wire import Message
    from flowq.worker.supervisor.event_loop import Loop

_READ = 256 * 1024


class HungUpError(Exception):
    """The driver is gone."""


class NodeStream:
    """The connection to the driver. What this process or a fork server prints goes to stderr in place of it."""

    def __init__(self, loop: Loop, receive: Callable[[Message], None]) -> None:
        self._loop = loop
        self._receive = receive
        self._decoder = Decoder()
        self._unsent = bytearray(wire.PREAMBLE)
        self._input = os.dup(0)
        self._output = os.dup(1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        for fd in (self._input, self._output):
            os.set_blocking(fd, False)
        loop.watch(self._input, self._readable)
        loop.watch(self._output, self._gone, self._flush)

    def send(self, message: Message) -> None:
        """Send a message.

        Raises:
            HungUpError: the driver is gone.
        """
        self._unsent += wire.encode(message)
        self._flush()

    def _readable(self) -> None:
        try:
            data = os.read(self._input, _READ)
        except BlockingIOError:
            return
        if not data:
            raise HungUpError
        for message in self._decoder.feed(data):
            self._receive(message)

    def _flush(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: os.write(self._output, self._unsent[:_READ])]
        except BlockingIOError:
            pass
        except OSError as error:
            raise HungUpError from error
        self._loop.wants_write(self._output, bool(self._unsent))

    def _gone(self) -> None:
        """Handle that stdout became readable: it is a socket, as of ssh, or nothing reads it any more."""
        poller = select.poll()
        poller.register(self._output, 0)  # errors are reported without being asked for
        if any(events & select.POLLERR for _, events in poller.poll(0)):
            raise HungUpError
