"""Clients, workers, losses and repeated calls in any order, and mistakes in the scripts that such stories must find."""

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from flowq.store import Store
from flowq.store.client.scripts import load, transition_names
from tests.support.budgets import edited, small_steps
from tests.support.job_machine import machine

STORIES = settings(
    max_examples=30,
    stateful_step_count=40,
    derandomize=True,  # the same stories everywhere; `make sweeps` tells others
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
SOUGHT = settings(STORIES, max_examples=200, phases=[Phase.generate], report_multiple_bugs=False)


def test_stories_end_well(store: Store) -> None:
    run_state_machine_as_test(machine(store), settings=STORIES)


def test_stories_end_well_in_small_steps(store: Store) -> None:
    with small_steps(1):
        run_state_machine_as_test(machine(store), settings=STORIES)


@pytest.mark.chaos
@pytest.mark.parametrize("budget", [100, 2, 1])
def test_many_stories_end_well(store: Store, budget: int) -> None:
    with small_steps(budget):
        run_state_machine_as_test(
            machine(store),
            settings=settings(STORIES, max_examples=300, stateful_step_count=80, derandomize=False, print_blob=True),
        )


MISTAKES = {
    "the end of a lost execution counts": ("if job.token == token then\n    if", "if true then\n    if"),
    "one attempt too many": ("if attempt > max or", "if attempt > max + 1 or"),
    "one parent is enough": (
        "'pending', -1)\n  return true",
        "'pending', -1)\n  local one = L.load(child_id)\n  if one.pending == '1' then L.ready(one) end\n  return true",
    ),
    "every end is a success": (
        "if condition == 'success' then return success end",
        "if condition == 'success' then return true end",
    ),
    "a job that has ended keeps its lease": ("if status == 'started' then\n    call('ZREM'", "if false then\n    call('ZREM'"),
    "a repeated claim takes another job": ("if again then return again end", ""),
    "a repeated request creates the job again": ("if old.nonce == nonce then", "if false then"),
    "a repeated request queues the job again": ("if job.request == nonce then return { 'done' } end", ""),
    "dependents are not looked at": ("L.push('edges', job.id, 0, job.run, job.run and job)", "L.retire(job)"),
}
SOON = {
    "the end of a lost execution counts": 13,
    "one attempt too many": 4,
    "one parent is enough": 14,
    "every end is a success": 4,
    "a repeated request queues the job again": 28,
}
"""Seeds of stories among whose first the mistake is found; others would find it within 200 stories."""


@pytest.mark.slow
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_scripts_is_found(store: Store, mistake: str) -> None:
    right, wrong = MISTAKES[mistake]
    assert any(right in load(name).text for name in transition_names()), "the scripts have another text now"
    with edited(lambda _name, text: text.replace(right, wrong)), pytest.raises(AssertionError):
        run_state_machine_as_test(seed(SOON.get(mistake, 0))(machine(store)), settings=SOUGHT)
    store.client.flushall()
    store.open()
