"""Values that must be known before the run: their expressions are evaluated by the compiler, with the given params."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.expressions.names import Known, check_names
from flowq.compiler.expressions.sites import SCHEDULED_RUN, Context, ExpressionSite, SiteReader
from flowq.compiler.syntax.nodes import Json, ScalarNode, YamlNode
from flowq.compiler.syntax.source import Report
from flowq.expr import EvalError, render
from flowq.plan import cell_name


class _Unknown(Enum):
    UNKNOWN = "unknown"


UNKNOWN: Final = _Unknown.UNKNOWN
"""A value that is unknown because of an already reported problem."""


@dataclass(frozen=True, slots=True)
class StaticScope:
    """The values known before the run.

    Attributes:
        params: the params that have a value.
        declared: the names of all params.
        run: the known keys of the run.
        matrix: the values of the cell.
        axes: for each of its names, whether every cell has it.
        later: the param whose default is evaluated, and those declared after it.
        place: where the values stand.
        job: the job that they are of, if messages name it.
    """

    params: Mapping[str, Json]
    declared: tuple[str, ...]
    run: Mapping[str, Json]
    matrix: Mapping[str, Json] | None = None
    axes: Mapping[str, bool] = field(default_factory=dict)
    later: tuple[str, ...] = ()
    place: Context = Context.STATIC
    job: str = ""

    def for_cell(self, cell: Mapping[str, Json], axes: Mapping[str, bool], place: Context = Context.CELL) -> "StaticScope":
        """Return the scope of one cell of a matrix."""
        return replace(self, matrix=cell, axes=axes, place=place)

    def evaluate(self, node: YamlNode, report: Report) -> Json:
        """Return the value of a node with its expressions evaluated, or `UNKNOWN` after a problem."""
        templated, sites = self.template(node, report)
        return self.render(templated, node, report) if sites else templated

    def template(self, node: YamlNode, report: Report) -> tuple[Json, Sequence[ExpressionSite]]:
        """Return the templated form of a node with its expressions, or `UNKNOWN` without any if they cannot be evaluated."""
        reader = SiteReader(report, self.place)
        before = report.errors
        templated = reader.value(node)
        if report.errors > before:
            return UNKNOWN, ()
        known = Known(self.declared, later=self.later, matrix=self.axes, is_matrix=self.matrix is not None, job=self.job)
        if False in [check_names(site, known, report) for site in reader.sites]:  # a list: each one reports
            return UNKNOWN, ()
        if any(self._missing(reference.path) for site in reader.sites for reference in site.expression.references()):
            return UNKNOWN, ()
        return templated, reader.sites

    def _missing(self, path: tuple[str | int, ...]) -> bool:
        """Return whether a used param has no value; the cause is reported at its declaration."""
        if path[0] != "params":
            return False
        return len(self.params) < len(self.declared) if len(path) == 1 else path[1] not in self.params

    def render(self, templated: Json, node: YamlNode, report: Report) -> Json:
        """Return the value of a template of `node`, or `UNKNOWN` after a problem."""
        try:
            run = {**self.run, **{key: self.run.get(key) for key in SCHEDULED_RUN}}
            return render(templated, {"params": dict(self.params), "run": run, "matrix": dict(self.matrix or {})})
        except EvalError as error:
            hint = "give the compiler the date of the run" if "date" not in self.run and "run.date" in str(error) else ""
            where = f" in {cell_name(self.job, self.matrix)[:100]}" if self.matrix and not report.cell else ""
            report.add(Code.EVALUATION, node.span, f"this has no value{where}: {error}", hint)
            return UNKNOWN


def has_holes(node: YamlNode) -> bool:
    """Return whether a scalar contains an expression."""
    return isinstance(node, ScalarNode) and type(node.value) is str and "${{" in node.value
