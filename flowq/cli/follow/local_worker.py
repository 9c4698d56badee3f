"""The worker of a local run that is followed: replaced when it dies, stopped when the run has ended."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flowq.cli.context import complain
from flowq.exceptions import FlowqError, ServerUnavailableError
from flowq.flows.views.text import safe_bytes

if TYPE_CHECKING:
    from flowq.flows.local_worker.worker import LocalWorker
    from flowq.store import Store

_LOOK: Final = 1.0  # s between checks
_RESTARTS: Final = 3  # after these the command gives up
_GRACE: Final = 2.0  # s that a worker may take to stop


class Tended:
    """A local worker that is restarted when it dies.

    Args:
        worker: the worker, already started.
        log: the file of its own messages while a live display owns the terminal; `end` shows them and deletes the file.
    """

    def __init__(self, worker: "LocalWorker", log: Path | None) -> None:
        self._worker = worker
        self._log = log
        self._restarts = 0
        self._looked = time.monotonic()

    def look_after(self, store: "Store", run_id: str) -> str:
        """Start another worker if this one has died before the end of the run; return a message, or nothing.

        Raises:
            FlowqError: the worker died too often.
        """
        if time.monotonic() - self._looked < _LOOK or self._worker.poll() is None:
            return ""
        self._looked = time.monotonic()
        try:
            run = store.runs.get(run_id)
        except ServerUnavailableError:
            return ""
        if run is None or run.ended:
            return ""
        if self._restarts >= _RESTARTS:
            raise FlowqError(
                f"the worker of run {run_id} was lost {self._restarts + 1} times: find out why (is there memory left? what does"
                f" `flowq logs {run_id}` say?), then `flowq run --resume {run_id}`"
            )
        self._restarts += 1
        self._worker.kill()  # closes the lifeline of the dead one
        self._worker.start()
        return "the worker of this run was lost; another one takes over"

    def kill(self) -> None:
        """Kill its jobs; the worker requeues them and stops."""
        self._worker.kill()

    def end(self, *, idle: bool) -> None:
        """Stop the worker and show its messages. An idle one gets SIGTERM, because it would notice the end of the run only later."""
        if self._worker.poll() is None:
            if idle and self._worker.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(self._worker.pid, signal.SIGTERM)
                self._worker.wait(_GRACE)
            self._worker.stop(_GRACE)
        if self._log is not None:
            text = self._log.read_bytes()
            self._log.unlink()
            if text.strip():
                complain(safe_bytes(text).rstrip("\n"))
