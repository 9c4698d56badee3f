"""A model of the slots of one schedule: schedulers that look, create runs for slots, and may die or lose replies between any two calls.

The number of the latest slot that was dealt with (`done`) moves in the step that creates the run, and the run's id is made of the slot. A run
is uploaded before it is created; what a scheduler has uploaded keeps others from the slot until it expires, unless their text is the same.
"""

import random
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple, TypeVar

SLOTS = 3
SCHEDULERS = (0, 1)
USER = -1
T = TypeVar("T")


class State(NamedTuple):
    """The schedule. `seen` is what each scheduler saw of `done` when it looked last; `clock` the latest slot that is due.

    `runs` has (creator, open) of each slot's run, or None; `outcomes` how often each slot was dealt with; `uploads` whose upload there is for
    the run of each slot, or None.
    """

    done: int = 0
    clock: int = 0
    seen: tuple[int, ...] = (0,) * len(SCHEDULERS)
    runs: tuple[tuple[int, bool] | None, ...] = (None,) * SLOTS
    outcomes: tuple[int, ...] = (0,) * SLOTS
    uploads: tuple[int | None, ...] = (None,) * SLOTS


class Call(NamedTuple):
    """One call; `slot` of those that name one, counted from 1."""

    name: str
    scheduler: int = USER
    slot: int = 0


class Slots:
    """The rules. `skip`: a slot is skipped while a run that a scheduler created is open; else runs overlap."""

    def __init__(self, *, skip: bool) -> None:
        self.skip = skip

    def calls(self, state: State) -> Iterator[Call]:
        """Yield each call that is possible. A scheduler may look at any time, and calls with what it saw then, any number of times."""
        if state.clock < SLOTS:
            yield Call("tick")
        for scheduler in SCHEDULERS:
            yield Call("look", scheduler)
            if (slot := state.seen[scheduler] + 1) <= SLOTS:
                yield Call("upload", scheduler, slot)
                yield Call("create", scheduler, slot)
                yield Call("settle", scheduler, slot)
        for slot, run in enumerate(state.runs, 1):
            if run is None and slot <= state.clock:
                yield Call("by hand", slot=slot)
            elif run is not None and run[1]:
                yield Call("end", slot=slot)
            if state.uploads[slot - 1] is not None:
                yield Call("expire", slot=slot)

    def apply(self, state: State, call: Call) -> tuple[State, str]:
        """Carry one call out; return the state and the answer."""
        match call.name:
            case "tick":
                return state._replace(clock=state.clock + 1), "done"
            case "look":
                return state._replace(seen=put(state.seen, call.scheduler, state.done)), "done"
            case "by hand":
                after, answer = self.upload(state, call)
                return (self.run(after, call), "done") if answer == "done" else (after, answer)
            case "upload":
                return self.upload(state, call)
            case "expire":
                return state._replace(uploads=put(state.uploads, call.slot - 1, None)), "done"
            case "end":
                creator, _ = state.runs[call.slot - 1] or (USER, False)
                return state._replace(runs=put(state.runs, call.slot - 1, (creator, False))), "done"
            case "create":
                return self.create(state, call)
            case _:
                return self.settle(state, call)

    def create(self, state: State, call: Call) -> tuple[State, str]:
        """Create the run of a slot, or skip the slot; both move `done`."""
        known = self.known(state, call)
        if known is not None:
            return state, "duplicate" if known[0] == call.scheduler else "conflict"
        state, answer = self.upload(state, call)
        if answer == "conflict":
            return state, answer
        if not self.is_current(state, call):
            return state, "conflict"
        if not self.is_due(state, call):
            return state, "too_early"
        if self.skip and self.is_busy(state):
            return self.note(state, call.slot), "skipped"
        return self.note(self.run(state, call), call.slot), "done"

    def upload(self, state: State, call: Call) -> tuple[State, str]:
        """Upload the run of a slot, which does not exist before it is created."""
        known = self.known(state, call)
        owner = state.uploads[call.slot - 1] if known is None else known[0]
        if owner is not None:
            return state, "duplicate" if owner == call.scheduler else "conflict"
        return state._replace(uploads=put(state.uploads, call.slot - 1, call.scheduler)), "done"

    def run(self, state: State, call: Call) -> State:
        """Make what was uploaded the run of its slot."""
        runs = put(state.runs, call.slot - 1, (call.scheduler, True))
        return state._replace(runs=runs, uploads=put(state.uploads, call.slot - 1, None))

    def settle(self, state: State, call: Call) -> tuple[State, str]:
        """Note that the run of a slot is there: a user has created it."""
        if not self.is_current(state, call):
            return state, "conflict"
        if not self.is_due(state, call):
            return state, "too_early"
        return (self.note(state, call.slot), "done") if state.runs[call.slot - 1] else (state, "not_found")

    def known(self, state: State, call: Call) -> tuple[int, bool] | None:
        """Return the run that has the id of this slot's."""
        return state.runs[call.slot - 1]

    def is_current(self, state: State, call: Call) -> bool:
        """Return whether no slot was dealt with since the scheduler looked."""
        return state.done == state.seen[call.scheduler]

    def is_due(self, state: State, call: Call) -> bool:
        return call.slot <= state.clock

    def is_busy(self, state: State) -> bool:
        return any(run is not None and run[1] and run[0] != USER for run in state.runs)

    def note(self, state: State, slot: int) -> State:
        """Note that a slot was dealt with."""
        return state._replace(done=slot, outcomes=put(state.outcomes, slot - 1, state.outcomes[slot - 1] + 1))


def put(items: tuple[T, ...], index: int, item: T) -> tuple[T, ...]:
    """Return the items with another one in one place."""
    return (*items[:index], item, *items[index + 1 :])


def broken(model: Slots, before: State, call: Call, after: State, answer: str) -> Iterator[str]:
    """Yield the guarantees that a step breaks."""
    if after.done < before.done:
        yield "slots are dealt with in order: an earlier one is the latest"
    for slot, count in enumerate(after.outcomes, 1):
        if count != (slot <= after.done):
            yield f"each slot is dealt with once: slot {slot} was {count} times, and {after.done} is the latest"
    for slot, (was, run) in enumerate(zip(before.runs, after.runs, strict=True), 1):
        if was is not None and (run is None or run[0] != was[0]):
            yield f"one run for each slot: that of slot {slot} was replaced"
        if run is not None and slot > after.clock:
            yield f"no run before its time: slot {slot} is not due"
    if model.skip and sum(run is not None and run[1] and run[0] != USER for run in after.runs) > 1:
        yield "runs do not overlap: two are open"
    if call.name == "create":
        again, repeated = model.apply(after, call)
        if again != after or (answer == "done" and repeated != "duplicate"):
            yield f"a repeated call changes nothing: {answer}, and then {repeated}"


class Found(NamedTuple):
    """What was visited: each state with the call that led there first and the state before, and the calls that are worth a replay."""

    reached: dict[State, tuple[State, Call] | None]
    calls: dict[tuple[object, ...], tuple[State, Call]]  # the first of each kind and answer

    def traces(self) -> Iterator[list[Call]]:
        """Yield the shortest trace to each of these calls."""
        for last, call in self.calls.values():
            calls, step = [call], self.reached[last]
            while step is not None:
                calls.append(step[1])
                step = self.reached[step[0]]
            yield calls[::-1]


def explore(model: Slots) -> tuple[Found, str | None]:
    """Visit every state; return them, and the first guarantee that is broken.

    From every state schedulers alone, with time and the ends of runs, must deal with all slots.
    """
    found, todo, back = Found({State(): None}, {}), deque([State()]), dict[State, set[State]]()
    while todo:
        state = todo.popleft()
        for call in model.calls(state):
            after, answer = model.apply(state, call)
            for problem in broken(model, state, call, after, answer):
                return found, f"{problem} ({call} after {state})"
            found.calls.setdefault((call.name, answer, call.slot, state.done, state.clock, model.is_busy(state)), (state, call))
            if call.name != "by hand":
                back.setdefault(after, set()).add(state)
            if after not in found.reached:
                found.reached[after] = state, call
                todo.append(after)
    met = {state for state in found.reached if state.done == SLOTS}
    todo.extend(met)
    while todo:
        for state in back.get(todo.popleft(), ()):
            if state not in met:
                met.add(state)
                todo.append(state)
    stuck = "no slot is lost: from some state not all of them are dealt with"
    return found, None if met == set(found.reached) else stuck


def walk(model: Slots, rng: random.Random, length: int) -> list[Call]:
    """Return a random trace."""
    state, calls = State(), []
    for _ in range(length):
        calls.append(rng.choice(list(model.calls(state))))
        state, _answer = model.apply(state, calls[-1])
    return calls
