"""A job behind an executor is executed by one at a time, whatever engine, links and driver do; each rule is needed, and production follows them."""

import logging
from types import ModuleType

import pytest

from flowq.worker.executors import driver
from flowq.worker.node import node
from tests.model.executors import ASKED, BACK, GRANTED, Call, Executor, State
from tests.model.executors_replay import edited_module, replay_all
from tests.model.replay import DiffersError
from tests.model.visit import Visited, covering, visit, walk

WALKS = 100
LENGTH = 25


@pytest.fixture(scope="module")
def visited() -> Visited[State, Call]:
    """All states."""
    return visit(Executor())


def test_a_job_is_executed_by_one_at_a_time(visited: Visited[State, Call]) -> None:
    assert visited.problem == ""
    assert len(visited.reached) > 5000


class GrantsEach(Executor):
    """Each node that asks back is granted the execution."""

    def may_be_granted(self, state: State, _node: int, execution: int) -> bool:
        return state.fates[execution] in {ASKED, GRANTED}


class GrantsAgain(Executor):
    """A node that asks back again is granted the execution again."""

    def may_be_granted(self, state: State, node: int, execution: int) -> bool:
        return state.fates[execution] == ASKED or (state.fates[execution], state.where[execution]) == (GRANTED, node)


class BeginsAtOnce(Executor):
    """A node executes what the engine starts, without a grant."""

    def deliver(self, state: State, node: int, kind: str, execution: int) -> State:
        return self.begin(state, node, execution) if kind == "start" else super().deliver(state, node, kind, execution)


class GoesOn(Executor):
    """A node without a driver goes on behind the end of its lease."""

    def fence(self, state: State, _node: int) -> State:
        return state


class LostAtOnce(Executor):
    """The store gives a fenced job to the next execution at once."""

    def is_lost(self, _state: State) -> bool:
        return True


class KeepsLost(Executor):
    """What was granted to a node that is lost is not fenced."""

    def lose(self, state: State, _node: int) -> State:
        return state


class LostGoesBack(Executor):
    """What was granted to a node that is lost goes back to its queue, as if nothing of it were executed."""

    def lose(self, state: State, node: int) -> State:
        for execution, (fate, where) in enumerate(zip(state.fates, state.where, strict=True)):
            if fate == GRANTED and where == node:
                state = self.settle(state, execution, BACK)
        return state


class RefusedAnyway(Executor):
    """An engine that says no takes back what was granted, too."""

    def hand_back(self, state: State, execution: int) -> State:
        return self.settle(state, execution, BACK)


class HeirsAreFree(Executor):
    """What a driver had granted goes back to its queue when the driver dies."""

    def bereave(self, state: State) -> State:
        for execution, fate in enumerate(state.fates):
            if fate in {ASKED, GRANTED}:
                state = self.settle(state, execution, BACK)
        return state


MUTANTS = [
    (GrantsEach, "only a granted start executes"),
    (GrantsAgain, "an execution begins once"),
    (BeginsAtOnce, "only a granted start executes"),
    (GoesOn, "a job is executed by one at a time"),
    (LostAtOnce, "a job is executed by one at a time"),
    (KeepsLost, "nothing is stuck"),
    (LostGoesBack, "what goes back to its queue was not executed"),
    (RefusedAnyway, "what goes back to its queue was not executed"),
    (HeirsAreFree, "what goes back to its queue was not executed"),
]


@pytest.mark.parametrize(("mutant", "check"), MUTANTS, ids=[mutant.__name__ for mutant, _ in MUTANTS])
def test_a_mutant_is_caught(mutant: type[Executor], check: str) -> None:
    assert visit(mutant()).problem.startswith(check)


# -- production ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)  # of nodes that are lost


def traces(visited: Visited[State, Call]) -> list[list[Call]]:
    """Return a shortest trace to each kind of call in each situation of its execution and node."""

    def kind(state: State, call: Call) -> object:
        next_ones = (state.to_node[call.node][:1], state.to_driver[call.node][:1]) if call.node >= 0 else ()
        return (call.name, state.fates, state.where, bool(state.running), *next_ones)

    return list(covering(Executor(), visited, kind))


def test_driver_and_nodes_follow_the_model(visited: Visited[State, Call]) -> None:
    replay_all(Executor(), [*traces(visited), *(walk(Executor(), seed, LENGTH) for seed in range(WALKS))])


IN_PRODUCTION: dict[str, tuple[ModuleType, str, str]] = {
    "each node is granted": (driver, "if lane is None or lane.stage is not Stage.ASKED:", "if lane is None:"),
    "a lost node is not fenced": (driver, "            lane.fence()\n\n    def refused", "            pass\n\n    def refused"),
    "all nodes are lost": (driver, "lane.stage is Stage.GRANTED and lane.node == node]", "lane.stage is Stage.GRANTED]"),
    "what was not granted is lost": (
        driver,
        "if lane.stage is Stage.GRANTED and lane.node == node]",
        "if lane.node in {node, ''}]",
    ),
    "a granted job goes back": (
        driver,
        "if lane is not None and lane.stage is Stage.ASKED:\n            lane.hand_back",
        "if lane is not None:\n            lane.hand_back",
    ),
    "a fence that is not told": (driver, "        if fenced:\n", "        if False:\n"),
    "a node begins at once": (
        node,
        "                self._stream.send((wire.READY, token, number))\n",
        "                self._stream.send((wire.READY, token, number))\n                self._take(GrantedJob(token, {}, {}))\n",
    ),
    "a refusal that is not looked at": (node, "                self._places.pop(token, None)\n", "                pass\n"),
    "a grant that can be used again": (node, "                    del self._places[token]\n", ""),
}


@pytest.mark.parametrize(("module", "right", "wrong"), IN_PRODUCTION.values(), ids=IN_PRODUCTION)
def test_a_mistake_in_driver_or_node_is_found(
    visited: Visited[State, Call], module: ModuleType, right: str, wrong: str
) -> None:
    with pytest.raises(DiffersError):
        replay_all(Executor(), traces(visited), edited_module(module, right, wrong))
