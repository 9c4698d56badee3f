"""Messages about a local run (`notify`): its worker sends them, so they are waited for before it is stopped."""

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from flowq.exceptions import ServerUnavailableError
from flowq.plan.notice import stored_notices
from flowq.worker.secrets.resolve import problem_of

if TYPE_CHECKING:
    from flowq.plan.notice import Notice
    from flowq.store import Store

LONGEST: Final = 10.0  # s to wait for the messages of a run that has ended

_LOOK: Final = 0.02  # s between looks, at first
_SLOWEST: Final = 0.25


def await_messages(store: "Store", run: str) -> tuple[int, list[str]]:
    """Wait until the messages about a run that has ended are sent, at most `LONGEST`.

    Return how many are not, and why addresses are missing here. They are not waited for where all addresses are missing: the worker has the environment of this process.
    """
    left, missing = 0, list[str]()
    with suppress(ServerUnavailableError):
        record = store.runs.require(run)
        if not record.notices:
            return 0, []
        hindrances = [missing_address(notice) for notice in stored_notices(record.notices)]
        missing = list(dict.fromkeys(filter(None, hindrances)))
        deadline, pause = time.monotonic() + (0.0 if hindrances and all(hindrances) else LONGEST), _LOOK
        while (left := store.webhooks.pending(run)) and time.monotonic() < deadline:
            time.sleep(pause)
            pause = min(pause * 1.5, _SLOWEST)
    return left, missing


def missing_address(notice: "Notice") -> str:
    """Return why the address of a message is not available here; "" if it is."""
    return problem_of(notice.address, notice.to) or ""
