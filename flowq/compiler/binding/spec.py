"""The typed records of a flow, between the tree and the graph.

All values of a spec are parsed and checked; later stages use the tree (`JobSpec.tree`) only for spans.
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
from flowq.plan.notice import Notice
from flowq.plan.schedule import Entry
from flowq.plan.shipment import Shipment
from flowq.plan.trigger import Trigger


@record
class DependencySpec:
    """One entry of `depends_on`."""

    job: str
    condition: str
    place: "ScalarNode | JobSpec"  # the node that states the dependency
    match: tuple[str, ...] = ()  # axes on which the cells must be equal; empty: all cells
    plain: bool = False  # without an explicit condition

    @property
    def span(self) -> Span:
        """The span of the dependency."""
        return self.place.span


@dataclass(frozen=True, slots=True)
class SubFlow:
    """The sub-flow of a job: its file, and its params, not evaluated because each cell of a matrix has its own values."""

    path: str
    span: Span
    params: Mapping[str, YamlNode]
    names: Mapping[str, Span]
    scope: StaticScope


@dataclass(frozen=True, slots=True)
class CellValues:
    """A key of a job with a matrix whose value differs from cell to cell, not evaluated. `axes`: what it reads; None: all values of a cell."""

    node: ScalarNode
    scope: StaticScope
    axes: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class CellRule:
    """One entry of a matrix's `include` or `exclude`. `known` is False if a value is missing."""

    values: Mapping[str, Json]
    span: Span
    known: bool = True


@dataclass(frozen=True, slots=True)
class MatrixSpec:
    """A matrix with its values. `complete` is False if values are missing: after a reported problem, or because a param has none."""

    axes: Mapping[str, tuple[Json, ...]]
    include: tuple[CellRule, ...]
    exclude: tuple[CellRule, ...]
    span: Span
    complete: bool = True


@record
class JobSpec(JobFields):
    """A job: the fields that it shares with the plan, and those that only the compiler needs."""

    _: KW_ONLY
    name: str
    span: Span
    tree: MapNode  # the map it was read from, defaults and templates merged in
    depends_on: tuple[DependencySpec, ...] = ()
    matrix: MatrixSpec | None = None
    queues: CellValues | None = None  # instead of `queue`
    own: Mapping[str, CellValues] = field(default_factory=dict)  # instead of `timeout` and `allow_failure`, by name
    stage: str = ""
    sub: SubFlow | None = None
    sites: tuple[ExpressionSite, ...] = ()
    fetch_spans: tuple[Span, ...] = ()  # of the keys of `fetch`

    @property
    def several(self) -> bool:
        """Whether the job has cells, so that its result is a list."""
        return self.matrix is not None or self.foreach is not None

    @property
    def counts(self) -> bool:
        """Whether this is not a job of the file but a stage, which counts its jobs."""
        return self.action.kind == "stage"


@dataclass(frozen=True, slots=True)
class FlowHead:
    """A flow without its jobs."""

    name: str
    bound: Bound
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, Json] = field(default_factory=dict)
    env_sites: tuple[ExpressionSite, ...] = ()
    env_node: YamlNode | None = None  # without the variables of dotenv files
    secrets: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    retention: float | None = None
    keep: int | None = None  # ended runs of the flow
    keep_of_entry: int | None = None  # … of the entry that it is compiled for
    timezone: str = ""  # of the flow that is run, also in its sub-flows
    timeout: float | None = None
    fail_fast: bool = False
    concurrency: Concurrency | None = None
    schedules: tuple[Entry, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    notify: tuple[Notice, ...] = ()
    shipment: Shipment | None = None
    outputs: Mapping[str, Json] = field(default_factory=dict)
    output_sites: tuple[ExpressionSite, ...] = ()


@dataclass(frozen=True, slots=True)
class FlowSpec:
    """A flow with all values read. The graph is not checked yet.

    `jobs` includes the stages that other jobs wait for, see `stages`; `handlers` has the jobs of each phase that has some.
    """

    head: FlowHead
    jobs: tuple[JobSpec, ...]
    handlers: Mapping[str, tuple[JobSpec, ...]] = field(default_factory=dict)
