"""The last stage: from specs, cells and graph to the plan, with ordinals in an order in which parents come first."""

from collections.abc import Mapping

from flowq.compiler.checks import reads_of
from flowq.compiler.expand import Cells
from flowq.compiler.graph import Graph
from flowq.compiler.spec import FlowSpec, JobSpec
from flowq.plan import Cell, Edge, Node, Plan, cell_name


def make_plan(flow: FlowSpec, graph: Graph, cells: Mapping[str, Cells], file: str) -> Plan:
    """Return the plan of a flow in which nothing is wrong."""
    nodes: list[Node] = []
    members: list[Cell] = []
    targets: dict[int, int] = {}  # number of a job -> the ordinal that stands for the whole of it
    for number in graph.order:
        job = graph.jobs[number]
        edges = tuple(Edge(targets[parent], dependency.condition) for parent, dependency in graph.parents(number))
        position = len(nodes)
        nodes.append(_node(job))
        members.extend(_members(job, position, edges, cells.get(job.name, ()), len(members)))
        targets[number] = len(members) - 1
    head = flow.head
    return Plan(
        name=head.name,
        nodes=tuple(nodes),
        cells=tuple(members),
        file=file,
        params=dict(head.bound.values),
        description=head.description,
        labels=head.labels,
        retention=head.retention,
    )


def _members(job: JobSpec, node: int, edges: tuple[Edge, ...], cells: Cells, first: int) -> list[Cell]:
    """Return the jobs of one node; of a matrix its cells and, last, the group that counts them."""
    if job.matrix is None:
        return [Cell(first, job.name, node, edges)]
    found = [Cell(first + position, cell_name(job.name, values), node, edges, values) for position, values in enumerate(cells)]
    counted = tuple(Edge(cell.ordinal, "done") for cell in found)
    found.append(Cell(first + len(found), job.name, node, counted or edges, group=True))
    return found


def _node(job: JobSpec) -> Node:
    return Node(
        name=job.name,
        line=job.span.line,
        action=job.action,
        queue=job.queue,
        timeout=job.timeout,
        ttl=job.ttl,
        result_ttl=job.result_ttl,
        failure_ttl=job.failure_ttl,
        retry=job.retry,
        allow_failure=job.allow_failure,
        priority=job.priority,
        at_front=job.at_front,
        delay=job.delay,
        condition=job.condition,
        env=job.env,
        workdir=job.workdir,
        reads=reads_of(job),
        matrix=job.matrix is not None,
        description=job.description,
        labels=job.labels,
    )
