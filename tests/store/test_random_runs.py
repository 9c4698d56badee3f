"""Random graphs with all features, compared with the reference rules: outcomes, losses, cancels, retries."""

import random
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowq import ids
from flowq.exceptions import InvalidRunOperation
from flowq.flows.actions import retry
from flowq.plan import Concurrency, Node, Plan, RetryPolicy
from flowq.store import Store
from tests.support import graphs, invariants
from tests.support.budgets import small_steps
from tests.support.expected_ends import differences, expected, inconsistencies, reset_names
from tests.support.graphs import Extra
from tests.support.run_driver import Drive
from tests.support.slot_driver import Driver

CONDITIONS = st.sampled_from(["success", "success", "success", "ok", "failure", "skipped", "done"])
ENDS = st.sampled_from(["finished", "finished", "finished", "failed", "failed!", "stopped", "lost"])
MOST_ITEMS = 4


@dataclass(frozen=True)
class Attempt:
    """The events of one attempt of a run. `ends` and `lists` are by name; `cancel_at` is a step, 0 for never."""

    ends: dict[str, str]
    lists: dict[str, int]
    cancel_at: int = 0


@dataclass(frozen=True)
class Scenario:
    """A flow with the events of its attempts. `sure`: its result does not depend on the order in which jobs end."""

    shape: graphs.Shape
    cells: dict[str, int]
    joins: list[str]
    extra: Extra
    if_false: frozenset[str]
    attempts: list[Attempt]
    seed: int
    sure: bool


@st.composite
def scenarios(draw: st.DrawFn, *, sure: bool) -> Scenario:
    names = [f"j{number}" for number in range(draw(st.integers(1, 9)))]
    shape: dict[str, graphs.Parents] = {}
    for index, name in enumerate(names):
        parents = draw(st.lists(st.sampled_from(names[:index]), unique=True, max_size=3)) if index else []
        shape[name] = {parent: draw(CONDITIONS) for parent in parents}
    kinds = {name: draw(st.sampled_from(["job", "job", "job", "matrix", "foreach", "join"])) for name in names}
    cells = {name: draw(st.integers(0, 3)) for name, kind in kinds.items() if kind == "matrix"}
    foreach = [name for name, kind in kinds.items() if kind == "foreach"]
    nodes = {name: _settings(draw, kind, sure=sure) for name, kind in kinds.items()}
    if_false = frozenset(name for name in names if nodes[name].get("condition") and draw(st.booleans()))
    handlers: dict[str, graphs.Shape] = {}
    if draw(st.booleans()):
        handlers = {phase: {"h": [], "then": {"h": draw(CONDITIONS)}} for phase in ("success", "failure", "cancel", "exit")}
    flow = {} if sure else {"fail_fast": draw(st.booleans())}
    members = [name for name in names if name not in cells and name not in foreach]
    members += [f"{name}[n={n}]" for name, count in cells.items() for n in range(count)]
    members += [f"{name}[{n}]" for name in foreach for n in range(MOST_ITEMS)]
    members += [f"{phase}/{name}" for phase in handlers for name in ("h", "then")]
    attempts = [
        Attempt(
            ends={name: draw(ENDS) for name in members},
            lists={name: draw(st.integers(0, MOST_ITEMS)) for name in foreach},
            cancel_at=0 if sure else draw(st.integers(0, 8)),
        )
        for _ in range(3)
    ]
    extra = Extra(foreach=foreach, handlers=handlers, nodes=nodes, flow=flow)
    joins = [name for name, kind in kinds.items() if kind == "join"]
    return Scenario(shape, cells, joins, extra, if_false, attempts, draw(st.integers(0, 2**16)), sure)


def _settings(draw: st.DrawFn, kind: str, *, sure: bool) -> dict[str, object]:
    node: dict[str, object] = {}
    if draw(st.integers(0, 4)) == 0:
        node["condition"] = "params.x"
    if kind == "join":
        return node
    if draw(st.integers(0, 3)) == 0:
        node["concurrency"] = Concurrency(draw(st.sampled_from(["red", "blue"])), draw(st.integers(1, 2)))
    if draw(st.integers(0, 5)) == 0:
        node["retry"] = RetryPolicy(1)
    if kind in {"matrix", "foreach"}:
        node["max_parallel"] = draw(st.sampled_from([None, 1, 2]))
        node["fail_fast"] = False if sure else draw(st.booleans())
    return node


class Story:
    """The execution of a scenario, checked after every attempt."""

    def __init__(self, store: Store, scenario: Scenario) -> None:
        store.client.flushall()
        store.open()
        self.store, self.scenario = store, scenario
        self.driver = Driver(store)
        made = graphs.plan(scenario.shape, cells=scenario.cells, joins=scenario.joins, extra=scenario.extra)
        self.run = ids.run_id()
        graphs.submit_ranked(store, made, self.run, [number * 7 % 4 for number in range(len(made.cells))])
        self.stored = Plan.from_json(store.runs.plan(self.run))
        self.known: dict[str, str] = {}
        self.doomed: set[str] = set()  # jobs that the retry predicted to be skipped again
        self.driver.holds = lambda job: self._node_of(job) not in scenario.if_false

    def tell(self) -> None:
        for attempt in self.scenario.attempts:
            self._attempt(attempt)
            wanted = self._look()
            try:
                again = retry.plan_retry(self.store, self.run)
            except InvalidRunOperation:
                assert wanted == set()
                break
            assert {name for name, why in (*again.jobs, *again.skipped) if why != "handlers run again"} == wanted
            self.doomed = {name for name, _why in again.skipped}
            again.apply(self.store)
            invariants.check(self.store)
        else:
            self.store.runs.cancel(self.run)
            self.driver.settle()
            Drive(self.store, self.driver, self.run).to_the_end()
            assert self.store.runs.require(self.run).ended
        self._chosen(random.Random(self.scenario.seed))
        self.driver.close()

    def _chosen(self, dice: random.Random) -> None:
        """Run some jobs again, whatever their status, first with their dependents, then alone."""
        for only in (False, True):
            plan = graphs.plan_of_run(self.store, self.run)
            jobs = [cell.ordinal for cell in plan.shown_jobs() if not cell.phase]
            if not jobs:
                return
            retry.plan_rerun(self.store, self.run, dice.sample(jobs, min(len(jobs), 2)), only=only).apply(self.store)
            invariants.check(self.store)
            Drive(self.store, self.driver, self.run, rng=dice, slots=4).to_the_end()
            invariants.check(self.store)
            assert self.store.runs.require(self.run).ended
            if not only:
                self._consistent()

    def _attempt(self, attempt: Attempt) -> None:
        self.driver.list_of = lambda job: range(attempt.lists[self._node_of(job)])

        def cancel(step: int) -> None:
            if step == attempt.cancel_at:
                self.store.runs.cancel(self.run)

        drive = Drive(
            self.store, self.driver, self.run, attempt.ends, rng=random.Random(self.scenario.seed), each=cancel, slots=4
        )
        for name in drive.to_the_end():
            self.known[name] = attempt.ends[name]
        for name, most in drive.together.items():
            assert most <= self._limit(name), f"{most} held {name}"

    def _limit(self, name: str) -> int:
        if name.startswith("cells/"):
            return self._plan_node(name.removeprefix("cells/")).max_parallel or 0
        limits = [
            node.concurrency.max for node in self.stored.nodes if node.concurrency and f"job/{node.concurrency.group}" == name
        ]
        return max(limits)

    def _look(self) -> set[str]:
        """Compare the ends with the rules; return the jobs that a retry must reset."""
        invariants.check(self.store)
        record = self.store.runs.require(self.run)
        assert record.ended
        assert not [key for key in self.store.client.scan_iter() if b":holders:" in key or b":waiters:" in key]
        plan, actual = graphs.plan_of_run(self.store, self.run), graphs.statuses(self.store, self.run)
        if self.scenario.sure:
            wanted = expected(plan, self.known, stored=self.stored, skipped=self.scenario.if_false)
            assert differences(actual, wanted) == {}
            assert {name for name in self.doomed if not actual[name].startswith("skipped/")} == set()
        allowed = self._consistent()
        return reset_names(plan, self.stored, actual, allowed)

    def _consistent(self) -> list[str]:
        """Assert that no two ends contradict each other; return the names of the jobs whose failure was allowed."""
        plan, actual = graphs.plan_of_run(self.store, self.run), graphs.statuses(self.store, self.run)
        allowed = [
            cell.name
            for cell, job in zip(plan.cells, self.store.runs.jobs(self.run, range(len(plan.cells))), strict=True)
            if job is not None and job.allowed
        ]
        assert inconsistencies(plan, actual, allowed) == []
        return allowed

    def _node_of(self, job: str) -> str:
        return self._plan_node(job).name

    def _plan_node(self, job: str) -> Node:
        ordinal = int(job.rpartition("-")[2])
        if ordinal < len(self.stored.cells):
            return self.stored.node_of(self.stored.cells[ordinal])
        record = self.store.jobs.get(job)
        assert record is not None
        return self.stored.node_of(self.stored.cells[record.cell_of or 0])


BUDGETS = st.sampled_from([100, 5, 2, 1])
SCENARIOS = pytest.mark.parametrize("count", [40, pytest.param(400, marks=pytest.mark.chaos)])


def tell(store: Store, count: int, *, sure: bool) -> None:
    """Tell the stories of as many scenarios, each in transactions of some size."""

    @settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
    @given(scenarios(sure=sure), BUDGETS)
    def one(scenario: Scenario, budget: int) -> None:
        with small_steps(budget):
            Story(store, scenario).tell()

    one()


@SCENARIOS
def test_random_runs_end_as_the_rules_say_also_after_retries(store: Store, count: int) -> None:
    tell(store, count, sure=True)


@SCENARIOS
def test_random_runs_with_fail_fast_and_cancels_stay_consistent(store: Store, count: int) -> None:
    tell(store, count, sure=False)


def test_the_reference_can_tell_right_from_wrong() -> None:
    """Check the checker: each of these ends is impossible, and must be reported."""
    plan = graphs.plan({"a": [], "b": ["a"], "c": {"b": "failure"}})
    right = {"a": "failed/error", "b": "skipped/upstream_failed", "c": "skipped/upstream_skipped"}
    assert inconsistencies(plan, right) == []
    assert differences(right, expected(plan, {"a": "failed"})) == {}
    for name, wrong in (("b", "finished"), ("b", "skipped/upstream_canceled"), ("c", "finished"), ("a", "finished")):
        assert inconsistencies(plan, {**right, name: wrong}) or differences(
            {**right, name: wrong}, expected(plan, {"a": "failed"})
        )
    stored = replace(plan, cells=(replace(plan.cells[0], group=True), *plan.cells[1:]))
    assert differences({"a": "finished"}, expected(plan, {}, stored=stored))
