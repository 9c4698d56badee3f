"""Every state of the model holds the guarantees, and its moves are those of the table of transitions."""

from collections.abc import Callable

import pytest

from flowq.states import TRANSITIONS
from tests.model.explore import Explored
from tests.model.shapes import SHAPES

ALONE = {
    "job/approve",
    "job/claim_by_id",
    "job/create_draft",
    "job/expand_foreach",
    "job/expire_queued",
    "job/resolve_conditions",
} | {
    "job/time_out_approval",
    "run/upload_jobs",  # the model starts with a run that is submitted
}
"""Transitions that the model leaves out."""
STATUSES = {"created", "rate_limited", "stopped"}
"""Statuses that the model leaves out: drafts, rate limits, stop commands."""
LEFT_OUT = {
    # a ttl, a canceled run, a run that stops, a place below a limit that was given up
    "job/claim": {("queued", to) for to in ("failed", "canceled", "skipped", "deferred")},
    # edges and times of plain jobs
    "job/create": {("-", to) for to in ("deferred", "scheduled", "skipped")},
    "job/delete": {(status, "-") for status in ("deferred", "scheduled", "skipped")},
    "job/requeue": {("skipped", "queued")},
    # limits of which one is given up
    "job/finish": {("started", "deferred")},
    "job/reap_expired_lease": {("started", "deferred")},
    # limits of which one is given up, a run out of time
    "job/return_claim": {("started", "deferred"), ("started", "failed")},
    # foreach, join points, delays, runs that must stop, revival of plain jobs
    "job/release_dependents": {
        *(("deferred", to) for to in ("canceled", "failed", "finished", "scheduled")),
        *((waiting, to) for waiting in ("queued", "scheduled") for to in ("canceled", "failed", "skipped")),
        ("-", "deferred"),
        ("skipped", "deferred"),
    },
}
"""Rows of the table that need more than the model has, by transition."""


@pytest.mark.parametrize("name", SHAPES)
def test_the_guarantees_hold_in_every_state(explored: Callable[[str], Explored], name: str) -> None:
    assert len(explored(name).reached) > 1000


def test_the_moves_are_the_rows_of_the_table(explored: Callable[[str], Explored]) -> None:
    made: dict[str, set[tuple[str, str]]] = {}
    for name in SHAPES:
        for move in explored(name).moves:
            made.setdefault(move.by, set()).add((move.before, move.after))
    wanted = {
        name: {row for row in rows if not STATUSES & set(row)} - LEFT_OUT.get(name, set())
        for name, rows in TRANSITIONS.items()
        if name not in ALONE
    }
    assert made == wanted


def test_what_is_left_out_is_in_the_table() -> None:
    assert set(TRANSITIONS) >= ALONE
    for name, rows in LEFT_OUT.items():
        assert TRANSITIONS[name] >= rows
