"""What is to be done about a schedule: against its definition on a list of slots, and over whole stories with downtime."""

import bisect
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from flowq.schedules import due
from flowq.store.schedules import NONE, ScheduleState

MINUTE = 60_000


class Listed:
    """Slots from a list."""

    def __init__(self, slots: list[int]) -> None:
        self.slots = slots

    def after(self, ms: int) -> int | None:
        place = bisect.bisect_right(self.slots, ms)
        return self.slots[place] if place < len(self.slots) else None

    def between(self, first: int, end: int) -> Iterator[int]:
        yield from self.slots[bisect.bisect_left(self.slots, first) : bisect.bisect_left(self.slots, end)]

    def last(self, after: int, until: int) -> int | None:
        place = bisect.bisect_right(self.slots, until)
        return self.slots[place - 1] if place and self.slots[place - 1] > after else None


def expected(slots: list[int], policy: due.Policy, state: ScheduleState, now: int, delay: int) -> tuple[list[int], int | None]:
    """Return the slots that are left out and the one that fires, as docs/scheduling.md defines them."""
    candidates = [slot for slot in slots if slot > state.slot and slot > state.since and slot + delay <= now]
    match policy.catch_up:
        case "latest":
            kept = candidates[-1:]
        case "none":
            kept = [slot for slot in candidates if now - slot - delay <= MINUTE]
        case _:
            kept = [slot for slot in candidates if slot > now - policy.window][-policy.max :]
    first = kept[0] if kept else None
    return [slot for slot in candidates if first is None or slot < first], first


GAPS = st.lists(st.sampled_from([1_000, 7_000, MINUTE, 10 * MINUTE, 3_600_000]), min_size=1, max_size=60)
POLICIES = st.builds(
    due.Policy,
    catch_up=st.sampled_from(["none", "latest", "all"]),
    max=st.integers(1, 5),
    window=st.sampled_from([30_000, 600_000, 86_400_000]),
    overlap=st.sampled_from(["skip", "allow"]),
)


def slots_of(gaps: list[int]) -> list[int]:
    found = [1_000_000]
    for gap in gaps:
        found.append(found[-1] + gap)
    return found


def beside(slots: list[int], number: int, distances: tuple[int, ...]) -> int:
    """Return a time near some slot."""
    return slots[number % len(slots)] + distances[number // len(slots) % len(distances)]


def check_decision(module: Any, gaps: list[int], policy: due.Policy, where: tuple[int, int, int, int]) -> None:
    slots = slots_of(gaps)
    slot, since, now, delay = where
    delay %= min(gaps)
    state = ScheduleState(NONE if slot % 3 == 0 else beside(slots, slot, (-1, 0, 1)), beside(slots, since, (-1, 0, 1)))
    moment = beside(slots, now, (-1, 0, 1, delay - 1, delay, MINUTE, delay + MINUTE, delay + MINUTE + 1, 700_000))
    policy = dataclasses.replace(policy, jitter=delay)
    found = module.decide(Listed(slots), policy, state, moment, lambda _slot: delay)
    left_out, first = expected(slots, policy, state, moment, delay)
    assert found.slot == first
    if left_out:
        assert found.left_out is not None
        assert (found.left_out.first, found.left_out.last, found.left_out.count) == (left_out[0], left_out[-1], len(left_out))
    else:
        assert found.left_out is None
    if first is not None:
        missed = moment - first - delay > MINUTE
        assert found.waits == (missed and policy.catch_up == "all")
    elif not left_out:
        coming = [item + delay for item in slots if item > max(state.slot, state.since) and item + delay > moment]
        assert found.next == (coming[0] if coming else None)


WHERE = st.tuples(*[st.integers(0, 10**9)] * 4)


@settings(max_examples=400, deadline=None)
@given(GAPS, POLICIES, WHERE)
def test_a_decision_is_as_defined(gaps: list[int], policy: due.Policy, where: tuple[int, int, int, int]) -> None:
    check_decision(due, gaps, policy, where)


@settings(max_examples=200, deadline=None)
@given(GAPS, POLICIES, st.lists(st.integers(1, 2 * 3_600_000), min_size=1, max_size=40))
def test_each_slot_is_dealt_with_once_whatever_the_downtime(gaps: list[int], policy: due.Policy, pauses: list[int]) -> None:
    """The runs end at once. Looks come at random times, as after outages; afterwards everything due was fired or left out, in order."""
    slots, state, now = slots_of(gaps), ScheduleState(NONE, 1_000_000), 1_000_000
    fired: list[int] = []
    left_out = 0
    for pause in pauses:
        now += pause
        while (found := due.decide(Listed(slots), policy, state, now)).slot is not None or found.left_out is not None:
            if found.left_out is not None:
                assert found.left_out.first > state.slot
                left_out += found.left_out.count
                state = dataclasses.replace(state, slot=found.left_out.last)
            if found.slot is not None:
                assert found.slot > max(state.slot, state.since)
                fired.append(found.slot)
                state = dataclasses.replace(state, slot=found.slot)
        assert found.next is None or found.next > now
    assert fired == sorted(set(fired))
    assert len(fired) + left_out == sum(1_000_000 < slot <= now for slot in slots)


MUTANTS = {
    "forget since": ("max(state.slot, state.since) if state.slot != NONE else state.since", "state.slot"),
    "forget the latest slot": ("max(state.slot, state.since) if state.slot != NONE else state.since", "state.since"),
    "fire early": ("last + self.delay(last) > self.now", "last > self.now"),
    "fire the first of those that were missed": (
        "                return last\n",
        "                return self.slots.after(self.begin)\n",
    ),
    "leave out the slot that fires": ("last if slot is None else slot - 1", "last"),
    "forget the window": ("max(self.begin, self.now - self.policy.window)", "self.begin"),
    "one more than max": ("maxlen=most)", "maxlen=most + 1)"),
    "missed at a minute": ("> GRACE", ">= GRACE"),
    "make nothing up one by one": ('policy.catch_up == "all" and moment.is_missed(slot)', "False"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_noticed(name: str) -> None:
    text = Path(due.__file__).read_text(encoding="utf-8")
    old, new = MUTANTS[name]
    assert old in text
    mutant = ModuleType("mutant")
    mutant.__dict__["__name__"] = "flowq.schedules.due"
    exec(compile(text.replace(old, new), "mutant", "exec"), mutant.__dict__)  # noqa: S102 - the module itself, with one change

    @settings(max_examples=3000, deadline=None, database=None, derandomize=True, phases=[Phase.generate])  # the first is enough
    @given(GAPS, POLICIES, WHERE)
    def holds(gaps: list[int], policy: due.Policy, where: tuple[int, int, int, int]) -> None:
        check_decision(mutant, gaps, policy, where)

    with pytest.raises(AssertionError):
        holds()


def test_a_month_of_seconds_is_decided_quickly() -> None:
    """The slots of a series are computed, not listed: only what is counted is looked at."""
    seen = 0

    class Seconds(Listed):
        def after(self, ms: int) -> int | None:
            return (ms // 1000 + 1) * 1000

        def between(self, first: int, end: int) -> Iterator[int]:
            nonlocal seen
            for slot in range(-(-first // 1000) * 1000, end, 1000):
                seen += 1
                yield slot

        def last(self, after: int, until: int) -> int | None:
            slot = until // 1000 * 1000
            return slot if slot > after else None

    month = 30 * 86_400_000
    for catch_up in ("none", "latest", "all"):
        found = due.decide(Seconds([]), due.Policy(catch_up), ScheduleState(NONE, 0), month)
        assert found.left_out is not None
        assert found.left_out.count == 10_000, "and more"
    assert seen < 50_000
