"""The traces of all runs, each sent when the run has ended, by any number of followers.

How far they are is a position in the stream of ends, kept in the store; a follower that is killed between sending and noting it sends the
same spans again.
"""

import logging
import select
from typing import TYPE_CHECKING, Final

from flowq.exceptions import CorruptRecordError, NoSuchRunError, ServerError
from flowq.telemetry.export import ExportError, Traces
from flowq.worker.signals import StopSignals

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowq.store import Store

_PAUSE: Final = 1.0  # s between two looks
_LONGEST_PAUSE: Final = 60.0  # s, while the collector takes nothing
_AT_ONCE: Final = 100  # ends read by one call

log = logging.getLogger("flowq.telemetry")


class TraceSender:
    """Sends the traces of runs as they end.

    Args:
        store: with the runs.
        traces: the way to the collector.
        sent: called with the id of each run whose trace was sent, and the number of spans.
    """

    def __init__(self, store: "Store", traces: Traces, sent: "Callable[[str, int], None]") -> None:
        self._store = store
        self._traces = traces
        self._sent = sent
        self._trouble = ""

    def run(self, lifeline: int | None = None) -> None:
        """Send until a stop signal. Main thread only. `lifeline`: a descriptor whose end means that the parent has gone."""
        pause = _PAUSE
        with StopSignals() as signals:
            watched = [signals.fileno(), *(() if lifeline is None else (lifeline,))]
            while not signals.count:
                try:
                    self.send_new()
                    pause, self._trouble = _PAUSE, ""
                except (ExportError, ServerError) as error:
                    pause = min(_LONGEST_PAUSE, pause * 2)
                    if str(error) != self._trouble:  # once, not at each try
                        self._trouble = str(error)
                        log.warning("%s; it is tried again", error)
                ready = select.select(watched, [], [], pause)[0]
                if lifeline in ready:
                    return
                signals.acknowledge()

    def send_new(self) -> None:
        """Send the traces of the runs that have ended since the noted position; the first time of those that end from now on.

        Raises:
            ExportError: the collector did not take one; the next call begins with it.
            ServerError: the store cannot be used.
        """
        position = self._store.schedules.traced()
        while ends := self._store.schedules.ended_after(position, _AT_ONCE):
            for end in ends:
                self._send(end.run)
                position = end.position
                self._store.schedules.note_traced(position)

    def _send(self, run: str) -> None:
        try:
            self._sent(run, self._traces.send(run))
        except NoSuchRunError:
            return  # deleted meanwhile
        except CorruptRecordError as error:
            log.warning("the trace of run %s is left out: %s", run, error, extra={"run": run})
