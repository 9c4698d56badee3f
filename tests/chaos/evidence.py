"""What is read after a round: records, event streams, the execution log of the jobs, the journals of the submitters."""

import json
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from flowq.ids import member_id
from flowq.plan import Plan
from flowq.store import Store
from flowq.store.schedules import RunEnd, SlotEntry
from tests.chaos.cast import NAMESPACE, Strike
from tests.chaos.deliveries import JOURNAL as DELIVERIES
from tests.chaos.network import JOURNAL
from tests.chaos.served import TICKING
from tests.support import invariants
from tests.support.graphs import plan_of_run
from tests.support.invariants import Picture


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the execution log. `what` is begin or end, `time` is monotonic, in s; `started` tells processes of one pid apart, "-" is a command."""

    what: str
    job: str
    execution: int
    pid: int
    time: float
    started: str = "-"

    @property
    def key(self) -> tuple[str, int]:
        """The execution."""
        return self.job, self.execution


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a job's status, of the stream of its run. `at` is the server's clock in ms, `job` is empty for the run itself."""

    at: int
    stream: str
    job: str
    old: str
    new: str
    reason: str
    execution: int


@dataclass
class Evidence:
    """All that is known after a round. `parents` are of plain jobs, `accepted` the ids that the server has accepted."""

    picture: Picture
    changes: list[Change]
    log: list[Line]
    strikes: list[Strike]
    idle: list[tuple[float, float]] = field(default_factory=list)  # from when to when no worker was fit to take a job, in s
    accepted_runs: set[str] = field(default_factory=set)
    accepted_jobs: set[str] = field(default_factory=set)
    parents: dict[str, list[str]] = field(default_factory=dict)
    plans: dict[str, Plan] = field(default_factory=dict)
    values: dict[str, bytes] = field(default_factory=dict)  # of finished jobs
    lost: dict[tuple[str, int], int] = field(default_factory=dict)  # executions that were lost -> the pid of their worker
    schedules: dict[str, list[SlotEntry]] = field(default_factory=dict)  # the log of each, newest first
    run_ends: list[RunEnd] = field(default_factory=list)
    deliveries: set[str] = field(default_factory=set)  # those that the page has accepted
    epoch: float = 0.0  # the clock minus the monotonic time, in s

    @property
    def begun_runs(self) -> set[str]:
        """The runs that are there: of one that was never published, or that is being deleted, a part may be left."""
        return {run for run, row in self.picture.runs.items() if row.get("status") not in {"staging", "collecting"}}

    @cached_property
    def ended_well(self) -> set[tuple[str, int]]:
        """The executions whose code came to its end."""
        return {line.key for line in self.log if line.what == "end"}

    @cached_property
    def shared(self) -> list[list[Line]]:
        """For each process that had several executions, one after the other: their first lines."""
        begun: dict[tuple[int, str], list[Line]] = defaultdict(list)
        for line in self.log:
            if line.what == "begin" and line.started != "-":
                begun[line.pid, line.started].append(line)
        return [lines for lines in begun.values() if len(lines) > 1]

    @cached_property
    def created(self) -> dict[str, float]:
        """When each job was created, on the clock in s: a cell of a foreach has no event for that, its first one comes in the same step."""
        return {change.job: change.at / 1000 for change in reversed(self.changes)}

    @cached_property
    def edges(self) -> dict[str, list[tuple[str, str]]]:
        """For each job its parents and conditions, with all members of a group in the place of the group."""
        found = {job: [(parent, "ran") for parent in parents] for job, parents in self.parents.items()}
        for run, plan in self.plans.items():
            for cell in plan.cells:
                if not cell.group:
                    found[member_id(run, cell.ordinal)] = [
                        (member_id(run, member), edge.condition)
                        for edge in cell.parents
                        for member in _members(plan, edge.parent)
                    ]
        return found

    @property
    def jobs(self) -> dict[str, dict[str, str]]:
        """The records of all jobs."""
        return {job: row for job, row in self.picture.jobs.items() if row.get("kind") != "group"}


def _members(plan: Plan, ordinal: int) -> Iterator[int]:
    cell = plan.cells[ordinal]
    if not cell.group:
        yield ordinal
        return
    for edge in cell.parents:
        yield from _members(plan, edge.parent)


def read(store: Store, place: Path, strikes: list[Strike], idle: list[tuple[float, float]]) -> Evidence:
    """Read the evidence of a round that has come to rest."""
    picture = invariants.read(store.client, NAMESPACE)
    evidence = Evidence(picture, list(_changes(store)), list(_log(place / "log")), [*strikes, *_network(place)], idle)
    evidence.epoch = time.time() - time.monotonic()
    for path in place.glob("journal*"):
        for row in map(json.loads, path.read_text().splitlines()):
            if "tried" in row:
                evidence.parents[row["id"]] = row["parents"]
            else:
                (evidence.accepted_runs if row["flow"] else evidence.accepted_jobs).add(row["id"])
    evidence.plans = {run: plan_of_run(store, run) for run in evidence.begun_runs}
    evidence.schedules = {name: store.schedules.log(name) for name in TICKING}
    evidence.run_ends = store.schedules.ended_after("0-0", 10_000)
    if (place / DELIVERIES).exists():
        evidence.deliveries = set((place / DELIVERIES).read_text().split())
    evidence.lost = dict(_lost(store, evidence.jobs))
    finished = [job for job, row in evidence.jobs.items() if row["status"] == "finished"]
    if finished:
        client: Any = store.client
        values = client.mget([store.session.keys("result", job) for job in finished])
        evidence.values = {job: value for job, value in zip(finished, values, strict=True) if value is not None}
    return evidence


def _changes(store: Store) -> Iterator[Change]:
    client: Any = store.client
    prefix = store.session.keys("events", "")
    for key in client.scan_iter(match=prefix.replace("{", "\\{").replace("}", "\\}") + "*", count=1000):
        stream = key.decode().removeprefix(prefix)
        for number, row in client.xrange(key):
            job, old, new, reason = (row[name].decode() for name in (b"j", b"f", b"t", b"r"))
            yield Change(int(number.partition(b"-")[0]), stream, job, old, new, reason, int(row[b"x"]))


def _lost(store: Store, jobs: Iterable[str]) -> Iterator[tuple[tuple[str, int], int]]:
    """Yield the lost executions among those whose results are kept, each with the pid in the name of its worker."""
    client: Any = store.client
    for job in jobs:
        for text in client.lrange(store.session.keys("results", job), 0, -1):
            outcome, execution, _, _, _, worker = text.partition(b"\n")[0].decode().split(" ")
            if outcome == "lost" and worker:  # a job that was reset with its run has no worker any more
                yield (job, int(execution)), int(worker.split(".")[-2])


def _log(path: Path) -> Iterator[Line]:
    for text in path.read_text().splitlines() if path.exists() else ():
        what, job, execution, pid, now, started = text.split(" ")
        yield Line(what, job, int(execution), int(pid), float(now), started)


def _network(place: Path) -> list[Strike]:
    path = place / JOURNAL
    rows = map(json.loads, path.read_text().splitlines()) if path.exists() else ()
    return [Strike(row["kind"], row["at"], row["at"]) for row in rows]
