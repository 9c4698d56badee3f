"""The part of the Dask engine that runs in Dask's workers: each has a node per driver, and carries its messages.

`execute` is the task that Dask schedules: it lets the node start a token, and ends with that. `pull`, `push` and `drop` are called by the
driver, past Dask's queue. What a task needs is never in the scheduler: a token is all that it sees.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from flowq.worker.executors.relay import PULL, Relay

if TYPE_CHECKING:
    from flowq.worker.executors.wire import Message

_FORGOTTEN: Final = 12.0  # s without a call of the driver after which it is gone

_relays: dict[str, Relay] = {}
_lock = threading.Lock()


def execute(driver: str, token: str, python: str) -> None:
    """Let the node of a driver start a token, and wait for its end there."""
    _relay(driver).begin(token, python).wait()


async def pull(driver: str) -> list[Message]:
    """Return the messages of a driver's node, as soon as there are some."""
    return await _relay(driver).pull()


async def push(driver: str, messages: list[Message]) -> None:
    """Give messages to a driver's node."""
    _relay(driver).push(messages)


async def drop(driver: str) -> None:
    """End a driver's node, with all that runs there."""
    _relay(driver).end()


def _relay(driver: str) -> Relay:
    with _lock:
        found = _relays.get(driver)
        if found is None:
            found = _relays[driver] = Relay()
            threading.Thread(target=_watch, args=(driver, found), daemon=True).start()
        return found


def _watch(driver: str, relay: Relay) -> None:
    """End a node whose driver does not ask any more. By then its jobs have been killed, because nothing renewed them."""
    while relay.silence() < _FORGOTTEN:
        time.sleep(PULL)
    with _lock:
        del _relays[driver]
    relay.end()
