"""Each slot of a schedule is dealt with once, whatever its schedulers do; each rule of the model is needed."""

import pytest

from tests.model.slots import Call, Slots, State, explore


@pytest.mark.parametrize("skip", [True, False], ids=["skip", "allow"])
def test_each_slot_is_dealt_with_once(skip: bool) -> None:
    states, problem = explore(Slots(skip=skip))
    assert problem is None
    assert states > 300


class NoGuard(Slots):
    """What the scheduler saw is not compared."""

    def is_current(self, _state: State, _call: Call) -> bool:
        return True


class AtLeast(Slots):
    """A scheduler that saw an earlier slot may create its run."""

    def is_current(self, state: State, call: Call) -> bool:
        return state.done >= state.seen[call.scheduler]


class OtherIds(Slots):
    """The id of a run is not made of its slot."""

    def known(self, _state: State, _call: Call) -> None:
        return None


class NoClock(Slots):
    """The time of a slot is not looked at."""

    def is_due(self, _state: State, _call: Call) -> bool:
        return True


class Overlapping(Slots):
    """The open run of an earlier slot is not looked at."""

    def is_busy(self, _state: State) -> bool:
        return False


class Unsettled(Slots):
    """The run of a user is not noted as that of its slot."""

    def settle(self, state: State, _call: Call) -> tuple[State, str]:
        return state, "not_found"


MUTANTS = [
    (NoGuard, "each slot is dealt with once"),
    (AtLeast, "each slot is dealt with once"),
    (OtherIds, "a repeated call changes nothing"),
    (NoClock, "no run before its time"),
    (Overlapping, "runs do not overlap"),
    (Unsettled, "no slot is lost"),
]


@pytest.mark.parametrize(("mutant", "check"), MUTANTS, ids=[mutant.__name__ for mutant, _ in MUTANTS])
def test_a_mutant_is_caught(mutant: type[Slots], check: str) -> None:
    _, problem = explore(mutant(skip=True))
    assert problem is not None
    assert problem.startswith(check)
