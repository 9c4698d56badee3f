"""The settings that each cell of a matrix may have for itself: its queue, its timeout, and whether it may fail."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from flowq.compiler.analysis.expressions import axes_of
from flowq.compiler.analysis.matrix_cells import Cells
from flowq.compiler.binding.fields import truth
from flowq.compiler.binding.job import limit_of
from flowq.compiler.binding.queues import queue_name
from flowq.compiler.binding.spec import CellValues, JobSpec
from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.expressions.constants import UNKNOWN
from flowq.compiler.syntax.nodes import Json
from flowq.compiler.syntax.source import Report
from flowq.plan import OPEN_QUEUE, cell_name


@dataclass(frozen=True, slots=True)
class CellSettings:
    """The settings of the cells of a job, in their order. `queues` is empty where they are that of the job; `own` has the others by name."""

    queues: tuple[str, ...]
    own: Mapping[str, tuple[Json, ...]]


def settings_of_cells(jobs: Sequence[JobSpec], cells: Mapping[str, Cells], report: Report) -> dict[str, CellSettings]:
    """Return the settings of the cells of each job with a matrix whose cells have some of their own."""
    return {
        job.name: CellSettings(
            () if job.queues is None else _each(job, job.queues, cells[job.name], _queue, report, OPEN_QUEUE),
            {name: _each(job, values, cells[job.name], _READ[name], report, None) for name, values in job.own.items()},
        )
        for job in jobs
        if (job.queues is not None or job.own) and job.name in cells
    }


_Read = Callable[[Json, CellValues, str, Report], Json]


def _each(job: JobSpec, values: CellValues, cells: Cells, read: _Read, report: Report, unknown: Json) -> tuple[Json, ...]:  # noqa: PLR0917
    """Return a value for each cell. A problem of one cell ends it: the next one would often have the same."""
    node, scope, used = values.node, values.scope, values.axes
    axes = axes_of(cells, job.matrix)
    before = report.errors
    template, sites = scope.for_cell({}, axes, scope.place).template(node, report)
    if not sites:
        return () if report.errors > before else (unknown,) * len(cells)
    known: dict[str, Json] = {}  # by the values that the template reads: a large matrix has few queues
    found = []
    for cell in cells:
        key = repr(cell if used is None else [cell.get(axis, ...) for axis in used])
        if key not in known:
            value = scope.for_cell(cell, axes, scope.place).render(template, node, report)
            if value is not UNKNOWN:
                known[key] = read(value, values, cell_name(job.name, cell)[:100], report)
            if report.errors > before:
                return ()
        found.append(known[key])
    return tuple(found)


def _queue(value: Json, values: CellValues, cell: str, report: Report) -> str:
    problem = f"expected a queue's name for {cell}, found"
    name = queue_name(value, values.node, problem, report)
    if not name:
        report.add(Code.NAME, values.node.span, f"{problem} an empty one", "give each cell a value that makes a name")
    return name


_READ: Final[Mapping[str, _Read]] = {
    "timeout": lambda value, values, cell, report: limit_of(value, values.node, report, f" for {cell}"),
    "allow_failure": lambda value, values, cell, report: truth(value, values.node, report, f" for {cell}"),
}
