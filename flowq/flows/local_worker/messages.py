"""Messages about a local run (`notify`): its worker sends them, so they are waited for before it is stopped."""

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from flowq.exceptions import ServerUnavailableError
from flowq.worker.secrets.resolve import problem_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowq.plan.notice import Notice
    from flowq.store import Store

LONGEST: Final = 10.0  # s to wait for the messages of a run that has ended

_LOOK: Final = 0.02  # s between looks, at first
_SLOWEST: Final = 0.25


def await_messages(store: "Store", run: str, notices: "Sequence[Notice]" = ()) -> int:
    """Wait until the messages about a run that has ended are sent, at most `LONGEST`; return how many are not.

    They are not waited for where the addresses of all `notices` are missing: the worker has the environment of this process.
    """
    longest = 0.0 if notices and all(map(missing_address, notices)) else LONGEST
    deadline, pause, left = time.monotonic() + longest, _LOOK, 0
    with suppress(ServerUnavailableError):
        if not store.runs.require(run).notifies:
            return 0
        while (left := store.webhooks.pending(run)) and time.monotonic() < deadline:
            time.sleep(pause)
            pause = min(pause * 1.5, _SLOWEST)
    return left


def missing_address(notice: "Notice") -> str:
    """Return why the address of a message is not available here; "" if it is."""
    return problem_of(notice.address, notice.to) or ""
