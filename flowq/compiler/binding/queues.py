"""`queue`: the queue of a job, or of each cell of a matrix."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from flowq.compiler.binding.spec import CellValues
from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.expressions.constants import UNKNOWN, StaticScope, has_holes
from flowq.compiler.expressions.sites import Context, ExpressionSite, SiteReader
from flowq.compiler.syntax.nodes import Json, MapNode, ScalarNode, YamlNode
from flowq.compiler.syntax.source import Report
from flowq.expr import to_text
from flowq.plan import OPEN_QUEUE

_CHARACTERS: Final = "letters, digits, `_`, `-`, `.` and `:`"

_QUEUE: Final = re.compile(r"[A-Za-z0-9_.:-]{1,128}")


def read_queue(name: str, job: MapNode, scope: StaticScope, report: Report) -> str | CellValues | None:
    """Return the queue of a job.

    Args:
        name: of the job.
        job: its keys.
        scope: the values known before the run.
        report: gets the problems.

    Returns:
        Its name, `OPEN_QUEUE` where that depends on a param without a value, None where none is given; of a job with a matrix, the template
        if it uses the values of the cells.
    """
    node = job.get("queue")
    if not isinstance(node, ScalarNode) or not isinstance(node.value, str):
        return None
    if not has_holes(node):
        return node.value or None
    scope, before = replace(scope, place=Context.QUEUE, job=name), report.errors
    if (values := values_of_cells(node, job, scope, report)) is not None or report.errors > before:
        return values
    return queue_name(scope.evaluate(node, report), node, "expected a queue's name, found", report) or None


def values_of_cells(node: YamlNode | None, job: MapNode, scope: StaticScope, report: Report) -> CellValues | None:
    """Return a key of a job that uses the values of the cells of its matrix; None of another one, and after a problem.

    Args:
        node: its value.
        job: the keys of the job.
        scope: the values known before the run, with the place of the key and the name of the job.
        report: gets the problems.
    """
    if "matrix" not in job.entries or not isinstance(node, ScalarNode) or not has_holes(node):
        return None
    reader, before = SiteReader(report, scope.place), report.errors
    reader.value(node)
    axes = _axes(reader.sites) if report.errors == before else ()
    return CellValues(node, scope, None if "" in axes else axes) if axes else None


def queue_name(value: Json, node: YamlNode, problem: str, report: Report) -> str:
    """Return the name that a template gives, which may be empty, or `OPEN_QUEUE`. `problem`: the message of one that no queue can have."""
    if value is UNKNOWN:
        return OPEN_QUEUE
    name = to_text(value)
    if name and not _QUEUE.fullmatch(name):
        report.add(Code.NAME, node.span, f"{problem} {name[:60]!r}", _CHARACTERS)
    return name


def _axes(sites: Sequence[ExpressionSite]) -> tuple[str, ...]:
    """Return the names of the values of a cell that expressions use, "" for all of them."""
    paths = (reference.path for site in sites for reference in site.expression.references())
    return tuple(dict.fromkeys(str(path[1]) if len(path) > 1 else "" for path in paths if path[0] == "matrix"))
