"""The part of the Ray engine that runs in Ray's workers.

`execute` is the task that Ray schedules: it gets a place with what the job asks for, tells the relay of its machine the token, and keeps the place
until the job has ended. It waits at a socket, because Ray gives away the processors of a task that waits for Ray. `RayRelay` is an actor, one per
machine and driver, and ends with its driver.
"""

from __future__ import annotations

import marshal
import os
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, Final

from flowq.worker.executors.relay import Relay

if TYPE_CHECKING:
    from flowq.worker.executors.wire import Message

_RELAY: Final = 60.0  # s until the relay of a machine that is new in the cluster must be there
_STEP: Final = 0.05  # s between attempts to reach it
_PLACE: Final = ("CUDA_", "HIP_", "ROCR_", "ONEAPI_", "NEURON_", "TPU_", "ASCEND_", "HABANA_")
"""How the names of the variables begin by which Ray tells a task which accelerators are its own."""


def execute(driver: str, token: str, machine: str = "") -> None:
    """Let the relay of this machine begin a token, and wait for its end. `machine`: for tests; Ray tells it."""
    variables = {name: value for name, value in os.environ.items() if name.startswith(_PLACE)}
    with socket.socket(socket.AF_UNIX) as connection:
        _reach(connection, _address(driver, machine or _here()))
        connection.sendall(marshal.dumps((token, variables)))
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)  # it is closed at the end


class RayRelay:
    """The relay of a machine. Its methods are called by the driver."""

    def __init__(self, driver: str, python: str) -> None:
        for name in [name for name in os.environ if name.startswith(_PLACE)]:
            del os.environ[name]  # this actor asks for no accelerators; each job has those of its own task
        self._python = python
        self._relay = Relay()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(_address(driver, _here()))
        self._listener.listen(512)
        threading.Thread(target=self._accept, daemon=True).start()

    async def pull(self) -> list[Message]:
        """Return the messages of the node, as soon as there are some."""
        return await self._relay.pull()

    async def push(self, messages: list[Message]) -> None:
        """Give messages to the node."""
        self._relay.push(messages)

    async def drop(self) -> None:
        """End the node, with all that runs there."""
        self._relay.end()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            threading.Thread(target=self._begin, args=(connection,), daemon=True).start()

    def _begin(self, connection: socket.socket) -> None:
        with connection:
            _, user, _ = struct.unpack(
                "3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            )
            if user != os.getuid():
                return
            data = b""
            while part := connection.recv(65536):
                data += part
            token, variables = marshal.loads(data)
            self._relay.begin(token, self._python, variables).wait()


def _here() -> str:
    import ray

    found: str = ray.get_runtime_context().get_node_id()
    return found


def _address(driver: str, machine: str) -> str:
    """Return the address of a relay: a name without a file, so that nothing is left when it is killed (Linux)."""
    return f"\0flowq-{driver}-{machine}"


def _reach(connection: socket.socket, address: str) -> None:
    by = time.monotonic() + _RELAY
    while True:
        try:
            connection.connect(address)
        except OSError as error:
            if time.monotonic() > by:
                raise TimeoutError(f"the relay of this machine did not answer within {_RELAY:g} s") from error
            time.sleep(_STEP)
        else:
            return
