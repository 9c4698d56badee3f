"""What is to be done about a schedule now: a pure function of its slots, its policies and its stored state.

A slot is *missed* when it is more than a minute past due: nothing fired it in time (no scheduler ran, the server was down, the file was not valid).
`overlap` decides about slots that are due, `catch_up` about those that were missed. The backlog is a number, not a pile of runs: it is computed from the latest
slot that was dealt with, and a run is made only when there is room for it.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from flowq.store.schedules import NONE, ScheduleState

GRACE: Final = 60_000  # ms past due after which a slot counts as missed
ONE_BY_ONE: Final = "one_by_one"
_COUNTED: Final = 10_000  # slots that are left out together are counted up to here
_FIRST_LOOK: Final = 3_600_000  # ms that are looked back for the latest slots at first; four times as far each time


class Slots(Protocol):
    """The slots of a schedule, in ms since the epoch."""

    def after(self, ms: int) -> int | None:
        """Return the first slot that is later."""

    def between(self, first: int, end: int) -> Iterator[int]:
        """Yield the slots in [first, end), increasing."""

    def last(self, after: int, until: int) -> int | None:
        """Return the last slot in (after, until]."""


class Delay(Protocol):
    """The time by which a slot's run begins later (`jitter`), in ms."""

    def __call__(self, slot: int, /) -> int:
        """Return it."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What a schedule says about slots that were missed, and about runs that are open. Times in ms.

    Attributes:
        catch_up: none, latest or all.
        max: with `all`, slots that are made up at most.
        window: with `all`, how far back.
        overlap: skip, queue, cancel_running or allow.
        jitter: by how much the run of a slot begins later at most.
    """

    catch_up: str = "latest"
    max: int = 100
    window: int = 7 * 86_400_000
    overlap: str = "skip"
    jitter: int = 0


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Slots that `catch_up` leaves out: the first, the last, and how many (at least, from 10,000 on)."""

    first: int
    last: int
    count: int


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be done now, in this order.

    Attributes:
        left_out: slots that are passed over.
        slot: the slot to fire, None if none is due.
        due: when it was due.
        overlap: what happens when a run of the schedule is open; `ONE_BY_ONE`: the slot waits.
        next: when to look again, if nothing is to be done now; None: never.
    """

    left_out: LeftOut | None = None
    slot: int | None = None
    due: int = 0
    overlap: str = ""
    next: int | None = None

    @property
    def waits(self) -> bool:
        """Whether the slot fires only when no run of the schedule is open."""
        return self.overlap == ONE_BY_ONE


def decide(slots: Slots, policy: Policy, state: ScheduleState, now: int, delay: Delay = lambda _slot: 0) -> Due:
    """Return what is to be done about a schedule.

    Args:
        slots: its slots.
        policy: what it says.
        state: as stored.
        now: the server's time in ms.
        delay: by how much a slot's run begins later; less than the time between two slots.
    """
    moment = _Moment(slots, policy, _begin(state), now, delay)
    last = moment.last()
    if last is None:
        coming = slots.after(moment.begin)
        return Due(next=None if coming is None else coming + delay(coming))
    slot = moment.chosen(last)
    left_out = _left_out(slots, moment.begin, last if slot is None else slot - 1)
    if slot is None:
        return Due(left_out, next=now)
    waits = policy.catch_up == "all" and moment.is_missed(slot)
    return Due(left_out, slot, slot + delay(slot), ONE_BY_ONE if waits else policy.overlap, now)


def backlog(slots: Slots, state: ScheduleState, now: int) -> tuple[int, int]:
    """Return the first slot that is due and was not dealt with, and how many there are, up to 10,000; (0, 0) without one."""
    found = _left_out(slots, _begin(state), now)
    return (0, 0) if found is None else (found.first, found.count)


@dataclass(frozen=True, slots=True)
class _Moment:
    """A look at a schedule. `begin`: only later slots count."""

    slots: Slots
    policy: Policy
    begin: int
    now: int
    delay: Delay

    def last(self) -> int | None:
        """Return the last slot that is due."""
        last = self.slots.last(self.begin, self.now)
        if last is not None and last + self.delay(last) > self.now:  # the one before it is due: delays are shorter than gaps
            return self.slots.last(self.begin, last - 1)
        return last

    def chosen(self, last: int) -> int | None:
        """Return the first slot that fires, up to the last one that is due; those before it are left out."""
        match self.policy.catch_up:
            case "latest":
                return last
            case "all":
                return _first_of_latest(self.slots, max(self.begin, self.now - self.policy.window), last, self.policy.max)
            case _:
                recent = max(self.begin, self.now - GRACE - self.policy.jitter - 1)
                slots = self.slots.between(recent + 1, last + 1)
                return next((slot for slot in slots if not self.is_missed(slot)), None)

    def is_missed(self, slot: int) -> bool:
        """Return whether a slot that is due was not fired in time."""
        return self.now - slot - self.delay(slot) > GRACE


def _begin(state: ScheduleState) -> int:
    return max(state.slot, state.since) if state.slot != NONE else state.since


def _first_of_latest(slots: Slots, begin: int, last: int, most: int) -> int | None:
    """Return the first of the latest `most` slots in (begin, last]; None if there is none."""
    if last <= begin:
        return None
    reach = _FIRST_LOOK
    while True:
        start = max(begin, last - reach)
        found = deque(slots.between(start + 1, last + 1), maxlen=most)
        if len(found) == most or start == begin:
            return found[0] if found else None
        reach *= 4


def _left_out(slots: Slots, begin: int, until: int) -> LeftOut | None:
    first = slots.after(begin)
    if first is None or first > until:
        return None
    last = slots.last(begin, until)
    assert last is not None, "there is one: the first"
    count = 0
    for count, _slot in enumerate(slots.between(first, until + 1), 1):
        if count == _COUNTED:
            break
    return LeftOut(first, last, count)
