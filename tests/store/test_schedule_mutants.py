"""Each guard of the scripts that decide about slots is needed: without it a story of two schedulers goes wrong."""

from collections.abc import Callable

import pytest

from flowq.flows.actions.submit import offer
from flowq.store import Store
from flowq.store.schedules import NONE, SlotClaim
from flowq.store.schema.outcomes import Outcome
from tests.support import graphs
from tests.support.stories import noticed

NAME = "flows/nightly:default"


def fire(store: Store, run: str, slot: int, after: int = NONE, overlap: str = "allow", due: int = 0) -> Outcome:
    claim = SlotClaim("slot", NAME, slot, after, due, overlap)
    return offer(store, graphs.plan({"a": []}), directory="/", run_id=run, slot=claim).outcome


def fill(store: Store, run: str, slot: int, after: int = NONE) -> Outcome:
    claim = SlotClaim("backfill", NAME, slot, after, backfill="fill")
    return offer(store, graphs.plan({"a": []}), directory="/", run_id=run, slot=claim).outcome


def state(store: Store, definition: str = "d") -> tuple[int, int, bool]:
    found = store.schedules.beat("s", [(NAME, definition, False)]).states[0]
    return found.slot, found.open, found.paused


def one_run_per_slot(store: Store) -> None:
    state(store)
    assert [fire(store, "first", 1000), fire(store, "second", 1000)] == [Outcome.DONE, Outcome.CONFLICT]
    assert state(store)[:2] == (1000, 1)


def no_slot_before_it_is_due(store: Store) -> None:
    state(store)
    assert fire(store, "early", 1000, due=store.now_ms() + 60_000) is Outcome.TOO_EARLY


def no_slot_of_a_paused_schedule(store: Store) -> None:
    state(store)
    store.schedules.pause(NAME, "ann")
    assert fire(store, "paused", 1000) is Outcome.SUSPENDED
    store.schedules.resume(NAME)
    assert state(store)[0] > 1000


def one_run_at_a_time(store: Store) -> None:
    state(store)
    fire(store, "first", 1000)
    assert fire(store, "second", 2000, 1000, "skip") is Outcome.SKIPPED
    assert state(store)[0] == 2000
    assert fire(store, "third", 3000, 2000, "queue") is Outcome.DONE
    assert str(store.runs.require("third").status) == "queued"
    assert fire(store, "fourth", 4000, 3000, "one_by_one") is Outcome.BUSY


def a_backfill_keeps_to_its_max(store: Store) -> None:
    store.backfills.create("fill", {"schedule": NAME, "max": 1})
    assert [fill(store, "first", 1000), fill(store, "again", 1000)] == [Outcome.DONE, Outcome.CONFLICT]
    assert fill(store, "second", 2000, 1000) is Outcome.BUSY
    store.backfills.change("fill", "paused")
    assert fill(store, "second", 2000, 1000) is Outcome.SUSPENDED


def a_new_definition_begins_when_it_is_seen(store: Store) -> None:
    before = store.now_ms()
    assert store.schedules.beat("s", [(NAME, "d", False)]).states[0].since >= before
    store.client.hset(store.session.keys("schedule", NAME), "since", 1)
    assert store.schedules.beat("s", [(NAME, "d", False)]).states[0].since == 1
    assert store.schedules.beat("s", [(NAME, "e", False)]).states[0].since >= before


STORIES: tuple[Callable[[Store], None], ...] = (
    one_run_per_slot,
    no_slot_before_it_is_due,
    no_slot_of_a_paused_schedule,
    one_run_at_a_time,
    a_backfill_keeps_to_its_max,
    a_new_definition_begins_when_it_is_seen,
)

CLAIMS = "lib/slot_claims"
MUTANTS = {
    "no look at `after`": (CLAIMS, "~= claim.after then return 'conflict' end\n  if found[2]", "== nil then return 'conflict' end\n  if found[2]"),
    "the slot is not noted": (CLAIMS, "if claim.kind == 'event' then L.note_event(claim) else L.note_slot(claim.id, claim.slot) end", ""),
    "a skipped slot is not noted": (CLAIMS, "  if refusal == 'skipped' then L.note_slot(claim.id, claim.slot) end\n", ""),
    "early slots fire": (CLAIMS, "if claim.due > now then", "if false then"),
    "a pause does not matter": (CLAIMS, "if found[2] then return 'suspended' end\n  if claim.due", "if claim.due"),
    "the place is not taken": (CLAIMS, "call('ZADD', K.holders(place), now, run)", ""),
    "late slots do not wait": (CLAIMS, "if claim.overlap == 'one_by_one' then return 'busy' end", ""),
    "a resume makes up what was missed": (CLAIMS, "if upto then L.note_slot(id, upto) end", ""),
    "a backfill forgets its cursor": (CLAIMS, "call('HSET', K.backfill(id), 'cursor', claim.slot)", ""),
    "one run more than `max`": (CLAIMS, ">= tonumber(found[3]) then return 'busy'", "> tonumber(found[3]) then return 'busy'"),
    "a paused backfill goes on": (CLAIMS, "if found[1] ~= 'running' then return 'suspended' end", ""),
    "a definition has no beginning": ("schedule/beat", "    since = now\n", ""),
    "each beat begins again": ("schedule/beat", "if found[3] ~= definition then", "if true then"),
}  # fmt: skip


@pytest.mark.parametrize("story", STORIES)
def test_a_story_of_two_schedulers(store: Store, story: Callable[[Store], None]) -> None:
    story(store)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_noticed(store: Store, mutate: Callable[[str, str, str], None], name: str) -> None:
    mutate(*MUTANTS[name])
    assert noticed(store, STORIES, store), "no story goes wrong"
