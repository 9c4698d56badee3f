"""Graphs of jobs, for the libraries that support graphs.

`stencil` is the dependence relation of Task Bench's stencil_1d (Slaughter et al., SC20): a grid of steps and columns in which each
job waits for its own and the neighbouring columns of the step before.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Call = tuple[Any, ...]  # a function of `noop` or `heavy`, then its arguments
Submit = Callable[[], object]  # submits a prepared graph


@dataclass(frozen=True, slots=True)
class Node:
    """One job of a graph, and the names of its parents."""

    name: str
    call: Call
    parents: Sequence[str] = ()


def chain(calls: Sequence[Call]) -> list[Node]:
    """Return a chain of jobs."""
    return [Node(f"j{number}", call, [f"j{number - 1}"] if number else []) for number, call in enumerate(calls)]


def fan(first: Call, middle: Sequence[Call], last: Call) -> list[Node]:
    """Return one job, many that depend on it, and one that depends on those."""
    children = [Node(f"c{number}", call, ["first"]) for number, call in enumerate(middle)]
    return [Node("first", first), *children, Node("last", last, [child.name for child in children])]


def stencil(columns: int, steps: int, call: Call, last: Call) -> list[Node]:
    """Return a grid of jobs, and one that depends on its last row."""
    grid = [
        Node(_cell(step, column), call, _beside(step, column, columns)) for step in range(steps) for column in range(columns)
    ]
    return [*grid, Node("last", last, [_cell(steps - 1, column) for column in range(columns)])]


def _beside(step: int, column: int, columns: int) -> list[str]:
    near = range(max(column - 1, 0), min(column + 2, columns))
    return [_cell(step - 1, other) for other in near] if step else []


def _cell(step: int, column: int) -> str:
    return f"s{step}-c{column}"
