"""Graphs of jobs: what is asked of the libraries that know graphs.

`stencil` is the dependence relation of Task Bench's stencil_1d (Slaughter et al., SC20): a grid of steps and columns in which each
job waits for its column and the columns beside it, one step earlier.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Call = tuple[Any, ...]  # a function of `noop` or `heavy`, then its arguments
Submit = Callable[[], object]  # what is left to do when everything has been made ready that can be


@dataclass(frozen=True, slots=True)
class Node:
    """One job of a graph and those it waits for, by name."""

    name: str
    call: Call
    parents: Sequence[str] = ()


def chain(calls: Sequence[Call]) -> list[Node]:
    """Return one job after the other."""
    return [Node(f"j{number}", call, [f"j{number - 1}"] if number else []) for number, call in enumerate(calls)]


def fan(first: Call, middle: Sequence[Call], last: Call) -> list[Node]:
    """Return one job, then many, then one."""
    children = [Node(f"c{number}", call, ["first"]) for number, call in enumerate(middle)]
    return [Node("first", first), *children, Node("last", last, [child.name for child in children])]


def stencil(columns: int, steps: int, call: Call, last: Call) -> list[Node]:
    """Return a grid of jobs, and one that waits for its last row."""
    grid = [
        Node(_cell(step, column), call, _beside(step, column, columns)) for step in range(steps) for column in range(columns)
    ]
    return [*grid, Node("last", last, [_cell(steps - 1, column) for column in range(columns)])]


def _beside(step: int, column: int, columns: int) -> list[str]:
    near = range(max(column - 1, 0), min(column + 2, columns))
    return [_cell(step - 1, other) for other in near] if step else []


def _cell(step: int, column: int) -> str:
    return f"s{step}-c{column}"
