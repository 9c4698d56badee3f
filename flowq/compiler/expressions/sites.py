"""Sites: the expressions in the strings of the tree, with the spans of their parts.

A *site* is one expression of a flow with its place. The stages that read values collect sites; `analysis.expressions` checks them once
the graph is known.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.diagnostics.diagnostic import Span
from flowq.compiler.syntax.nodes import Json, MapNode, ScalarNode, YamlNode
from flowq.compiler.syntax.source import Report
from flowq.expr import Expression, ExprSyntaxError, Hole, join_holes, literal, parse, split_template

SCHEDULED_RUN: Final = ("schedule", "scheduled_at")  # keys of `run` that are null unless a schedule has started it
STATIC_RUN: Final = ("date", "name", *SCHEDULED_RUN)
RUNTIME_RUN: Final = ("attempt", "date", "flow_dir", "id", "name", *SCHEDULED_RUN)
HANDLER_RUN: Final = ("failed_jobs", "status")  # keys of `run` for handlers only
NOTICE_RUN: Final = ("attempt", "id", "name", "status")  # keys of `run` for messages about it


class Context(Enum):
    """The context of an expression, in the words of the messages; it determines the legal root names."""

    STATIC = "before the run"
    CELL = "in the `params` of a sub-flow"
    QUEUE = "in `queue`"
    TIMEOUT = "in `timeout`"
    ALLOW_FAILURE = "in `allow_failure`"
    FLOW_ENV = "in the environment of the flow"
    JOB_ENV = "in `env`"
    JOB = "in a job"
    RESOURCES = "in `resources`"
    LIST = "in `foreach`"
    WHOLE = "in the `if` of a `foreach`"
    OUTPUTS = "in `outputs`"
    SCHEDULE = "in the `params` of a schedule"
    EVENT = "in a trigger"
    NOTICE = "in the message of `notify`"

    @property
    def roots(self) -> tuple[str, ...]:
        """The legal root names."""
        return _ROOTS[self]

    @property
    def run_keys(self) -> tuple[str, ...]:
        """The known keys of `run`."""
        if self is Context.NOTICE:
            return NOTICE_RUN
        return STATIC_RUN if self in (Context.STATIC, Context.CELL, Context.SCHEDULE) or self.of_cells else RUNTIME_RUN

    @property
    def of_cells(self) -> bool:
        """Whether it is a key of a job that each cell of a matrix may have for itself."""
        return self in (Context.QUEUE, Context.TIMEOUT, Context.ALLOW_FAILURE)


_ROOTS: Final[dict[Context, tuple[str, ...]]] = {
    Context.STATIC: ("params", "run"),
    Context.CELL: ("params", "run", "matrix"),
    Context.QUEUE: ("params", "run", "matrix"),
    Context.TIMEOUT: ("params", "run", "matrix"),
    Context.ALLOW_FAILURE: ("params", "run", "matrix"),
    Context.FLOW_ENV: ("params", "run"),
    Context.JOB_ENV: ("params", "run", "jobs", "matrix", "item", "index", "job"),
    Context.JOB: ("params", "env", "run", "jobs", "matrix", "item", "index", "job"),
    Context.RESOURCES: ("params", "run", "matrix"),
    Context.LIST: ("params", "run", "jobs"),
    Context.WHOLE: ("params", "run", "jobs"),
    Context.OUTPUTS: ("params", "jobs"),
    Context.SCHEDULE: ("run",),
    Context.EVENT: ("event",),
    Context.NOTICE: ("params", "run", "event"),
}


@dataclass(frozen=True, slots=True)
class ExpressionSite:
    """An expression with its place. `offset` is the start of its source in the scalar's value."""

    expression: Expression
    scalar: ScalarNode
    offset: int
    place: Context
    wanted: str = ""  # the type it must have: boolean, list

    def span(self, report: Report, start: int, end: int) -> Span:
        """Return the span of `source[start:end]` of the expression."""
        return locate(report, self.scalar, self.offset + start, self.offset + end)


class SiteReader:
    """A reader that turns nodes of the tree into templated JSON and collects their sites."""

    def __init__(self, report: Report, place: Context) -> None:
        self.sites: list[ExpressionSite] = []
        self._report = report
        self._place = place
        self._done: dict[int, Json] = {}  # lists and maps that aliases repeat are read once

    def value(self, node: YamlNode) -> Json:
        """Return the templated form of a node."""
        if isinstance(node, ScalarNode):
            return self.text(node) if type(node.value) is str and "${{" in node.value else node.value
        if id(node) not in self._done:
            self._done[id(node)] = (
                literal({key: self.value(item) for key, (_, item) in node.entries.items()})
                if isinstance(node, MapNode)
                else [self.value(item) for item in node.items]
            )
        return self._done[id(node)]

    def text(self, node: ScalarNode) -> Json:
        """Return the templated form of a string with holes."""
        return join_holes([part for part, _ in self.parts(node)])

    def parts(self, node: ScalarNode) -> Iterator[tuple[str | Hole, Expression | None]]:
        """Yield the pieces of a string: constant ones, and holes with their expression (None after a problem)."""
        try:
            pieces = split_template(node.value)
        except ExprSyntaxError as error:
            self._report.add(Code.EXPRESSION, locate(self._report, node, error.start, error.end), error.message, error.help)
            yield "", None
            return
        for piece in pieces:
            yield piece, self.expression(node, piece.source, piece.offset) if isinstance(piece, Hole) else None

    def expression(self, node: ScalarNode, source: str, offset: int, *, wanted: str = "") -> Expression | None:
        """Parse one expression of a scalar and record its site; return None after a problem."""
        try:
            expression = parse(source)
        except ExprSyntaxError as error:
            span = locate(self._report, node, offset + error.start, offset + error.end)
            self._report.add(Code.EXPRESSION, span, error.message, error.help)
            return None
        self.sites.append(ExpressionSite(expression, node, offset, self._place, wanted))
        return expression


def locate(report: Report, scalar: ScalarNode, start: int, end: int) -> Span:
    """Return the span of `value[start:end]` of a string scalar.

    The raw text differs from the value by quotes, escapes, indentation and folding. Instead of undoing these, the words up to the place are
    searched in the raw text one after the other, as the quoting style writes them. This is exact unless a word contains escapes other than
    those of the quote and the backslash.
    """
    if report.full:
        return scalar.span
    value: str = scalar.value if isinstance(scalar.value, str) else scalar.text
    raw = report.source.text[scalar.start.index : scalar.end.index]
    base = scalar.start.index
    position = raw.find("\n") + 1 if scalar.style in ("|", ">") else len(scalar.style)
    for before in value[:start].split():
        word = _as_written(before, scalar.style)
        found = raw.find(word, position)
        if found < 0:
            return scalar.span
        position = found + len(word)
    wanted = value[start:end] if end > start else value[start : start + 1]
    word = _as_written(wanted.split("\n")[0].rstrip() or wanted[:1], scalar.style)
    found = raw.find(word, position) if word.strip() else position
    if found < 0:
        return scalar.span
    return report.source.span(base + found, base + found + max(len(word), 1))


def _as_written(word: str, style: str) -> str:
    """Return a word as it is written in the given quoting style."""
    if style == "'":
        return word.replace("'", "''")
    return word.replace("\\", "\\\\").replace('"', '\\"') if style == '"' else word
