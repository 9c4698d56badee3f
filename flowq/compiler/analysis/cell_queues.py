"""The queues of the cells of a matrix."""

from collections.abc import Mapping, Sequence

from flowq.compiler.analysis.expressions import axes_of
from flowq.compiler.analysis.matrix_cells import Cells
from flowq.compiler.binding.queues import queue_name
from flowq.compiler.binding.spec import JobSpec
from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.expressions.sites import Context
from flowq.compiler.syntax.source import Report
from flowq.plan import OPEN_QUEUE, cell_name


def queues_of_cells(jobs: Sequence[JobSpec], cells: Mapping[str, Cells], report: Report) -> dict[str, tuple[str, ...]]:
    """Return for each job whose cells have queues of their own these queues, in the order of the cells."""
    return {job.name: _queues(job, cells[job.name], report) for job in jobs if job.queues is not None and job.name in cells}


def _queues(job: JobSpec, cells: Cells, report: Report) -> tuple[str, ...]:
    """Return a queue for each cell. A problem of one cell ends it: the next one would often have the same."""
    assert job.queues is not None
    node, scope, used = job.queues.node, job.queues.scope, job.queues.axes
    axes = axes_of(cells, job.matrix)
    before = report.errors
    template, sites = scope.for_cell({}, axes, Context.QUEUE).template(node, report)
    if not sites:
        return () if report.errors > before else (OPEN_QUEUE,) * len(cells)
    known: dict[str, str] = {}  # by the values that the template reads: a large matrix has few queues
    found = []
    for cell in cells:
        key = repr(cell if used is None else [cell.get(axis, ...) for axis in used])
        if key not in known:
            name = cell_name(job.name, cell)[:100]
            problem = f"expected a queue's name for {name}, found"
            known[key] = queue_name(scope.for_cell(cell, axes).render(template, node, report), node, problem, report)
            if not known[key]:
                report.add(Code.NAME, node.span, f"{problem} an empty one", "give each cell a value that makes a name")
            if report.errors > before:
                return ()
        found.append(known[key])
    return tuple(found)
