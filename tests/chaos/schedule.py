"""The faults of a round: when, which, at whom and for how long. Pure: a seed gives the same schedule everywhere."""

import random
from dataclasses import dataclass
from typing import Final

NETWORK: Final = {"drop request": 6.0, "drop reply": 6.0, "cut reply": 3.0, "delay": 6.0, "half close": 1.5, "cut": 1.0}
"""Faults of the network, each with its weight. All but `cut` hit the next transition that is sent, `cut` all connections."""

PROCESSES: Final = {
    "kill worker": 3.0,
    "end worker": 1.0,
    "stop worker": 3.5,
    "kill horse": 4.0,
    "stop horse": 2.0,
    "kill fork server": 2.0,
    "stop fork server": 1.5,
    "kill server": 0.7,
    "stop server": 0.7,
    "flush scripts": 1.5,
    "kill submitter": 2.0,
    "cancel run": 1.5,
    "retry run": 2.5,
}
"""Faults of processes and what users do meanwhile, each with its weight."""

SERVICES: Final = {
    "kill serve": 2.0,
    "stop serve": 0.6,
    "end serve": 0.4,
    "kill scheduler": 1.0,
    "stop scheduler": 1.0,
    "kill served worker": 0.8,
    "stop served worker": 0.8,
    "kill page": 0.4,
    "stop page": 0.4,
}
"""Faults of `flowq serve` and of its children, each with its weight."""

OF_KINDS: Final = {"sentinel": {"fail over": 1.0}}
"""Further faults of processes on some kinds of servers."""

NETWORK_PAUSE: Final = 0.16  # s between two faults of the network, on average
PROCESS_PAUSE: Final = 0.6  # s between two others
_DELAY: Final = (0.01, 0.6)  # s
_PAUSE: Final = (0.1, 1.5)  # s that a horse or fork server is stopped
_OUTAGE: Final = (0.05, 1.5)  # leases that the server is down or stopped
_FREEZE: Final = (0.9, 2.5)  # leases that a worker, or a process of serve, is stopped


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault `at` s after the start of the round. `pick` in [0, 1) chooses the victim, `length` is in s."""

    at: float
    kind: str
    pick: float
    length: float


def schedule(seed: int, seconds: float, lease: float, server: str = "embedded") -> list[Fault]:
    """Return the faults of a round in order of their times.

    Args:
        seed: of the round.
        seconds: how long there are faults.
        lease: of the workers, in s: the measure for outages and frozen workers.
        server: the kind of the server.
    """
    dice = random.Random(f"faults {seed}")
    faults = [
        Fault(at, kind, dice.random(), _length(dice, kind, lease))
        for kinds, pause in ((NETWORK, NETWORK_PAUSE), (PROCESSES | SERVICES | OF_KINDS.get(server, {}), PROCESS_PAUSE))
        for at, kind in _times(dice, kinds, pause, seconds)
    ]
    return sorted(faults, key=lambda fault: fault.at)


def _times(dice: random.Random, kinds: dict[str, float], pause: float, seconds: float) -> list[tuple[float, str]]:
    at, found = 1.0, []  # the workers need a second to start
    while (at := at + dice.expovariate(1 / pause)) < seconds:
        found.append((at, dice.choices(list(kinds), list(kinds.values()))[0]))
    return found


def _length(dice: random.Random, kind: str, lease: float) -> float:
    match kind:
        case "delay":
            return dice.uniform(*_DELAY)
        case "kill server" | "stop server":
            return dice.uniform(*_OUTAGE) * lease
        case "stop worker" | "stop serve" | "stop scheduler" | "stop served worker" | "stop page":
            return dice.uniform(*_FREEZE) * lease
        case "stop horse" | "stop fork server":
            return dice.uniform(*_PAUSE)
        case _:
            return 0.0
