"""The tree of processes: starts them, replaces those that die, and stops them.

stop signal        what happens
first              the scheduler ends, workers finish what they execute; the page shows that, and ends after them
second, or after   workers kill what they execute and hand it back
`drain` seconds
third              everything is killed within a second
"""

import errno
import logging
import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, Final

from flowq.durations import format_duration
from flowq.serve.child import Child
from flowq.worker.signals import SAME_STOP, StopSignals

_SLACK: Final = 0.2  # s; a child gets its first stop signal later than the parent, and must count the second one too
_BETWEEN_STOPS: Final = SAME_STOP + _SLACK  # s; an earlier one is the same signal to a worker
_HAND_BACK: Final = 15.0  # s that handing back may take before everything is killed
_BEGINNING: Final = 10.0  # s for which a child that fails is taken for one that cannot begin
_LONGEST_WAIT: Final = 5.0  # s between looks at the children; a signal tells when one dies

log = logging.getLogger("flowq.serve")


class Tree:
    """A parent and its children.

    Args:
        children: what runs below it.
        drain: seconds for which running jobs may finish after the first stop signal.
        reported: called with each report of a child.
    """

    def __init__(self, children: Sequence[Child], drain: float, reported: Callable[[Any], None]) -> None:
        self._children = children
        self._drain = drain
        self._reported = reported
        self._begun = time.monotonic()
        self._ready = False  # a child has reported, or all have lived for a while
        self._stage = 0  # of the stop
        self._stopped = 0.0  # monotonic time of the first stop
        self._told = 0.0  # of the latest one
        self._code = 0
        self._reload = False
        self._last_told = self._waiting_told = False

    def run(self) -> int:
        """Run until a stop signal. Main thread only.

        Returns:
            0; or the exit code of a child that could not begin.
        """
        lifeline = os.pipe()
        with StopSignals(_BETWEEN_STOPS) as signals:
            former = {number: signal.signal(number, self._noticed) for number in (signal.SIGCHLD, signal.SIGHUP)}
            try:
                while not self._turn(signals, lifeline[0]):
                    reports = [child.report for child in self._children if child.report is not None]
                    watched = [signals.fileno(), *reports]
                    select.select(watched, [], [], self._patience(signals))
                    signals.acknowledge()
            finally:
                for child in self._children:
                    child.close()
                for number, handler in former.items():
                    signal.signal(number, handler)
                for end in lifeline:
                    os.close(end)
        return self._code

    def _turn(self, signals: StopSignals, lifeline: int) -> bool:
        """Do what is due; return whether all is over."""
        for child in self._children:
            for report in child.read_reports():
                self._ready = True
                self._reported(report)
        self._look_at_ends()
        self._ready = self._ready or time.monotonic() - self._begun > _BEGINNING
        if self._reload:
            self._reload = False
            self._pass_on_reload(signals)
        while self._stage < self._wanted(signals) and time.monotonic() >= self._told + _BETWEEN_STOPS * (self._stage > 0):
            self._stop()
        if self._stage:
            self._tell_wait()
            self._end_the_last()
            return all(child.gone for child in self._children)
        for child in self._children:
            if child.due_in() == 0:
                child.start(lifeline)
        return False

    def _tell_wait(self) -> None:
        """Say what is waited for, once a worker that executes nothing has ended."""
        if self._waiting_told or self._stage > 1 or time.monotonic() < self._stopped + _BETWEEN_STOPS:
            return
        self._waiting_told = True
        if any(child.executes and not child.gone for child in self._children):
            log.info("running jobs may take %s; another stop signal hands them back", format_duration(self._drain))

    def _end_the_last(self) -> None:
        """End the children that have waited for the others."""
        still = [child for child in self._children if not child.gone]
        if still and not self._last_told and all(child.last for child in still):
            self._last_told = True
            for child in still:
                child.signal(signal.SIGTERM)

    def _look_at_ends(self) -> None:
        for child in self._children:
            code = child.reap()
            if code is not None and code > 0 and not self._ready and not self._stage:
                self._code = code  # it could not begin, and has said why: another one could not either
                self._stop()

    def _wanted(self, signals: StopSignals) -> int:
        """Return the stage that the stop is to have by now."""
        wanted = max(min(signals.count, 3), self._stage)
        if wanted and self._stage:
            waited = time.monotonic() - self._stopped
            wanted = max(wanted, 2 if waited >= self._drain else 1, 3 if waited >= self._drain + _HAND_BACK else 1)
        return wanted

    def _stop(self) -> None:
        now = time.monotonic()
        if self._stage == 0:
            self._stopped = now
            log.info("stopping")
        self._stage += 1
        self._told = now
        for child in self._children:
            child.signal(signal.SIGTERM if self._stage < 3 else signal.SIGKILL)

    def _patience(self, signals: StopSignals) -> float:
        """Return the seconds until something is due."""
        if self._stage:
            now = time.monotonic()
            if self._stage < self._wanted(signals):
                return max(0.0, self._told + _BETWEEN_STOPS - now)
            after = (_BETWEEN_STOPS, self._drain, self._drain + _HAND_BACK)
            ends = [self._stopped + seconds - now for seconds in after if self._stopped + seconds > now]
            return min([_LONGEST_WAIT, *ends])
        times = [due for due in (child.due_in() for child in self._children) if due is not None]
        return min([_LONGEST_WAIT, *times])

    def _pass_on_reload(self, signals: StopSignals) -> None:
        if _hung_up():
            log.info("the terminal has gone")
            signals.count = max(signals.count, 1)
            return
        for child in self._children:
            if child.reports and self._ready:
                child.signal(signal.SIGHUP)

    def _noticed(self, number: int, _frame: FrameType | None) -> None:
        """Note a signal; what wakes the loop is its number in the pipe."""
        self._reload = self._reload or number == signal.SIGHUP


def _hung_up() -> bool:
    """Return whether a standard stream is a terminal that has gone: then SIGHUP means that, and not a reload."""
    for descriptor in range(3):
        try:
            os.tcgetpgrp(descriptor)
        except OSError as error:
            if error.errno == errno.EIO:
                return True
    return False
