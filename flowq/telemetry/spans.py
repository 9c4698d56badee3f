"""A run as spans: one for the latest attempt of the run, and below it one for each execution of a job in that attempt."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from flowq.flows.views.run_view import ordinal_of
from flowq.ids import member_id, span_id, trace_id
from flowq.plan import Plan
from flowq.states import ENDED, JobStatus, RunStatus
from flowq.store.schema.records import Event, RunRecord

_GOOD = frozenset({RunStatus.FINISHED, RunStatus.SKIPPED, JobStatus.FINISHED})


@dataclass(frozen=True, slots=True)
class TraceSpan:
    """A stretch of time with a name. Times in ms since the epoch.

    Attributes:
        trace: the id of its trace.
        id: its own.
        parent: the id of the span above it; empty for that of a run.
        problem: why it did not end well; None if it did.
        links: ids of the spans that it waited for.
        marks: moments within it, `(name, time)`.
    """

    trace: str
    id: str
    parent: str
    name: str
    begin_ms: int
    end_ms: int
    attributes: Mapping[str, str | int]
    problem: str | None = None
    links: tuple[str, ...] = ()
    marks: tuple[tuple[str, int], ...] = field(default=())


def spans_of(plan: Plan, run: RunRecord, events: Sequence[Event]) -> Iterator[TraceSpan]:
    """Yield the spans of the latest attempt of a run that has ended, that of the run first.

    Args:
        plan: its plan, with the cells of its foreach jobs.
        run: its record.
        events: all that are kept of its events, oldest first.
    """
    latest = _of_attempt(events, run.attempt)
    begin = latest[0].at_ms if latest and run.attempt > 1 else run.created_ms
    end = run.ended_ms or (latest[-1].at_ms if latest else begin)
    trace, root = trace_id(run.id), span_id(run.id, run.attempt)
    attributes: dict[str, str | int] = {
        "cicd.pipeline.name": run.flow,
        "cicd.pipeline.run.id": run.id,
        "cicd.pipeline.result": _result(run.status),
        "flowq.attempt": run.attempt,
        "flowq.status": str(run.status),
    }
    if run.cause:
        attributes["flowq.cause"] = run.cause
    problem = None if run.status in _GOOD else str(run.status)
    yield TraceSpan(trace, root, "", f"flow {run.flow}", begin, end, attributes, problem)
    yield from _Executions(plan, run, root).of(latest)


def _of_attempt(events: Sequence[Event], attempt: int) -> Sequence[Event]:
    """Return the events from the beginning of the latest attempt on: before it the jobs that run again are reset."""
    if attempt == 1:
        return events
    first = next((index for index, event in enumerate(events) if event.job is None and event.attempt == attempt), 0)
    return events[first:]


class _Executions:
    """The executions of one attempt. `root`: the id of the span above them."""

    def __init__(self, plan: Plan, run: RunRecord, root: str) -> None:
        self._plan = plan
        self._run = run
        self._root = root
        self._latest: dict[int, str] = {}  # by ordinal: the id of its latest span

    def of(self, events: Iterable[Event]) -> Iterator[TraceSpan]:
        """Yield a span for each execution that has ended."""
        begun: dict[int, Event] = {}
        queued: dict[int, int] = {}
        for event in events:
            ordinal = ordinal_of(event.job)
            if ordinal is None or ordinal >= len(self._plan.cells):
                continue
            if event.new == JobStatus.QUEUED:
                queued[ordinal] = event.at_ms
            if event.old == JobStatus.STARTED and ordinal in begun:
                marks = (("queued", queued[ordinal]),) if ordinal in queued else ()
                yield self._span(ordinal, begun.pop(ordinal), event, marks)
            if event.new == JobStatus.STARTED:
                begun[ordinal] = event

    def _span(self, ordinal: int, begin: Event, end: Event, marks: tuple[tuple[str, int], ...]) -> TraceSpan:
        cell = self._plan.cells[ordinal]
        job = member_id(self._run.id, ordinal)
        attributes: dict[str, str | int] = {
            "cicd.pipeline.task.name": cell.label,
            "cicd.pipeline.task.run.id": job,
            "flowq.queue": self._plan.queue_of(cell),
            "flowq.attempt": begin.attempt,
            "flowq.execution": begin.execution,
            "flowq.status": end.new if end.new in ENDED else "retried",
        }
        if end.reason:
            attributes["flowq.reason"] = end.reason
        problem = None if end.new in _GOOD else end.reason or end.new
        links = tuple(self._latest[edge.parent] for edge in cell.parents if edge.parent in self._latest)
        self._latest[ordinal] = own = span_id(job, begin.execution)
        return TraceSpan(
            trace_id(self._run.id),
            own,
            self._root,
            f"job {cell.label}",
            begin.at_ms,
            end.at_ms,
            attributes,
            problem,
            links,
            marks,
        )


def _result(status: RunStatus) -> str:
    """Return a status in the words of the semantic conventions of OpenTelemetry."""
    match status:
        case RunStatus.FINISHED:
            return "success"
        case RunStatus.CANCELED:
            return "cancellation"
        case RunStatus.SKIPPED:
            return "skip"
        case _:
            return "failure"
