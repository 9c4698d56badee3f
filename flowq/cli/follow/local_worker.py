"""The worker that a followed local run brings along: replaced when it is lost, asked to leave when the run has ended."""

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

_LOOK: Final = 1.0  # s between looks
_RESTARTS: Final = 3  # before something must be wrong with the run itself
_POLITE: Final = 2.0  # s that a worker may take to leave


class Tended:
    """A local worker, and who looks after it.

    Args:
        worker: started.
        log: where its own messages go while a live display owns the terminal; they are shown at the end, the file is removed.
    """

    def __init__(self, worker: "LocalWorker", log: Path | None) -> None:
        self._worker = worker
        self._log = log
        self._restarts = 0
        self._looked = time.monotonic()

    def look_after(self, store: "Store", run_id: str) -> str:
        """Start another worker if this one is gone though the run has not ended; return what to tell, if anything.

        Raises:
            FlowqError: it was lost too often.
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
        self._worker.kill()  # lets go of the lifeline of the one that is gone
        self._worker.start()
        return "the worker of this run was lost; another one takes over"

    def kill(self) -> None:
        """Kill what it executes; it hands the jobs back and leaves."""
        self._worker.kill()

    def end(self, *, idle: bool) -> None:
        """End it, and show what it had to say. One that is idle is asked: it would notice by itself, but only in a moment."""
        if self._worker.poll() is None:
            if idle and self._worker.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(self._worker.pid, signal.SIGTERM)
                self._worker.wait(_POLITE)
            self._worker.stop(_POLITE)
        if self._log is not None:
            text = self._log.read_bytes()
            self._log.unlink()
            if text.strip():
                complain(safe_bytes(text).rstrip("\n"))
