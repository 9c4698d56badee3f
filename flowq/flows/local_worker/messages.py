"""Messages about a local run (`notify`): its worker sends them, so they are waited for before it is stopped."""

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from flowq.exceptions import ServerUnavailableError
from flowq.plan.notice import TIMEOUT, stored_notices
from flowq.worker.secrets.resolve import problem_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowq.plan.notice import Notice
    from flowq.store import Store
    from flowq.store.webhooks import PendingNotice

LONGEST: Final = 10.0  # s to wait for the messages of a run that has ended

_ANSWER: Final = 4.0  # s to wait for an answer: an address that hangs holds up no run for longer

_LOOK: Final = 0.02  # s between looks, at first
_SLOWEST: Final = 0.25
_SILENT: Final = 1.0  # s that a wait may take without a word


def await_messages(
    store: "Store", run: str, told: "Callable[[int], None]" = lambda _count: None, enough: "Callable[[], bool]" = lambda: False
) -> tuple[int, list[str]]:
    """Wait until the messages about a run that has ended are sent, at most `LONGEST`.

    Those whose address is missing here are not waited for, because the worker has the environment of this process, nor those that were tried
    in vain and have no other try in that time, nor those whose address does not answer within `_ANSWER`.

    Args:
        store: where the run is.
        run: its id.
        told: called once with the number of those that are waited for, if that takes a while.
        enough: whether the user has waited enough.

    Returns:
        How many are not sent, and why addresses are missing here.
    """
    left, missing = 0, list[str]()
    with suppress(ServerUnavailableError):
        record = store.runs.require(run)
        if not record.notices:
            return 0, []
        hindrances = {notice.address: missing_address(notice) for notice in stored_notices(record.notices)}
        missing = list(dict.fromkeys(filter(None, hindrances.values())))
        begun, pause, silent = time.monotonic(), _LOOK, True
        while True:
            pending = store.webhooks.pending(run)
            left, passed = len(pending), time.monotonic() - begun
            open_ = sum(_may_be_sent(item, hindrances, LONGEST - passed) for item in pending)
            if not open_ or passed >= LONGEST or enough():
                break
            if silent and passed >= _SILENT:
                silent = False
                told(open_)
            time.sleep(pause)
            pause = min(pause * 1.5, _SLOWEST)
    return left, missing


def _may_be_sent(item: "PendingNotice", hindrances: "Mapping[str, str]", seconds: float) -> bool:
    """Return whether a message may be sent within so many seconds."""
    found = stored_notices(f"- - - - {item.spec}")  # as a line of the run's record
    soon = item.taken_for(TIMEOUT) <= _ANSWER if item.is_taken else item.due_in <= seconds
    return soon and not any(hindrances.get(notice.address) for notice in found)


def missing_address(notice: "Notice") -> str:
    """Return why the address of a message is not available here; "" if it is."""
    return problem_of(notice.address, notice.to) or ""
