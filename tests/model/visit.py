"""Visits all states of a small model breadth first: what the models of schedules' executors and shared processes have in common."""

import random
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

S = TypeVar("S", bound=Hashable)
C = TypeVar("C", bound=Hashable)


class Rules(Protocol[S, C]):
    """The rules of a model, and what must hold."""

    def start(self) -> S:
        """Return the first state."""

    def calls(self, state: S) -> Iterator[C]:
        """Yield each call that is possible."""

    def apply(self, state: S, call: C) -> S:
        """Carry one call out."""

    def broken(self, before: S, call: C, after: S) -> Iterator[str]:
        """Yield the guarantees that a step breaks."""

    def is_progress(self, call: C) -> bool:
        """Return whether a call is made without any fault or request."""

    def is_over(self, state: S) -> bool:
        """Return whether nothing is left to be done."""


@dataclass
class Visited(Generic[S, C]):
    """All states of a model: each with the call that led there first and the state before. `problem`: the first guarantee that is broken."""

    reached: dict[S, tuple[S, C] | None] = field(default_factory=dict)
    problem: str = ""

    def trace(self, state: S) -> list[C]:
        """Return the shortest trace to a state."""
        calls: list[C] = []
        while (step := self.reached[state]) is not None:
            state, call = step
            calls.append(call)
        return calls[::-1]


def visit(rules: Rules[S, C]) -> Visited[S, C]:
    """Visit every state, until a guarantee is broken. From every state all must come to an end without further faults or requests."""
    start = rules.start()
    found, todo, back = Visited[S, C]({start: None}), deque([start]), dict[S, set[S]]()
    while todo:
        state = todo.popleft()
        for call in rules.calls(state):
            after = rules.apply(state, call)
            for problem in rules.broken(state, call, after):
                found.problem = "\n  ".join([problem, *map(str, [*found.trace(state), call])])
                return found
            if rules.is_progress(call):
                back.setdefault(after, set()).add(state)
            if after not in found.reached:
                found.reached[after] = state, call
                todo.append(after)
    met = {state for state in found.reached if rules.is_over(state)}
    todo.extend(met)
    while todo:
        for state in back.get(todo.popleft(), set()) - met:
            met.add(state)
            todo.append(state)
    stuck = next((state for state in found.reached if state not in met), None)
    if stuck is not None:
        found.problem = "\n  ".join(["nothing is stuck: from here it does not come to an end", *map(str, found.trace(stuck))])
    return found


def covering(rules: Rules[S, C], found: Visited[S, C], kind: Callable[[S, C], Hashable]) -> Iterator[list[C]]:
    """Yield the shortest trace to a call of each kind."""
    seen: set[Hashable] = set()
    for state in found.reached:
        for call in rules.calls(state):
            if (what := kind(state, call)) not in seen:
                seen.add(what)
                yield [*found.trace(state), call]


def walk(rules: Rules[S, C], seed: int, length: int) -> list[C]:
    """Return a random trace."""
    dice, state, calls = random.Random(seed), rules.start(), list[C]()
    while len(calls) < length and (possible := list(rules.calls(state))):
        calls.append(dice.choice(possible))
        state = rules.apply(state, calls[-1])
    return calls
