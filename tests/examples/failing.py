"""Real workflow graphs whose jobs fail: a seeded choice of the end of each job, in two attempts of the run."""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.graph2flow import convert, read

ENDS: Final = ("fine", "fails", "allowed", "flaky")
CONDITIONS: Final = ("success", "ok", "done", "failure", "skipped")

MODULE: Final = '''
def work(ends, run, job):
    """Do what was chosen for this attempt of the run; a flaky job succeeds when it is tried again."""
    end = ends[min(run, len(ends)) - 1]
    if end in ("fails", "allowed") or (end == "flaky" and job == 1):
        raise RuntimeError(end)
'''
"""The stand-in for what the jobs of the graph did: `stand_in.py`, beside the flow."""


@dataclass(frozen=True)
class Chosen:
    """The ends of the jobs by name, one for each attempt of the run."""

    ends: Mapping[str, tuple[str, str]]

    def outcomes(self, attempt: int, only: set[str] | None = None) -> dict[str, str]:
        """Return the ends of an attempt (1 or 2) in the words of the reference; `only`: of these jobs."""
        words = {"fine": "finished", "flaky": "finished", "fails": "failed", "allowed": "failed!"}
        return {name: words[pair[attempt - 1]] for name, pair in self.ends.items() if only is None or name in only}


def flow_of(graph: Path, seed: int) -> tuple[str, Chosen]:
    """Return the text of a flow with the graph's jobs and edges, some of its conditions and ends drawn at random."""
    dice = random.Random(f"{graph.name} {seed}")
    flow: dict[str, Any] = yaml.safe_load(convert(read(graph)))
    ends = {}
    bad = dice.choice([0.05, 0.15, 0.4])
    for name, job in flow["jobs"].items():
        first = dice.choices(ENDS, [1 - bad, bad * 0.5, bad * 0.3, bad * 0.2])[0]
        # An allowed failure is a property of the job, so it holds in both attempts.
        second = dice.choice(["fine", "allowed"] if first == "allowed" else ["fine", "fine", "fails", "flaky"])
        ends[name] = (first, second)
        job["call"] = "stand_in:work"
        job["args"] = [list(ends[name]), "${{ run.attempt }}", "${{ job.attempt }}"]
        if "flaky" in ends[name]:
            job["retry"] = 1
        if first == "allowed":
            job["allow_failure"] = True
        if job.get("depends_on"):
            job["depends_on"] = {
                parent: dice.choices(CONDITIONS, [75, 8, 10, 4, 3])[0] for parent in dict.fromkeys(job["depends_on"])
            }
    return json.dumps(flow), Chosen(ends)


def write(graph: Path, seed: int, directory: Path) -> tuple[Path, Chosen]:
    """Write such a flow and its modules; return its path."""
    text, chosen = flow_of(graph, seed)
    (directory / "stand_in.py").write_text(MODULE)
    flow = directory / "graph.yaml"
    flow.write_text(text, encoding="utf-8")
    return flow, chosen
