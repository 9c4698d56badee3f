"""What a flow says, typed: the stage between the tree and the graph.

A spec holds no name that could still be anything, no duration that could still be text: its readers need not look at the tree again, but
for the places of things (`JobSpec.tree`).
"""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field

from flowq.compiler.diagnostics.diagnostic import Span
from flowq.compiler.expressions.constants import StaticScope
from flowq.compiler.expressions.sites import ExpressionSite
from flowq.compiler.params.params import Bound
from flowq.compiler.syntax.nodes import Json, MapNode, ScalarNode, YamlNode
from flowq.plan import Concurrency, JobFields
from flowq.plan.bulk import record


@record
class DependencySpec:
    """One entry of `depends_on`."""

    job: str
    condition: str
    place: "ScalarNode | JobSpec"  # what says so
    match: tuple[str, ...] = ()  # axes on which the cells must be equal; empty: all cells
    plain: bool = False  # only the job is named: `success` was not thought about

    @property
    def span(self) -> Span:
        """The place in the file."""
        return self.place.span


@dataclass(frozen=True, slots=True)
class SubFlow:
    """The other flow a job stands for: its file, and its params as they are written: each cell of a matrix has values of its own."""

    path: str
    span: Span
    params: Mapping[str, YamlNode]
    scope: StaticScope


@dataclass(frozen=True, slots=True)
class CellRule:
    """One entry of a matrix's `include` or `exclude`."""

    values: Mapping[str, Json]
    span: Span


@dataclass(frozen=True, slots=True)
class MatrixSpec:
    """A matrix with its values. `complete` is False after a reported problem that leaves an axis without its values."""

    axes: Mapping[str, tuple[Json, ...]]
    include: tuple[CellRule, ...]
    exclude: tuple[CellRule, ...]
    span: Span
    complete: bool = True


@record
class JobSpec(JobFields):
    """A job: the fields of the plan, and what the stages up to the plan need besides."""

    _: KW_ONLY
    name: str
    span: Span
    tree: MapNode  # the map it was read from, defaults and templates merged in
    depends_on: tuple[DependencySpec, ...] = ()
    matrix: MatrixSpec | None = None
    stage: str = ""
    sub: SubFlow | None = None
    sites: tuple[ExpressionSite, ...] = ()

    @property
    def several(self) -> bool:
        """Whether the job is a list of cells: its result is a list."""
        return self.matrix is not None or self.foreach is not None

    @property
    def counts(self) -> bool:
        """Whether this is a stage: not a job of the file, but what counts the jobs of one."""
        return self.action.kind == "stage"


@dataclass(frozen=True, slots=True)
class FlowHead:
    """Everything of a flow but its jobs."""

    name: str
    bound: Bound
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, Json] = field(default_factory=dict)
    env_sites: tuple[ExpressionSite, ...] = ()
    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    retention: float | None = None
    timeout: float | None = None
    fail_fast: bool = False
    concurrency: Concurrency | None = None
    outputs: Mapping[str, Json] = field(default_factory=dict)
    output_sites: tuple[ExpressionSite, ...] = ()


@dataclass(frozen=True, slots=True)
class FlowSpec:
    """A flow whose every value is read. The graph is not checked yet.

    `jobs` has the stages that other jobs wait for among the jobs, see `stages`; `handlers` has the jobs of each phase that has some.
    """

    head: FlowHead
    jobs: tuple[JobSpec, ...]
    handlers: Mapping[str, tuple[JobSpec, ...]] = field(default_factory=dict)
