"""Visits all states of a model breadth first, and checks the guarantees in each."""

from collections import deque
from dataclasses import dataclass, field
from itertools import count

from tests.model.properties import PROGRESS, broken_by_step, broken_in_state
from tests.model.state import Call, Move, State
from tests.model.transitions import Model


class BrokenError(AssertionError):
    """A guarantee that does not hold, with the shortest trace to it."""


@dataclass
class Explored:
    """All states of a model: each with the call by which it was first reached."""

    model: Model
    reached: dict[State, tuple[State, Call] | None] = field(default_factory=dict)
    moves: dict[Move, tuple[State, Call]] = field(default_factory=dict)  # where each move was first made
    replies: dict[tuple[object, ...], tuple[State, Call]] = field(
        default_factory=dict
    )  # each answer in each situation of a job
    steps: int = 0

    def trace(self, state: State) -> list[Call]:
        """Return the shortest trace to a state."""
        calls = []
        while (found := self.reached[state]) is not None:
            state, call = found
            calls.append(call)
        return calls[::-1]


def explore(model: Model) -> Explored:
    """Visit every state.

    Raises:
        BrokenError: a guarantee does not hold.
    """
    start = model.start()
    found = Explored(model, {start: None})
    back: dict[State, list[State]] = {}
    todo = deque([start])
    while todo:
        state = todo.popleft()
        for call in model.calls(state):
            step = model.apply(state, call)
            after = step.state()
            found.steps += 1
            problems = list(broken_by_step(model, call, step, after))
            if after not in found.reached:
                problems += broken_in_state(model.shape, after)
            if problems:
                raise BrokenError(story(model, [*found.trace(state), call], problems[0]))
            _note(found, state, call, step.reply, step.moves)
            if after == state:
                continue
            if call.name in PROGRESS:
                back.setdefault(after, []).append(state)
            if after not in found.reached:
                found.reached[after] = (state, call)
                todo.append(after)
    _nothing_is_stuck(found, back)
    return found


def _note(found: Explored, state: State, call: Call, reply: str, moves: list[Move]) -> None:
    found.replies.setdefault((call.name, call.outcome, reply, *_situation(state, call)), (state, call))
    for move in moves:
        found.moves.setdefault(move, (state, call))


def _situation(state: State, call: Call) -> tuple[object, ...]:
    if call.job < 0:
        return ()
    job = state.jobs[call.job]
    reporter = job.executions[call.execution - 1] if 0 < call.execution <= len(job.executions) else "-"
    return job.status, job.canceling, job.attempt == 0, reporter, call.execution == len(job.executions)


def _nothing_is_stuck(found: Explored, back: dict[State, list[State]]) -> None:
    """Walk from the states in which all is over backwards, by what workers do by themselves: every state must be met."""
    met = {state for state in found.reached if state.quiet}
    todo = list(met)
    while todo:
        for state in back.get(todo.pop(), ()):
            if state not in met:
                met.add(state)
                todo.append(state)
    for state in found.reached:
        if state not in met:
            raise BrokenError(
                story(found.model, found.trace(state), "nothing is stuck: from here nothing that workers do ends everything")
            )


def story(model: Model, calls: list[Call], problem: str) -> str:
    """Return a trace as text, one call per line with what it changed."""
    state = model.start()
    lines = [problem, f"  at first: {_picture(state)}"]
    for number, call in zip(count(1), calls, strict=False):
        step = model.apply(state, call)
        state = step.state()
        lines.append(f"  {number}. {call} -> {step.reply}: {_picture(state)}")
    return "\n".join(lines)


def _picture(state: State) -> str:
    jobs = ", ".join(f"{number} {job.status} (attempt {job.attempt})" for number, job in enumerate(state.jobs))
    return f"{jobs}; queue {list(state.queue)}, outbox {list(state.outbox)}"
