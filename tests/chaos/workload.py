"""The flows and plain jobs of a round. Pure: a seed gives the same workload everywhere.

A flow is some blocks of hard shapes, some of which depend on an earlier block. Jobs that are to succeed have so many attempts that the
faults of a round do not use them up; those that fail by design are only retried when their worker was lost.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Final, TypeAlias

from tests.chaos.jobs import SCRIPT

ENOUGH: Final = 30  # retries
GROUPS: Final = {"red": 1, "blue": 2}  # how many jobs may run at once
RATES: Final = {"one": (1, None, None), "brisk": (None, 3, 0.8)}
"""Rate limits of plain jobs: how many at once, how many in how many s."""

RUN_GROUP: Final = "one at a time"
QUEUES: Final = ("default", "other")
AFAR_QUEUE: Final = "afar"  # of jobs that are executed on a node
SUB_FLOW: Final = "sub.yaml"
POISON: Final = ("exit", "exit well", "abort", "kill", "kill fork server", "kill worker", "close descriptors")

_LOST: Final = {"max": ENOUGH, "on": ["abandoned"]}
_JOBS: Final = "tests.chaos.jobs"

Jobs: TypeAlias = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Submission:
    """A flow or a plain job that a submitter submits `at` s after the start of the round.

    `flow` is its document, for a plain job empty. `call` is the function and the argument of a plain job, `after` are ids of plain jobs
    that the same submitter submitted before, `allow` whether they may fail, `delay` s it waits, `unique` whether it refuses its id twice,
    `limit` the key of its rate limit.
    """

    id: str
    at: float
    flow: dict[str, Any] = field(default_factory=dict)
    call: tuple[str, Any] = ("", None)
    after: tuple[str, ...] = ()
    allow: bool = False
    delay: float = 0.0
    unique: bool = False
    retries: int = ENOUGH
    limit: str = ""

    def document(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


def workload(seed: int, seconds: float, submitters: int) -> list[list[Submission]]:
    """Return what each submitter of a round submits, in order of time."""
    return [list(_submissions(random.Random(f"workload {seed} {number}"), seconds, number)) for number in range(submitters)]


def sub_flow() -> dict[str, Any]:
    """Return the document of the flow that others include."""
    return {"jobs": {"first": work(), "second": {"depends_on": "first", "run": SCRIPT % 0.02, "retry": ENOUGH}}}


def work(seconds: float = 0.05, **more: Any) -> dict[str, Any]:
    """Return a job that succeeds."""
    return {"call": f"{_JOBS}:work", "args": [seconds], "retry": ENOUGH, **more}


def _submissions(dice: random.Random, seconds: float, submitter: int) -> Iterator[Submission]:
    at, number, jobs = 0.0, 0, list[str]()
    while (at := at + dice.expovariate(1 / 1.2)) < seconds:
        number += 1
        if dice.random() < 0.4:
            yield Submission(f"s{submitter}-{number}", at, flow=_flow(dice))
            continue
        yield from (group := _plain(dice, f"s{submitter}-{number}", at, jobs))
        jobs += [job.id for job in group]


# -- plain jobs


def _plain(dice: random.Random, name: str, at: float, before: list[str]) -> list[Submission]:
    """Return a plain job, with some jobs that depend on it or on earlier ones."""
    first = _submission(f"{name}-0", at, _call(dice), delay=dice.choice([0, 0, 0.5]), unique=dice.random() < 0.5)
    found = [first, Submission(f"{name}-p", at, call=("poison", dice.choice(POISON)), retries=dice.randrange(3))]
    for number in range(dice.randrange(4)):
        others = dice.sample(before, min(len(before), dice.randrange(3)))
        found.append(_submission(f"{name}-{number + 1}", at, _call(dice), after=(first.id, *others), allow=dice.random() < 0.3))
    if dice.random() < 0.4:
        limit = dice.choice(sorted(RATES))
        found += [_submission(f"{name}-r{number}", at, ("work", 0.1), limit=limit) for number in range(dice.randint(2, 5))]
    return found if dice.random() < 0.3 else [first, *found[2:]]


def _submission(name: str, at: float, call: tuple[str, Any], **more: Any) -> Submission:
    return Submission(name, at, call=call, retries=2 if call[0] == "fail" else ENOUGH, **more)


def _call(dice: random.Random) -> tuple[str, Any]:
    return dice.choices([("work", _seconds(dice)), ("flaky", dice.randrange(4)), ("fail", None)], [6, 3, 1])[0]


def _seconds(dice: random.Random) -> float:
    """Return how long a job takes: some take longer than a lease."""
    return round(dice.choices([dice.uniform(0, 1), dice.uniform(2, 5)], [3, 1])[0], 2)


# -- flows


def _flow(dice: random.Random) -> dict[str, Any]:
    jobs: Jobs = {}
    earlier: list[str] = []
    for number, block in enumerate(dice.choices(_BLOCKS, k=dice.randint(1, 3))):
        made = block(dice, f"b{number}-")
        root = next(iter(made))
        if earlier and dice.random() < 0.6:
            made[root].setdefault("depends_on", {dice.choice(earlier): dice.choice(["success", "ok", "done"])})
        earlier += made
        jobs |= made
    flow: dict[str, Any] = {"jobs": jobs, "defaults": {"queue": dice.choice((*QUEUES, AFAR_QUEUE))}}
    if dice.random() < 0.6:
        flow["defaults"]["isolation"] = dice.choice(["batch", "batch", "job"])
    if dice.random() < 0.15:
        flow["fail_fast"] = True
    if dice.random() < 0.2:
        flow["concurrency"] = {"group": RUN_GROUP, "max": 1, "on_conflict": dice.choice(["queue", "queue", "skip", "fail"])}
    if dice.random() < 0.4:
        flow |= {f"on_{when}": {"handler": work(0.02)} for when in ("success", "failure", "cancel", "exit")}
    if dice.random() < 0.1:
        flow["timeout"] = 3
    return flow


def _fan(dice: random.Random, name: str) -> Jobs:
    leaves = [f"{name}leaf{number}" for number in range(dice.randint(3, 12))]
    jobs: Jobs = {f"{name}root": work(0)}
    jobs |= {leaf: work(_seconds(dice), depends_on=f"{name}root") for leaf in leaves}
    return jobs | {f"{name}join": {"depends_on": leaves}, f"{name}after": work(0, depends_on=f"{name}join")}


def _chain(dice: random.Random, name: str) -> Jobs:
    links = range(dice.randint(3, 10))
    return {f"{name}{link}": work(0.1, **({"depends_on": f"{name}{link - 1}"} if link else {})) for link in links}


def _random_graph(dice: random.Random, name: str) -> Jobs:
    jobs: Jobs = {}
    conditions = ["success", "success", "success", "ok", "done", "failure"]
    for _ in range(dice.randint(4, 12)):
        above = dice.sample(sorted(jobs), min(len(jobs), dice.randrange(4)))
        job = dice.choice([work(_seconds(dice)), work(0), _failing(), {"run": SCRIPT % 0.5, "retry": ENOUGH}])
        jobs[f"{name}n{len(jobs)}"] = job | {"depends_on": {parent: dice.choice(conditions) for parent in above}}
        if not above:
            del jobs[f"{name}n{len(jobs) - 1}"]["depends_on"]
    return jobs


def _matrix(dice: random.Random, name: str) -> Jobs:
    cells = work(0.4, matrix={"n": list(range(dice.randint(2, 5))), "x": ["a", "b"]}, fail_fast=dice.random() < 0.5)
    if dice.random() < 0.5:
        cells["max_parallel"] = dice.randint(1, 3)
    return {f"{name}cells": cells, f"{name}after": work(0, depends_on=f"{name}cells")}


def _foreach(dice: random.Random, name: str) -> Jobs:
    return {
        f"{name}list": {"call": f"{_JOBS}:items", "args": [dice.choice([0, 1, 8, 30])], "retry": ENOUGH},
        f"{name}each": work(0.02, depends_on=f"{name}list", foreach=f"jobs.{name}list.result", max_parallel=4),
        f"{name}merge": work(0, depends_on=f"{name}each"),
    }


def _retries(dice: random.Random, name: str) -> Jobs:
    flaky = {"call": f"{_JOBS}:flaky", "args": [dice.randrange(4)], "retry": {"max": ENOUGH, "interval": 0.1, "jitter": 0.2}}
    return {f"{name}flaky": flaky, f"{name}after": work(0, depends_on=f"{name}flaky")}


def _failures(_dice: random.Random, name: str) -> Jobs:
    return {
        f"{name}allowed": _failing() | {"allow_failure": True},
        f"{name}fails": _failing() | {"depends_on": f"{name}allowed"},
        f"{name}never": work(0, depends_on=f"{name}fails"),
        f"{name}repair": work(0, depends_on={f"{name}fails": "failure"}),
        f"{name}all": work(0, depends_on={f"{name}never": "done", f"{name}repair": "ok"}),
    }


def _conditions(_dice: random.Random, name: str) -> Jobs:
    return {
        f"{name}first": work(0),
        f"{name}no": work(0, depends_on=f"{name}first", **{"if": "run.attempt < 1"}),
        f"{name}yes": work(0, depends_on={f"{name}no": "ok"}, **{"if": "run.attempt >= 1"}),
    }


def _groups(dice: random.Random, name: str) -> Jobs:
    group = dice.choice(sorted(GROUPS))
    limit = {"group": group, "max": GROUPS[group]}
    return {f"{name}{number}": work(0.1, concurrency=limit) for number in range(dice.randint(2, 5))}


def _time_limits(_dice: random.Random, name: str) -> Jobs:
    slow = work(30, timeout=0.5, stop_grace=0.5, retry=_LOST)
    return {f"{name}slow": slow, f"{name}after": work(0, depends_on={f"{name}slow": "done"}, delay=0.2)}


def _poison(dice: random.Random, name: str) -> Jobs:
    poison = {"call": f"{_JOBS}:poison", "args": [dice.choice(POISON)], "retry": dice.randrange(3)}
    return {f"{name}poison": poison, f"{name}after": work(0, depends_on={f"{name}poison": "done"})}


def _sub_flows(_dice: random.Random, name: str) -> Jobs:
    return {
        f"{name}sub": {"matrix": {"n": [1, 2]}, "flow": SUB_FLOW},
        f"{name}after": work(0, depends_on=f"{name}sub"),
    }


def _failing() -> dict[str, Any]:
    return {"call": f"{_JOBS}:fail", "retry": _LOST}


_BLOCKS: Final[tuple[Callable[[random.Random, str], Jobs], ...]] = (
    _fan,
    _chain,
    _random_graph,
    _random_graph,
    _matrix,
    _foreach,
    _retries,
    _failures,
    _conditions,
    _groups,
    _time_limits,
    _poison,
    _sub_flows,
)
