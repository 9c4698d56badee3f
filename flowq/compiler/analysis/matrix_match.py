"""`match`: a cell depends only on the cells of another matrix that have equal values on some axes."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from flowq.compiler.analysis.graph import Graph
from flowq.compiler.analysis.matrix_cells import Cells, value_key
from flowq.compiler.binding.spec import DependencySpec, JobSpec
from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.diagnostics.suggestions import listing
from flowq.compiler.syntax.nodes import Json
from flowq.compiler.syntax.source import Report
from flowq.plan import cell_name


def by_values(cells: Cells, axes: Sequence[str]) -> dict[tuple[str, ...], list[int]]:
    """Return the positions of the cells by their values on some axes, without cells that lack one."""
    found: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for position, cell in enumerate(cells):
        key = key_of(cell, axes)
        if key is not None:
            found[key].append(position)
    return dict(found)


def key_of(cell: Mapping[str, Json], axes: Sequence[str]) -> tuple[str, ...] | None:
    """Return a key that is equal for cells with equal values on the axes; None if the cell lacks one."""
    return tuple(value_key(cell[axis]) for axis in axes) if all(axis in cell for axis in axes) else None


def check_matches(graph: Graph, cells: Mapping[str, Cells], report: Report) -> None:
    """Report wrong `match`es, and cells without any match."""
    for number, job in enumerate(graph.jobs):
        for parent, dependency in graph.parents(number):
            if dependency.match and _possible(job, graph.jobs[parent], dependency, cells, report):
                _check_cells(job, graph.jobs[parent], dependency, cells, report)


def _possible(job: JobSpec, parent: JobSpec, dependency: DependencySpec, cells: Mapping[str, Cells], report: Report) -> bool:
    for one in (job, parent):
        if one.matrix is None:
            message = f"`match` compares the cells of two matrices, `{one.name}` has none"
            report.add(Code.MATCH, dependency.span, message, f"add `matrix:` to {one.name}, or remove `match`")
            return False
        known = {name for cell in cells.get(one.name, ()) for name in cell}
        missing = [axis for axis in dependency.match if axis not in known and cells.get(one.name)]
        if missing:
            message = f"`match` names the axis `{missing[0]}`, which the matrix of `{one.name}` does not have"
            report.add(Code.MATCH, dependency.span, message, f"its axes are {listing(sorted(known))}")
            return False
    return True


def _check_cells(job: JobSpec, parent: JobSpec, dependency: DependencySpec, cells: Mapping[str, Cells], report: Report) -> None:
    if parent.matrix is None or not parent.matrix.complete:
        return  # what is missing is reported, or a param has no value
    there = by_values(cells.get(parent.name, ()), dependency.match)
    for cell in cells.get(job.name, ()):
        if key_of(cell, dependency.match) not in there:
            message = f"no cell of `{parent.name}` fits {cell_name(job.name, cell)[:100]}: it waits for none of them"
            report.add(Code.MATCH_NOTHING, dependency.span, message, "compare the values of the axes")
            return
