"""The model and the Lua agree: traces of the model are replayed on the real scripts, and mistakes seeded in the Lua are found."""

import random
from collections.abc import Callable

import pytest

from flowq.store import Store
from tests.model.explore import Explored
from tests.model.replay import DiffersError, Edit, replay, replay_all, single_steps, traces, walk
from tests.model.shapes import SHAPES
from tests.support import invariants

WALKS = 60  # of each shape
LENGTH = 30


@pytest.mark.parametrize("name", SHAPES)
def test_the_store_follows_the_model(store: Store, explored: Callable[[str], Explored], name: str) -> None:
    found = explored(name)
    with single_steps():
        replay_all(store, found.model, traces(found))
        for seed in range(WALKS):
            replay(store, found.model, walk(found.model, random.Random(seed), LENGTH))
            invariants.check(store)


MUTANTS: list[tuple[str, str, Edit]] = [
    (
        "no fence",
        "chain",
        (
            "lib/execution_history",
            "  if job.token == token then\n    if job.status == 'started' then return nil end\n",
            "  if job.status == 'started' then return nil end\n  if job.token == token then\n",
        ),
    ),
    ("no ledger", "chain", ("lib/execution_history", "call('HGET', K.ledger(job.id), token)", "'lost'")),
    ("a repeated claim", "diamond", ("job/claim", "if again then return again end", "")),
    ("a lease that is not looked at", "chain", ("job/reap_expired_lease", "if lease > now then return 'wrong_state' end", "")),
    ("one retry more", "chain", ("lib/retry", "if attempt > max or", "if attempt > max + 1 or")),
    (
        "an attempt that is not counted",
        "chain",
        ("job/claim", "L.whole(job.attempt) + 1", "L.whole(job.attempt)"),
    ),
    (
        "an early release",
        "diamond",
        (
            "job/release_dependents",
            "  call('HINCRBY', K.job(child_id), 'pending', -1)\n  return true",
            "  if call('HINCRBY', K.job(child_id), 'pending', -1) == 1 then L.ready(L.load(child_id)) end\n  return true",
        ),
    ),
    ("a lost entry", "diamond", ("job/release_dependents", "return did, cursor + did\nend", "return did, nil\nend")),
    (
        "an edge decided twice",
        "any end",
        ("job/release_dependents", "return did, cursor + did\nend", "return did, cursor\nend"),
    ),
    (
        "attempts of the last epoch",
        "chain",
        ("lib/run_walks", "{ 'pending', field[2], 'attempt', 0 }", "{ 'pending', field[2] }"),
    ),
    ("a token of the last epoch", "a plain job", ("lib/regain", "tonumber(job.attempt) == 0 or ", "")),
    (
        "a returned claim that is charged",
        "chain",
        ("job/finish", "'attempt', tonumber(job.attempt) - 1)", "'attempt', job.attempt)"),
    ),
    ("a canceled job that is retried", "chain", ("job/reap_expired_lease", "if job.cancel == '1' then", "if false then")),
    (
        "dependents that are forgotten",
        "any end",
        ("lib/job_end", "if job.has_dependents then\n", "if job.has_dependents and status ~= 'canceled' then\n"),
    ),
    ("a limit that is not looked at", "a limit", ("lib/semaphores", "call('ZCARD', key) < sem.max or", "true or")),
    ("a place that is kept", "a limit", ("lib/semaphores", "call('ZREM', K.holders(sem.name), job.id)\n", "")),
    (
        "a free place that is given to none",
        "a limit",
        ("lib/semaphores", "if call('EXISTS', K.waiters(sem.name)) == 1 then L.push('admit', sem.name, 0) end", ""),
    ),
    (
        "a job that waits on after it was canceled",
        "a limit",
        ("lib/semaphores", "if job.parked and not WAITING[to] then", "if false then"),
    ),
]


@pytest.mark.parametrize(("shape", "edit"), [mutant[1:] for mutant in MUTANTS], ids=[name for name, _, _ in MUTANTS])
def test_a_mistake_in_the_lua_is_found(store: Store, explored: Callable[[str], Explored], shape: str, edit: Edit) -> None:
    found = explored(shape)
    with single_steps(edit), pytest.raises(DiffersError):
        replay_all(store, found.model, traces(found))
    store.client.flushall()
    store.open()
