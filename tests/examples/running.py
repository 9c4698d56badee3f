"""Runs of flows through the command line, and checks of the stored events."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flowq.ids import split_member_id
from flowq.plan import Plan
from flowq.states import ENDED
from tests.cli import process

if TYPE_CHECKING:
    from flowq.store import Store

ROOT: Final = Path(__file__).resolve().parents[2]
FLOWS: Final = ROOT / "examples" / "flows"


@dataclass(frozen=True, slots=True)
class Ended:
    """An ended command."""

    code: int
    out: str
    err: str

    def documents(self) -> list[Any]:
        """Return the JSON documents of standard output, in order."""
        return list(_documents(self.out))

    def run(self) -> dict[str, Any]:
        """Return the last document of `flowq run --json`: the run at its end."""
        documents = self.documents()
        assert documents, f"no JSON on standard output; exit code {self.code}; standard error:\n{self.err}"
        last: dict[str, Any] = documents[-1]
        return last


def flowq(*arguments: str, cwd: Path = ROOT, timeout: float = 100) -> Ended:
    """Run a flowq command in the environment of the test, with its `FLOWQ_HOME`."""
    done = process.flowq(*arguments, cwd=cwd, env={**os.environ, "COLUMNS": "100"}, timeout=timeout)
    return Ended(done.returncode, done.stdout, done.stderr)


def run_flow(flow: Path, *arguments: str, cwd: Path = ROOT, timeout: float = 100) -> dict[str, Any]:
    """Run a flow to its end, assert that it succeeds, and return its JSON."""
    ended = flowq("run", str(flow), "--json", *arguments, cwd=cwd, timeout=timeout)
    assert ended.code == 0, _story(ended)
    return ended.run()


def _story(ended: Ended) -> str:
    """Return the failed jobs of a run with their output."""
    if not ended.out.strip():
        return f"exit code {ended.code}: {ended.err}"
    run = ended.run()
    failed = [f"{job['name']}: {job['reason']}: {job['error']}" for job in run.get("jobs", ()) if job["status"] == "failed"]
    logs = flowq("logs", run["id"], "--failed").out if failed else ""
    return "\n".join([f"exit code {ended.code}", *failed, logs[-3000:], ended.err[-1000:]])


def jobs_by_name(run: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the jobs of a run's JSON by their full names."""
    return {job["name"]: job for job in run["jobs"]}


def check_order(store: "Store", run_id: str, *, once: bool = True) -> int:
    """Assert from the run's events that every job started after all its parents had ended, and ended once.

    The order is that of the stream, which each transition writes; no clock is involved.

    Args:
        store: the store of the run.
        run_id: its full id.
        once: also assert that no job started twice (if no worker was lost and nothing was retried).

    Returns:
        The number of jobs.
    """
    started: dict[int, int] = {}
    ended: dict[int, int] = {}
    for position, (ordinal, status) in enumerate(_changes(store, run_id)):
        if status == "started":
            assert ordinal not in started or not once, f"job {ordinal} was started twice"
            started.setdefault(ordinal, position)
        elif status in ENDED:
            assert ordinal not in ended, f"job {ordinal} ended twice"
            ended[ordinal] = position
    plan = Plan.from_json(store.runs.plan(run_id))
    for cell in plan.jobs():
        for edge in cell.parents:
            assert ended[edge.parent] < started[cell.ordinal], (
                f"{cell.name} started before {plan.cells[edge.parent].name} ended"
            )
    assert set(started) == {cell.ordinal for cell in plan.jobs()}
    return len(started)


def _changes(store: "Store", run_id: str) -> Iterator[tuple[int, str]]:
    after = "0"
    while events := store.runs.events(run_id, after=after):
        for event in events:
            if event.job is not None:
                yield split_member_id(event.job)[1], event.new
        after = events[-1].seq


def _documents(text: str) -> Iterator[Any]:
    decoder = json.JSONDecoder()
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        document, position = decoder.raw_decode(text, position)
        yield document
