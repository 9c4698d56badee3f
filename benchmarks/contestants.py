"""Who is compared, doing what, and which figure of `rows` each pair gives."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PEERS: Final = ROOT / ".benchmarks" / "venv"  # made by `make bench`; never the project's own environment


@dataclass(frozen=True, slots=True)
class Environment:
    """An interpreter with one of the libraries in it."""

    library: str
    bin: Path

    def python(self, *arguments: str) -> list[str]:
        """Return the command of a Python process in this environment."""
        return [str(self.bin / "python"), *arguments]

    def peer(self, *arguments: str) -> list[str]:
        """Return the command of `benchmarks.peer` with this library."""
        return self.python("-m", "benchmarks.peer", self.library, *arguments)


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way to get the same work done: a command that fills the queue, one that works it off."""

    fill: list[str]
    work: list[str]
    jobs: int


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `goal` is the ratio that the project aims at; None where none is set."""

    title: str
    peer: str
    own: str
    goal: float | None


RQ: Final = Environment("rq", PEERS / "bin")
FLOWQ: Final = Environment("flowq", Path(sys.executable).parent)

ROWS: Final = (
    Row("fork per job: worker, one slot", "rq worker", "flowq worker", 12),
    Row("fork per job: four slots, RQ one worker", "rq worker", "flowq worker -c 4", 16),
    Row("fork per job: four slots, RQ a pool of four", "rq pool of 4", "flowq worker -c 4", None),
    Row("fork per job: Worker.work() in a process", "rq Worker", "flowq Worker", 7),
    Row("no fork: SimpleWorker", "rq SimpleWorker", "flowq SimpleWorker", 12),
    Row("1 -> 300 -> 1, fork per job", "rq fan 300 forked", "flowq fan 300 forked", None),
    Row("1 -> 300 -> 1, no fork", "rq fan 300", "flowq fan 300", None),
    Row("1 -> 1200 -> 1, no fork", "rq fan 1200", "flowq fan 1200", 100),
    Row("1 -> 1200 -> 1, RQ without, flowq with a fork", "rq fan 1200", "flowq fan 1200 forked", None),
)


def contestants(jobs: int) -> Mapping[str, Contestant]:
    """Return all contestants by name; those without a graph work off `jobs` no-op jobs."""
    found: dict[str, Contestant] = {}
    for environment in (RQ, FLOWQ):
        name = environment.library
        fill = environment.peer("singles", str(jobs))
        found[f"{name} Worker"] = Contestant(fill, environment.peer("work"), jobs)
        found[f"{name} SimpleWorker"] = Contestant(fill, environment.peer("simple"), jobs)
        for width in (300, 1200):
            fan = environment.peer("fan", str(width))
            found[f"{name} fan {width}"] = Contestant(fan, environment.peer("simple"), width)
            found[f"{name} fan {width} forked"] = Contestant(fan, environment.peer("work"), width)
    rq, rq_fill = str(RQ.bin / "rq"), RQ.peer("singles", str(jobs))
    found["rq worker"] = Contestant(rq_fill, [rq, "worker", "--burst", "--quiet"], jobs)
    found["rq pool of 4"] = Contestant(rq_fill, [rq, "worker-pool", "--burst", "--quiet", "-n", "4"], jobs)
    own, own_fill = [str(FLOWQ.bin / "flowq"), "worker", "--burst", "--log-level", "warning"], FLOWQ.peer("singles", str(jobs))
    found["flowq worker"] = Contestant(own_fill, [*own, "-c", "1"], jobs)
    found["flowq worker -c 4"] = Contestant(own_fill, [*own, "-c", "4"], jobs)
    return found
