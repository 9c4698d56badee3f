"""Messages about a local run (`notify`): its worker sends them, so they are waited for before it is stopped."""

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from flowq.exceptions import ServerUnavailableError

if TYPE_CHECKING:
    from flowq.store import Store

LONGEST: Final = 10.0  # s to wait for the messages of a run that has ended

_LOOK: Final = 0.02  # s between looks, at first
_SLOWEST: Final = 0.25


def await_messages(store: "Store", run: str) -> int:
    """Wait until the messages about a run that has ended are sent, at most `LONGEST`; return how many are not."""
    deadline, pause, left = time.monotonic() + LONGEST, _LOOK, 0
    with suppress(ServerUnavailableError):
        if not store.runs.require(run).notifies:
            return 0
        while (left := store.webhooks.pending(run)) and time.monotonic() < deadline:
            time.sleep(pause)
            pause = min(pause * 1.5, _SLOWEST)
    return left
