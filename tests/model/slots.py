"""A model of the slots of one schedule: schedulers that look, create runs for slots, and may die or lose replies between any two calls.

The number of the latest slot that was dealt with (`done`) moves in the step that creates the run, and the run's id is made of the slot.
"""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple, TypeVar

SLOTS = 3
SCHEDULERS = (0, 1)
USER = -1
T = TypeVar("T")


class State(NamedTuple):
    """The schedule. `seen` is what each scheduler saw of `done` when it looked last; `clock` the latest slot that is due.

    `runs` has (creator, open) of each slot's run, or None; `outcomes` how often each slot was dealt with.
    """

    done: int = 0
    clock: int = 0
    seen: tuple[int, ...] = (0,) * len(SCHEDULERS)
    runs: tuple[tuple[int, bool] | None, ...] = (None,) * SLOTS
    outcomes: tuple[int, ...] = (0,) * SLOTS


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
                yield Call("create", scheduler, slot)
                yield Call("settle", scheduler, slot)
        for slot, run in enumerate(state.runs, 1):
            if run is None and slot <= state.clock:
                yield Call("by hand", slot=slot)
            elif run is not None and run[1]:
                yield Call("end", slot=slot)

    def apply(self, state: State, call: Call) -> tuple[State, str]:
        """Carry one call out; return the state and the answer."""
        match call.name:
            case "tick":
                return state._replace(clock=state.clock + 1), "done"
            case "look":
                return state._replace(seen=put(state.seen, call.scheduler, state.done)), "done"
            case "by hand":
                return state._replace(runs=put(state.runs, call.slot - 1, (USER, True))), "done"
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
        if not self.is_current(state, call):
            return state, "conflict"
        if not self.is_due(state, call):
            return state, "too_early"
        if self.skip and self.is_busy(state):
            return self.note(state, call.slot), "skipped"
        return self.note(state._replace(runs=put(state.runs, call.slot - 1, (call.scheduler, True))), call.slot), "done"

    def settle(self, state: State, call: Call) -> tuple[State, str]:
        """Note that the run of a slot is there: a user has created it."""
        if not self.is_current(state, call):
            return state, "conflict"
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


def explore(model: Slots) -> tuple[int, str | None]:
    """Visit every state; return their number, and the first guarantee that is broken.

    From every state schedulers alone, with time and the ends of runs, must deal with all slots.
    """
    todo, reached, back = deque([State()]), {State()}, dict[State, set[State]]()
    while todo:
        state = todo.popleft()
        for call in model.calls(state):
            after, answer = model.apply(state, call)
            for problem in broken(model, state, call, after, answer):
                return len(reached), f"{problem} ({call} after {state})"
            if call.name != "by hand":
                back.setdefault(after, set()).add(state)
            if after not in reached:
                reached.add(after)
                todo.append(after)
    met = {state for state in reached if state.done == SLOTS}
    todo.extend(met)
    while todo:
        for state in back.get(todo.popleft(), ()):
            if state not in met:
                met.add(state)
                todo.append(state)
    return len(reached), None if met == reached else "no slot is lost: from some state not all of them are dealt with"
