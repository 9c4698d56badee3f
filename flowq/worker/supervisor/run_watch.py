"""The looks of a worker at the one run that it works for."""

import time
from typing import TYPE_CHECKING, Final

from flowq.connections.urls import is_deleted
from flowq.exceptions import CorruptRecordError, ServerError
from flowq.worker.supervisor.shutdown import ShutdownStage

if TYPE_CHECKING:
    from flowq.store import Store

_LOOK: Final = 0.25  # s between looks, while there is nothing to do


class RunWatch:
    """A watch on the end of a run. `next` is the monotonic time of the next look."""

    def __init__(self, store: "Store", run: str) -> None:
        self._store = store
        self._run = run
        self.next = time.monotonic()

    def look(self, *, online: bool) -> ShutdownStage:
        """Return the stage that the worker is to go to at least, if it is time to look."""
        now = time.monotonic()
        if now < self.next:
            return ShutdownStage.RUNNING
        self.next = now + _LOOK
        if not online:  # an embedded server that was deleted does not come back, and neither does the run
            return ShutdownStage.NOW if is_deleted(self._store.client) else ShutdownStage.RUNNING
        try:
            record = self._store.runs.get(self._run)
        except (ServerError, CorruptRecordError):
            return ShutdownStage.RUNNING
        return ShutdownStage.WARM if record is None or record.ended else ShutdownStage.RUNNING
