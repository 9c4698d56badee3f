"""Jobs that share processes: one after the other, after good ends alone, and the loss of a process hits one job; each rule is needed, and production follows them."""

from types import ModuleType

import pytest

from flowq.worker.supervisor import slot
from flowq.worker.supervisor.fork_servers import client, lane
from tests.model.executors_replay import edited_module
from tests.model.replay import DiffersError
from tests.model.sharing import BADLY, KEPT, RUNNING, WELL, Call, Horse, Sharing, State
from tests.model.sharing_replay import replay_all
from tests.model.visit import Visited, covering, visit, walk

WALKS = 50
LENGTH = 20


@pytest.fixture(scope="module")
def visited() -> Visited[State, Call]:
    """All states."""
    return visit(Sharing())


def test_the_loss_of_a_process_hits_one_job(visited: Visited[State, Call]) -> None:
    assert visited.problem == ""
    assert len(visited.reached) > 3000


class StaysAfterFailure(Sharing):
    """A process whose job has failed gets the next job."""

    def stays(self, _how: str) -> bool:
        return True


class OtherGroups(Sharing):
    """A job gets any process that waits."""

    def may_share(self, _horse: Horse, _job: int) -> bool:
        return True


class HitStays(Sharing):
    """A process that a signal was sent to gets the next job."""

    def was_hit(self, _horse: Horse) -> bool:
        return False


class SpoiltStays(Sharing):
    """A process that has told something while it waited gets a job until it is gone."""

    def spoil(self, state: State, number: int) -> State:
        horse = state.horses[number]
        return self.put(state, number, horse._replace(signaled=True)) if horse.stage == KEPT else super().spoil(state, number)


class AllAreLost(Sharing):
    """All jobs that a process has had are lost with it."""

    def lose(self, state: State, number: int) -> State:
        jobs = (BADLY if job in state.horses[number].had else status for job, status in enumerate(state.jobs))
        return state._replace(jobs=tuple(jobs))


class BothAreLost(Sharing):
    """With a process that is lost, the other jobs that run are lost."""

    def lose(self, state: State, _number: int) -> State:
        return state._replace(jobs=tuple(BADLY if status == RUNNING else status for status in state.jobs))


class LossIsForgotten(Sharing):
    """The job of a process that has ended stays as it was."""

    def lose(self, state: State, _number: int) -> State:
        return state


class ExitIsGood(Sharing):
    """A process that ends without telling an end has ended well."""

    def lose(self, state: State, number: int) -> State:
        job = state.horses[number].had[-1]
        return state._replace(jobs=tuple(WELL if number == job else status for number, status in enumerate(state.jobs)))


MUTANTS = [
    (StaysAfterFailure, "a process goes on after good ends alone"),
    (OtherGroups, "jobs of one group share a process"),
    (HitStays, "no signal hits another job"),
    (SpoiltStays, "no signal hits another job"),
    (AllAreLost, "a process ends one job"),
    (BothAreLost, "a process ends one job"),
    (LossIsForgotten, "nothing is stuck"),
    (ExitIsGood, "what is no end ends no job"),
]


@pytest.mark.parametrize(("mutant", "check"), MUTANTS, ids=[mutant.__name__ for mutant, _ in MUTANTS])
def test_a_mutant_is_caught(mutant: type[Sharing], check: str) -> None:
    assert visit(mutant()).problem.startswith(check)


# -- production ---------------------------------------------------------------------------------------------------------------


def traces(visited: Visited[State, Call]) -> list[list[Call]]:
    """Return a shortest trace to each kind of call in each situation of its horse."""

    def kind(state: State, call: Call) -> object:
        horse = None if call.name == "give" else state.horses[call.number]._replace(had=())
        return (call.name, call.how, horse, len(state.kept))

    return list(covering(Sharing(), visited, kind))


def test_slots_and_lanes_follow_the_model(visited: Visited[State, Call]) -> None:
    replay_all(Sharing(), [*traces(visited), *(walk(Sharing(), seed, LENGTH) for seed in range(WALKS))])


IN_PRODUCTION: dict[str, tuple[ModuleType, str, str]] = {
    "a process that a signal was sent to": (
        slot,
        "if not orderly or self._cause or self._warned or self._killing:",
        "if not orderly:",
    ),
    "a process of another group": (client, "if item[0] == group), None)\n        if kept", "), None)\n        if kept"),
    "a process that has told something while it waited": (
        lane,
        "        self.fork_server.forget(self)  # it may",
        "        # it may",
    ),
    "a process that has told more than an end": (
        lane,
        "return self._is_empty() and not self._spoilt",
        "return self._is_empty()",
    ),
    "a process that does not stay": (slot, "if stays and (group :=", "if (group :="),
    "a process that is gone": (client, "                self._kept.remove(item)\n", "                pass\n"),
    "an end that is not told at once": (
        slot,
        "        if not self._over or self._looks:\n            self._read_outcome()\n        if self._lane",
        "        if self._lane",
    ),
}


@pytest.mark.parametrize(("module", "right", "wrong"), IN_PRODUCTION.values(), ids=IN_PRODUCTION)
def test_a_mistake_in_the_supervisor_is_found(
    visited: Visited[State, Call], module: ModuleType, right: str, wrong: str
) -> None:
    with pytest.raises(DiffersError):
        replay_all(Sharing(), traces(visited), edited_module(module, right, wrong))
