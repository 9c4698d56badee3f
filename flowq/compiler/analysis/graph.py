"""The graph of the jobs: unknown names, cycles, an order with parents first, and queries about ancestors."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from flowq.compiler.binding.spec import DependencySpec, JobSpec
from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.diagnostics.suggestions import did_you_mean
from flowq.compiler.syntax.source import Report

MAX_CYCLES: Final = 20  # most that are reported; one mistake can close very many

_RUNS_ONLY_IF_RUN: Final = frozenset({"success", "failure"})
_HOLD_WITHOUT_SKIPS: Final = frozenset({"success", "ok", "done"})  # where no job fails and none is skipped


@dataclass(frozen=True, slots=True)
class Graph:
    """Jobs by number (their position in the file), with edges that exist.

    A graph with a cycle has been reported and is made nothing of, but its questions have answers, so that what else is wrong is found.

    Attributes:
        jobs: the jobs of the flow.
        numbers: the number of each name.
        order: the numbers, parents before children, else as in the file; with a cycle as in the file.
        rank: the position of each number in `order`; with a cycle all have the same.
        children: for each number its edges to children, as (child, condition).
    """

    jobs: tuple[JobSpec, ...]
    numbers: dict[str, int]
    order: tuple[int, ...]
    rank: tuple[int, ...]
    children: tuple[tuple[tuple[int, str], ...], ...]
    _parents: tuple[tuple[tuple[int, DependencySpec], ...], ...]

    def parents(self, number: int) -> tuple[tuple[int, DependencySpec], ...]:
        """Return the existing parents of a job."""
        return self._parents[number]

    def below(self, number: int, wanted: Collection[int]) -> set[int]:
        """Return the jobs of `wanted` that have the job as an ancestor."""
        return self._reach({child for child, _ in self.children[number]}, wanted, None)

    def surely_after(self, number: int, wanted: Collection[int]) -> set[int]:
        """Return the jobs of `wanted` that can only run after the job has finished with a result.

        These are reached by `success` edges out of the job, unless its failure is allowed, and then by edges that hold only if their
        parent ran: `success` and `failure`.
        """
        if self.jobs[number].allow_failure is not False:
            return set()
        first = {child for child, condition in self.children[number] if condition == "success"}
        return self._reach(first, wanted, _RUNS_ONLY_IF_RUN)

    def never_skipped(self) -> frozenset[int]:
        """Return the jobs that run in every run in which no job fails: neither an `if` nor an edge can skip them."""
        gone = {
            number
            for number in self.order
            if self.jobs[number].condition is not None
            or any(edge.condition not in _HOLD_WITHOUT_SKIPS for _, edge in self.parents(number))
        }
        waiting = list(gone)
        while waiting:
            for child, condition in self.children[waiting.pop()]:
                if condition == "success" and child not in gone:
                    gone.add(child)
                    waiting.append(child)
        return frozenset(self.order).difference(gone)

    def _reach(self, start: set[int], wanted: Collection[int], conditions: frozenset[str] | None) -> set[int]:
        """Walk down to the last of `wanted` in the order."""
        last = max((self.rank[number] for number in wanted), default=-1)
        seen = set(start)
        waiting = list(start)
        while waiting:
            for child, condition in self.children[waiting.pop()]:
                if child not in seen and self.rank[child] <= last and (conditions is None or condition in conditions):
                    seen.add(child)
                    waiting.append(child)
        return seen & set(wanted)


def build_graph(jobs: tuple[JobSpec, ...], report: Report, *, before: Collection[str] = ()) -> Graph:
    """Return the graph; unknown jobs and cycles are reported.

    Args:
        jobs: the jobs of the graph, or the handlers of one phase.
        report: gets the problems.
        before: for handlers, the jobs of the graph, which have already ended and cannot be dependencies.
    """
    numbers = {job.name: number for number, job in enumerate(jobs)}
    parents = tuple(tuple(_known_parents(job, numbers, before, report)) for job in jobs)
    above = [[parent for parent, _ in found] for found in parents]
    order = _sort(above)
    if order is None:
        for cycle in islice(_cycles(above), MAX_CYCLES):
            _report_cycle(cycle, jobs, report)
        every = tuple(range(len(jobs)))
        return Graph(jobs, numbers, every, (0,) * len(jobs), _children(parents), parents)
    rank = [0] * len(jobs)
    for position, number in enumerate(order):
        rank[number] = position
    return Graph(jobs, numbers, tuple(order), tuple(rank), _children(parents), parents)


def _known_parents(
    job: JobSpec, numbers: dict[str, int], before: Collection[str], report: Report
) -> Iterator[tuple[int, DependencySpec]]:
    for dependency in job.depends_on:
        number = numbers.get(dependency.job)
        if number is None and report.full:
            continue
        if number is None and dependency.job in before:
            message = f"`{job.name}` is a handler: when it starts, `{dependency.job[:60]}` has ended"
            report.add(Code.UNKNOWN_JOB, dependency.span, message, "handlers wait only for handlers of their own section")
        elif number is None:
            known = [name for name in numbers if name != job.name and ":" not in name] if len(numbers) < 1000 else numbers
            message = f"`{job.name}` depends on `{dependency.job[:60]}`, which is not a job of this flow"
            report.add(Code.UNKNOWN_JOB, dependency.span, message, did_you_mean(dependency.job, known, "the jobs are"))
        else:
            yield number, dependency


def _children(parents: tuple[tuple[tuple[int, DependencySpec], ...], ...]) -> tuple[tuple[tuple[int, str], ...], ...]:
    found: list[list[tuple[int, str]]] = [[] for _ in parents]
    for number, above in enumerate(parents):
        for parent, dependency in above:
            found[parent].append((number, dependency.condition))
    return tuple(map(tuple, found))


def _sort(parents: list[list[int]]) -> list[int] | None:
    """Return the numbers with parents first, or None if there is a cycle; depth first along parents, without recursion."""
    order: list[int] = []
    state = bytearray(len(parents))  # 0 new, 1 open, 2 done
    for root in range(len(parents)):
        if state[root]:
            continue
        state[root] = 1
        path = [(root, iter(parents[root]))]
        while path:
            number, rest = path[-1]
            for parent in rest:
                if state[parent] == 1:
                    return None
                if state[parent] == 0:
                    state[parent] = 1
                    path.append((parent, iter(parents[parent])))
                    break
            else:
                path.pop()
                state[number] = 2
                order.append(number)
    return order


def _cycles(parents: list[list[int]]) -> Iterator[list[int]]:
    """Yield each job that depends on itself, then one cycle per strongly connected component, child first.

    It is a shortest cycle through the job of the component that comes first in the file, and begins with that job.
    """
    import networkx as nx  # slow to import, and needed only for cycles

    graph: nx.DiGraph[int] = nx.DiGraph((child, parent) for child, above in enumerate(parents) for parent in above)
    loops = sorted(nx.nodes_with_selfloops(graph))
    yield from ([number] for number in loops)
    graph.remove_edges_from([(number, number) for number in loops])
    sets = [members for members in nx.strongly_connected_components(graph) if len(members) > 1]
    for members in sorted(sets, key=min):
        first, part = min(members), graph.subgraph(members)
        far = dict(nx.single_target_shortest_path_length(part, first))
        yield [first, *nx.shortest_path(part, min(part[first], key=far.__getitem__), first)[:-1]]


def _report_cycle(numbers: list[int], jobs: tuple[JobSpec, ...], report: Report) -> None:
    """Report a cycle as `a -> b -> a`, where a depends on b."""
    names = [jobs[number].name for number in numbers]
    job = jobs[numbers[0]]
    after = names[1] if len(names) > 1 else names[0]
    span = next(item.span for item in job.depends_on if item.job == after)
    if len(names) == 1:
        report.add(Code.CYCLE, span, f"`{names[0]}` depends on itself", "remove this dependency")
        return
    shown = [*names, names[0]] if len(names) <= 12 else [*names[:6], f"… {len(names) - 8} more …", *names[-2:], names[0]]
    message = f"dependency cycle: {' -> '.join(shown)}"
    report.add(Code.CYCLE, span, message, "remove one of these dependencies (a -> b: a depends on b)")
