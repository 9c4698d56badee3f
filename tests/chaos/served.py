"""The directory that the `flowq serve`s of a round serve: flows that are due, that follow others, that a delivery starts. Pure.

Each of them is executed by the workers of serve, and has a policy of its own for slots that come too often or were missed.
"""

from dataclasses import dataclass
from typing import Any, Final

from tests.chaos.workload import work

DIRECTORY: Final = "flows"
QUEUE: Final = "served"
SECRET: Final = "CHAOS_HOOK"
HOUR: Final = 3_600_000  # ms

PAST: Final = f"{DIRECTORY}/past:default"
"""The schedule of the backfill."""

FOLLOWER: Final = f"{DIRECTORY}/follow:ended"
"""The trigger that starts a run for each run of `FOLLOWED` that has finished."""

FOLLOWED: Final = f"{DIRECTORY}/tick:"

HOOK: Final = f"{DIRECTORY}/hook:came"
"""The trigger that a signed delivery sets off."""


@dataclass(frozen=True, slots=True)
class Ticking:
    """A schedule whose slots fall into the round.

    Attributes:
        every: ms from one slot to the next.
        outcomes: what may become of a slot, with the reason why it is skipped; one that was left out only because a later one was due.
    """

    every: int
    outcomes: frozenset[str]


TICKING: Final = {
    f"{DIRECTORY}/tick:default": Ticking(1000, frozenset({"run"})),
    f"{DIRECTORY}/slow:default": Ticking(2000, frozenset({"run", "skipped/running", "left_out"})),
    f"{DIRECTORY}/late:default": Ticking(2000, frozenset({"run", "skipped/too_many_waiting", "left_out"})),
    PAST: Ticking(HOUR, frozenset({"run"})),
}


def flows() -> dict[str, dict[str, Any]]:
    """Return the documents of the flows by their names."""
    every_slot, shared = {"catch_up": {"mode": "all", "max": 1000}, "overlap": "allow"}, {"isolation": "batch"}
    return {
        "tick": _flow(0.02, {"schedule": {"every": "1s", **every_slot}}, **shared),
        "slow": _flow(2.5, {"schedule": {"every": "2s", "catch_up": "latest", "overlap": "skip"}}),
        "late": _flow(0.1, {"schedule": {"every": "2s", "catch_up": "latest", "overlap": "queue"}}),
        "past": _flow(0.1, {"schedule": {"every": "1h", **every_slot}}, **shared),
        "follow": _flow(0.02, _started_by("ended", {"flow": "tick"}, end="${{ event.run }} ${{ event.attempt }}")),
        "hook": _flow(0.02, _started_by("came", {"webhook": {"secret": {"env": SECRET}}}, delivery="${{ event.id }}")),
    }


def _flow(seconds: float, more: dict[str, Any], **defaults: Any) -> dict[str, Any]:
    return {"defaults": {"queue": QUEUE, **defaults}, "jobs": {"job": work(seconds)}, **more}


def _started_by(name: str, trigger: dict[str, Any], **params: str) -> dict[str, Any]:
    """Return the keys of a flow that keeps of an event what tells it from others."""
    trigger = {**trigger, "params": params, "overlap": "allow"}
    return {"params": {param: {"default": ""} for param in params}, "triggers": {name: trigger}}
