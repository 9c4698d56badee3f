"""Ports for servers that have to be told theirs."""

import fcntl
import os
import random
import socket
import tempfile
from functools import cache
from typing import Final

_RANGE: Final = range(15_000, 32_000)  # below those that a system gives to clients, and to servers that ask for any
_dice: Final = random.SystemRandom()


def free_ports(count: int) -> list[int]:
    """Return ports that are free, and that no other process of tests is given as long as this one lives."""
    found: list[int] = []
    while len(found) < count:
        port = _dice.choice(_RANGE)
        if port not in _given and _taken(port):
            _given.add(port)
            found.append(port)
    return found


_given: Final[set[int]] = set()


def _taken(port: int) -> bool:
    try:
        fcntl.lockf(_locks(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@cache
def _locks() -> int:
    """Return the descriptor of a file of which each byte stands for a port: the locks are this process's own, and end with it."""
    return os.open(f"{tempfile.gettempdir()}/flowq-test-ports-{os.getuid()}", os.O_RDWR | os.O_CREAT, 0o600)
