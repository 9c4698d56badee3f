"""Each slot of a schedule is dealt with once, whatever its schedulers do; each rule of the model is needed, and the Lua follows it."""

import random

import pytest

from flowq.store import Store
from tests.model.replay import DiffersError, Edit, edited
from tests.model.slots import Call, Slots, State, explore, walk
from tests.model.slots_replay import replay_all, replay_slots
from tests.support import invariants

WALKS = 40
LENGTH = 25


@pytest.mark.parametrize("skip", [True, False], ids=["skip", "allow"])
def test_each_slot_is_dealt_with_once(skip: bool) -> None:
    found, problem = explore(Slots(skip=skip))
    assert problem is None
    assert len(found.reached) > 3000


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


# -- the Lua ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("skip", [True, False], ids=["skip", "allow"])
def test_the_store_follows_the_model(store: Store, skip: bool) -> None:
    model = Slots(skip=skip)
    found, _ = explore(model)
    replay_all(store, model, found.traces())
    for seed in range(WALKS):
        replay_slots(store, model, walk(model, random.Random(seed), LENGTH))
        invariants.check(store)


CLAIMS = "lib/slot_claims"
LUA_MUTANTS: dict[str, Edit] = {
    "a slot that another scheduler has dealt with": (
        CLAIMS,
        "if tonumber(found[1] or -1) ~= claim.after then return 'conflict' end\n  if found[2] then return 'suspended' end\n  if claim.due",
        "if found[2] then return 'suspended' end\n  if claim.due",
    ),
    "a slot after the latest": (
        CLAIMS,
        "if tonumber(found[1] or -1) ~= claim.after then return 'conflict' end\n  if found[2] then return 'suspended' end\n  if claim.due",
        "if tonumber(found[1] or -1) < claim.after then return 'conflict' end\n  if found[2] then return 'suspended' end\n  if claim.due",
    ),
    "a slot before its time": (CLAIMS, "if claim.due > now then return 'too_early' end", ""),
    "an open run that is not looked at": (CLAIMS, "if claim.overlap == 'allow' or (waiting == 0", "if true or (waiting == 0"),
    "a skipped slot that is not noted": (CLAIMS, "if refusal == 'skipped' then L.note_slot(claim.id, claim.slot) end", ""),
    "a slot that is not noted": (CLAIMS, "else L.note_slot(claim.id, claim.slot) end", "end"),
    "a run by hand that is noted as the slot's": (
        CLAIMS,
        "if claim.kind == 'hand' then\n",
        "if claim.kind == 'hand' then\n    L.note_slot(claim.id, claim.slot)\n",
    ),
    "a run that is not in the log": (CLAIMS, "    L.log_slot(claim.id, claim.slot, 'run', '', run)\n", ""),
    "a place that is not taken": (CLAIMS, "call('ZADD', K.holders(place), now, run)", ""),
    "a place that is kept": ("lib/run_lifecycle", "if f.place then L.leave_schedule(run, f.place) end", ""),
    "a slot that is settled twice": (
        "schedule/settle_slot",
        "if tonumber(found[1] or -1) ~= after then return { 'conflict', '' } end",
        "",
    ),
    "a slot that is settled without a run": ("schedule/settle_slot", "then return { 'not_found', '' } end", "then end"),
    "an upload of another scheduler": (
        "run/upload_jobs",
        "if found[1] and (found[1] ~= 'staging' or found[2] ~= nonce) then",
        "if found[1] and found[1] ~= 'staging' then",
    ),
    "a run that is created again": (
        "run/publish",
        "if found[1] and found[1] ~= 'staging' then",
        "if false then",
    ),
}


@pytest.mark.parametrize("edit", LUA_MUTANTS.values(), ids=LUA_MUTANTS)
def test_a_mistake_in_the_lua_is_found(store: Store, edit: Edit) -> None:
    model = Slots(skip=True)
    found, _ = explore(model)
    with edited(edit), pytest.raises(DiffersError):
        replay_all(store, model, found.traces())
    store.client.flushall()
    store.open()
