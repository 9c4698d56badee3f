"""When the requests of a worker are due that are made again and again: heartbeats, sweeps, and claims after one in vain.

What idle workers cost the server must not grow with their number, so the workers of a server take turns at sweeping (see
`lib/sweep_turns`): one sweeps, the others look from time to time whether one does. A worker of one run sweeps whether another one does or not,
because lost jobs of that run are left to it, and so does one that ends when nothing is left to do: it must have seen that itself.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from flowq.worker.options import WorkerOptions

_PAUSE: Final = 1.0  # s without claims after the system gave no process for a job: it would be claimed again at once
_LONGEST: Final = (
    60.0  # s of it, for an executor whose engine cannot be reached: jobs stay in the queue, where other workers find them
)
_RARE: Final = 2  # times the time between two heartbeats of an idle worker of a large fleet, which has no lease to renew


class PeriodicRequests:
    """The monotonic times of the next heartbeat and the next sweep. `now` is always the monotonic time."""

    def __init__(self, options: WorkerOptions, now: float) -> None:
        self._options = options
        self._takes_turns = options.until_run is None and not options.burst
        self._at_once = True  # the next sweep is for something that this worker knows of
        self._standby = 0.0  # s for which this worker was told last to leave the sweeps to another one
        self._alarm = math.inf  # when the work is due that the last sweep found
        self._next_sweep = now
        self.next_beat = now + options.beat

    @property
    def next(self) -> float:
        """When the earliest of them is due."""
        return min(self.next_beat, self._next_sweep, self._alarm)

    def sweep_is_due(self, now: float) -> bool:
        """Return whether it is time for a sweep."""
        return now >= min(self._next_sweep, self._alarm)

    # -- what is sent ------------------------------------------------------------------------------------------------------

    def beat(self, now: float, *, busy: bool) -> None:
        """Record that a heartbeat is sent."""
        rare = not busy and self._standby > _RARE * self._options.beat
        self.next_beat = now + self._options.beat * (_RARE if rare else 1)

    def sweep(self, now: float) -> bool:
        """Record that a sweep is sent; return whether it is to be one in turn."""
        in_turn = self._takes_turns and not self._at_once and now < self._alarm
        if now >= self._alarm:
            self._alarm = math.inf
        self._at_once = False
        self._next_sweep = now + self._options.sweep * random.uniform(0.75, 1.25)  # noqa: S311 - workers must not sweep in step
        return in_turn

    # -- what happened -----------------------------------------------------------------------------------------------------

    def claimed(self, now: float) -> None:
        """Record that there are leases to renew."""
        self.next_beat = min(self.next_beat, now + self._options.beat)

    def sweep_at(self, when: float) -> None:
        """Sweep no later than that, whether another worker does or not."""
        self._next_sweep = min(self._next_sweep, when)
        self._at_once = True

    def unswept(self, now: float) -> None:
        """Record that no worker sweeps."""
        self._next_sweep = min(self._next_sweep, now)

    def swept(self, now: float, *, standby: float, again: float | None) -> None:
        """Record the answer to a sweep: `standby` and `again` of a `SweepReply`."""
        if standby and not self._at_once:
            self._next_sweep = now + standby * random.uniform(1.0, 1.25)  # noqa: S311 - as above
        self._standby = standby
        if again is not None:
            self._alarm = min(self._alarm, now + again)


class Starvation:
    """The pauses of a worker that gets no process for its jobs. `grows`: the cause is likely to last, so each one is twice as long as the one before until a job has ended."""

    def __init__(self, *, grows: bool) -> None:
        self._grows = grows
        self._next = _PAUSE
        self._executed = 0

    def pause(self, executed: int) -> float:
        """Return the seconds of a pause that begins now. `executed`: how many executions have ended so far."""
        if not self._grows or executed != self._executed:
            self._next = _PAUSE
        self._executed = executed
        pause, self._next = self._next, min(_LONGEST, self._next * 2)
        return pause
