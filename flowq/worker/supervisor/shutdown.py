"""The rules for when and how a worker stops, apart from the code that carries them out."""

from __future__ import annotations

import os
import time
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowq.worker.options import WorkerOptions
    from flowq.worker.signals import StopSignals


class ShutdownStage(IntEnum):
    """The stages of stopping. The stage never goes back."""

    RUNNING = 0
    WARM = 1  # claims nothing more, finishes what runs
    COLD = 2  # kills what runs and hands it back, uncharged
    NOW = 3  # ends: the fork servers see the end and kill; what the server does not take back at once is lost with its lease


class Shutdown:
    """The reasons to stop, and the stage that they lead to."""

    def __init__(self, options: WorkerOptions, signals: StopSignals) -> None:
        self.stage = ShutdownStage.RUNNING
        self.claimed = 0
        self._options = options
        self._signals = signals
        self._idle_since = time.monotonic()
        self._warm_since: float | None = None

    @property
    def signals(self) -> int:
        """How many stop signals have come."""
        return self._signals.count

    @property
    def claiming(self) -> bool:
        """Whether more jobs may be claimed."""
        return self.stage is ShutdownStage.RUNNING

    def allowance(self, capacity: int) -> int:
        """Return how many jobs may be claimed with that many free places."""
        if not self.claiming:
            return 0
        if self._options.max_jobs is not None:
            return max(0, min(capacity, self._options.max_jobs - self.claimed))
        return max(0, capacity)

    def at_least(self, stage: ShutdownStage) -> None:
        """Go to a stage, or stay at a later one."""
        self.stage = max(self.stage, stage)

    def look(self, *, busy: bool, dry: bool) -> ShutdownStage:
        """Return the stage after looking at signals, counters and idleness.

        Args:
            busy: something is claimed, executed or not reported yet.
            dry: the last claim found the queues empty, and nothing is about to be released.
        """
        if self._signals.count:
            self.at_least(ShutdownStage(min(self._signals.count, ShutdownStage.NOW)))
        if busy:
            self._idle_since = time.monotonic()
        options = self._options
        if not busy and options.max_jobs is not None and self.claimed >= options.max_jobs:
            self.at_least(ShutdownStage.WARM)
        if not busy and dry:
            idle = time.monotonic() - self._idle_since
            if options.burst or (options.max_idle is not None and idle >= options.max_idle):
                self.at_least(ShutdownStage.WARM)
        self._hurry()
        return self.stage

    def _hurry(self) -> None:
        """Go from warm to cold when the running jobs have used up their time."""
        limit = self._options.stop_within
        if self.stage is not ShutdownStage.WARM or limit is None:
            return
        if self._warm_since is None:
            self._warm_since = time.monotonic()
        elif time.monotonic() - self._warm_since >= limit:
            self.at_least(ShutdownStage.COLD)


def watch_lifeline(fd: int, gone: Callable[[], None]) -> Callable[[], None]:
    """Return the loop's callback for a lifeline: `gone` is called when the other end has closed."""
    os.set_blocking(fd, False)

    def readable() -> None:
        try:
            data = os.read(fd, 512)
        except BlockingIOError:
            return
        if not data:
            gone()

    return readable
