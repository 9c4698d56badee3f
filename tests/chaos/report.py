"""The table of figures after some rounds."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from tests.chaos.checks import CHECKS
from tests.chaos.recovery import quantile
from tests.chaos.rounds import Findings

ZEROS: Final = (*CHECKS, "stuck", "orphan keys", "processes")
"""The figures that must be zero: problems by check."""

SLACK: Final = 2.0  # s after a lease in which 99 of 100 jobs of lost workers are to be started again
_SHOWN: Final = 10  # problems of a check


def figures(rounds: Sequence[Findings]) -> dict[str, Any]:
    """Return the figures of some rounds, for JSON. Times are in s."""
    faults = sum((item.faults for item in rounds), Counter[str]())
    return {
        "rounds": len(rounds),
        "seconds": round(sum(item.seconds for item in rounds)),
        "faults": faults.total(),
        "faults by kind": dict(faults.most_common()),
        "runs": sum(item.runs for item in rounds),
        "jobs": sum(item.jobs for item in rounds),
        "ends": dict(sum((item.ends for item in rounds), Counter[str]()).most_common()),
        "executions": sum(item.executions for item in rounds),
        "executions in shared processes": sum(item.shared for item in rounds),
        "jobs on a node": sum(item.afar for item in rounds),
        "executions by serve": sum(item.served for item in rounds),
        "slots with a run": sum(item.slots for item in rounds),
        "slots without one": sum(item.runless for item in rounds),
        "events with a run": sum(item.events for item in rounds),
        "executed to the end more than once": sum(item.repeated for item in rounds),
        **{name: sum(len(item.problems[name]) for item in rounds) for name in ZEROS},
        "recovery after a lost worker": _times([value for item in rounds for value in item.after_worker]),
        "recovery after a killed horse": _times([value for item in rounds for value in item.after_horse]),
    }


def late(rounds: Sequence[Findings], lease: float) -> bool:
    """Return whether more than one of 100 jobs of lost workers was started again later than a lease and the slack."""
    return quantile([value for item in rounds for value in item.after_worker], 0.99) > lease + SLACK


def table(rounds: Sequence[Findings]) -> str:
    """Return the figures as lines of text."""
    return "\n".join(f"{name:36}{_text(value)}" for name, value in figures(rounds).items())


def problems(findings: Findings) -> str:
    """Return the problems of a round as lines of text."""
    return "\n".join(
        f"  {name}: {problem}" for name, found in findings.problems.items() for problem in (found[:_SHOWN] if found else ())
    )


def document(rounds: Sequence[Findings]) -> dict[str, Any]:
    """Return figures and rounds, for JSON."""
    return {"figures": figures(rounds), "rounds": [vars(item) for item in rounds]}


def _times(values: Sequence[float]) -> dict[str, float]:
    return {
        "count": len(values),
        **{f"p{round(share * 100)}": round(quantile(values, share), 2) for share in (0.5, 0.99)},
        "max": round(max(values, default=0.0), 2),
    }


def _text(value: Any) -> str:
    return ", ".join(f"{name} {count}" for name, count in value.items()) if isinstance(value, dict) else f"{value}"
