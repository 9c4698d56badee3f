"""A matrix to its cells, by GitHub's rules for `include` and `exclude`.

First the product of the axes, the last axis fastest; then `exclude` removes each cell that has all the values of an entry; then each
entry of `include`, in order, adds its values to every cell whose axis values it does not contradict (and may replace values added by an
earlier entry), or becomes a new cell if there is no such cell. The size is checked before cells are built.
"""

import itertools
import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from flowq.compiler.binding.spec import JobSpec, MatrixSpec
from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.syntax.nodes import Json
from flowq.compiler.syntax.source import Report
from flowq.plan import cell_name

MAX_CELLS: Final = 200_000  # jobs of one run

MAX_INCLUDED: Final = 2_000_000  # cells touched by the entries of one `include`

Cell: TypeAlias = dict[str, Json]
Cells: TypeAlias = tuple[Mapping[str, Json], ...]


@dataclass(slots=True)
class Budget:
    """The number of jobs that a run may still get, shared by a flow, its handlers and its sub-flows."""

    left: int = MAX_CELLS

    def take(self, count: int) -> bool:
        """Take jobs from the budget; return whether it was sufficient."""
        self.left -= count
        return self.left >= 0


def expand(jobs: Sequence[JobSpec], budget: Budget, report: Report) -> dict[str, Cells]:
    """Return the cells of every job that has a matrix."""
    found: dict[str, Cells] = {}
    budget.take(len(jobs))
    for job in jobs:
        if job.matrix is None or not job.matrix.complete:
            continue
        size = matrix_size(job.matrix)
        if not budget.take(size):
            total = MAX_CELLS - budget.left
            message = f"with this matrix the flow has {total:,} jobs or more, {MAX_CELLS:,} are allowed"
            report.add(Code.TOO_MANY_JOBS, job.matrix.span, message, "make the axes shorter")
            break
        found[job.name] = _cells(job, job.matrix, report)
    return found


def matrix_size(matrix: MatrixSpec) -> int:
    """Return the maximal number of cells of a matrix."""
    return (math.prod(map(len, matrix.axes.values())) if matrix.axes else 0) + len(matrix.include)


def _cells(job: JobSpec, matrix: MatrixSpec, report: Report) -> Cells:
    axes = matrix.axes
    base = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())] if axes else []
    kept = _excluded(base, matrix, report)
    cells = _included(kept, matrix, report)
    if not cells and axes:
        message = f"the matrix of `{job.name}` has no cells: the job succeeds with an empty list"
        report.add(Code.EMPTY_MATRIX, matrix.span, message, "give each axis a value")
    if matrix.include:  # the values of an axis were compared when it was read
        _check_unique(job, cells, matrix, report)
    return tuple(cells)


def _excluded(cells: list[Cell], matrix: MatrixSpec, report: Report) -> list[Cell]:
    index = _Index(cells)
    gone: set[int] = set()
    for rule in matrix.exclude:
        found = [number for number in index.matching(rule.values) if number not in gone]
        if not found and rule.values.keys() <= matrix.axes.keys():
            report.add(
                Code.EXCLUDE_NOTHING, rule.span, "this entry of `exclude` matches no cell", "check its values against the axes"
            )
        gone.update(found)
    return [cell for number, cell in enumerate(cells) if number not in gone] if gone else cells


def _included(cells: list[Cell], matrix: MatrixSpec, report: Report) -> list[Cell]:
    index = _Index(cells)
    alone: list[Cell] = []
    work = 0
    for rule in matrix.include:
        own = {name: value for name, value in rule.values.items() if name in matrix.axes}
        fitting = index.matching(own)
        work += len(fitting)
        if work > MAX_INCLUDED:
            message = "`include` adds to more cells than can be counted in reasonable time"
            report.add(Code.TOO_MANY_JOBS, rule.span, message, "put the values that every cell has into `env` or `kwargs`")
            break
        for number in fitting:
            cells[number].update(rule.values)
        if not fitting:
            alone.append(dict(rule.values))
    return cells + alone


class _Index:
    """An index of cells by their values on some axes, so that rules need not scan all cells."""

    def __init__(self, cells: list[Cell]) -> None:
        self._cells = cells
        self._by_axes: dict[tuple[str, ...], dict[tuple[str, ...], list[int]]] = {}

    def matching(self, values: Mapping[str, Json]) -> Sequence[int]:
        """Return the numbers of the cells that have all the values."""
        if not values:
            return range(len(self._cells))
        axes = tuple(sorted(values))
        if axes not in self._by_axes:
            index = self._by_axes[axes] = defaultdict(list)
            for number, cell in enumerate(self._cells):
                if all(axis in cell for axis in axes):
                    index[tuple(value_key(cell[axis]) for axis in axes)].append(number)
        return self._by_axes[axes].get(tuple(value_key(values[axis]) for axis in axes), ())


def value_key(value: Json) -> str:
    """Return a string that is equal for equal values: 1 and 1.0 are equal; 1, true and "1" are not."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, sort_keys=True)


def _check_unique(job: JobSpec, cells: list[dict[str, Json]], matrix: MatrixSpec, report: Report) -> None:
    seen: set[str] = set()
    for cell in cells:
        key = value_key(cell)
        if key in seen:
            report.add(
                Code.MATRIX,
                matrix.span,
                f"the cell {cell_name(job.name, cell)[:100]} occurs twice",
                "remove it from `include`",
            )
            return
        seen.add(key)
