"""The append-only displays of a run, for pipes and CI: a line per change, and the output of jobs after their names; or JSON."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

from flowq.cli.context import complain
from flowq.cli.render.job_output import named_lines
from flowq.cli.render.output import Writer
from flowq.cli.render.styled_text import Line, Segment
from flowq.cli.render.vocabulary import approval_command, note, run_count_text, symbol, took, with_reason, word
from flowq.durations import format_duration
from flowq.flows.views.follow import GONE, Progress, Update
from flowq.flows.views.json_documents import event_json
from flowq.flows.views.run_view import JobView, error_of, ordinal_of
from flowq.flows.views.text import safe_line
from flowq.plan.foreach import cell_at
from flowq.states import JobStatus, Reason
from flowq.store.schema.records import Event, LogEntry

_SHOWN: Final = frozenset(
    {
        JobStatus.STARTED,
        JobStatus.FINISHED,
        JobStatus.FAILED,
        JobStatus.STOPPED,
        JobStatus.CANCELED,
        JobStatus.SKIPPED,
        JobStatus.SCHEDULED,
    }
)
_RETRYING: Final = "retrying"


class PlainDisplay:
    """A display that appends lines."""

    def __init__(self, writer: Writer, progress: Progress) -> None:
        self._writer = writer
        self._progress = progress
        view = progress.view()
        self._epoch_ms: int | None = None  # time of the first event shown: a retry counts from its own start
        self._started: dict[int, int] = {}
        self._lost = False
        head: Line = (
            (f"run {view.id}", "bold"),
            (f"  {safe_line(view.flow)}  {run_count_text(view)}", ""),
        )
        if view.attempt > 1:
            head = (*head, (f"  attempt {view.attempt}", ""))
        writer.lines([head, *self._questions(view.approvals)])

    def update(self, update: Update) -> None:
        """Write an update, output before the change that follows it."""
        if self._epoch_ms is None and update.events:
            self._epoch_ms = update.events[0].at_ms
        if update.lost is not None:
            if not self._lost:
                self._writer.lines([((f"{safe_line(update.lost)}; waiting for it", "warn"),)])
            self._lost = True
            return
        self._lost = False
        lines: list[Line] = []
        logs = deque(update.logs)
        for event in update.events:
            while logs and logs[0].at_ms <= event.at_ms:
                lines += self._output(logs.popleft())
            lines += self._event_lines(event, update)
        for entry in logs:
            lines += self._output(entry)
        if update.questions:
            view = self._progress.view()
            lines += self._questions([job for job in view.approvals if job.ordinal in update.questions])
        self._writer.lines(lines)

    def _questions(self, approvals: Sequence[JobView]) -> Iterator[Line]:
        """Yield for each approval that waits its question, and the command that decides it."""
        for job in approvals:
            text, style = word(job.status)
            mark = symbol(job.status, unicode=self._writer.terminal.unicode)
            remark = note(job, job.ended_ms or 0)
            yield ((" " * 9, ""), (f"{mark} {text:<8}  ", style), (safe_line(job.name), ""), (f"  {remark}", "warn"))
            yield ((" " * 9 + "next: ", "dim"), (approval_command(job), "bold"), ("  # in another terminal", "dim"))

    def _output(self, entry: LogEntry) -> Iterator[Line]:
        """Yield the lines to show for new output of a job."""
        return named_lines(self._progress.plan, entry)

    def remark(self, text: str) -> None:
        """Write a message of the command itself."""
        self._writer.lines([((safe_line(text), "warn"),)])

    def close(self) -> None:
        """Nothing is held that would have to be given back."""

    def last_words(self) -> Sequence[str]:
        """Return nothing: the summary is the end."""
        return ()

    def _event_lines(self, event: Event, update: Update) -> Iterator[Line]:
        ordinal = ordinal_of(event.job)
        cell = cell_at(self._progress.plan, ordinal)
        if ordinal is None or event.new == GONE or cell is None or cell.group or cell.hidden or not cell.selected:
            return
        status = JobStatus(event.new)
        if status is JobStatus.STARTED:
            self._started[ordinal] = event.at_ms
        if status is JobStatus.SKIPPED and cell.phase and event.reason == Reason.NOT_SELECTED:
            return  # a handler for another outcome
        if status not in _SHOWN and event.old != JobStatus.STARTED:
            return
        yield self._line(ordinal, event, update)

    def _line(self, ordinal: int, event: Event, update: Update) -> Line:
        status = JobStatus(event.new)
        text, style = self._word(event), word(status)[1]
        if text == _RETRYING:
            style = "warn"
        if ordinal in update.allowed:
            style = "warn"
        seconds = max(0, event.at_ms - (self._epoch_ms or event.at_ms)) / 1000
        segments: list[Segment] = [
            (f"{took(seconds):>7}  ", "dim"),
            (f"{symbol(status, unicode=self._writer.terminal.unicode)} {text:<8}  ", style),
            (safe_line(self._progress.plan.cells[ordinal].name), ""),
        ]
        started = self._started.get(ordinal)
        if event.old == JobStatus.STARTED and started is not None:
            segments.append((f"  {took((event.at_ms - started) / 1000)}", "dim"))
        remark = self._remark(ordinal, event, update)
        if remark:
            segments.append((f"  {remark}", "bad" if style == "badbold" else "dim"))
        return tuple(segments)

    def _word(self, event: Event) -> str:
        """Return what a change is called."""
        again = event.old == JobStatus.STARTED and event.new in {JobStatus.SCHEDULED, JobStatus.QUEUED}
        return _RETRYING if again else word(JobStatus(event.new))[0]

    def _remark(self, ordinal: int, event: Event, update: Update) -> str:
        if event.new == JobStatus.STARTED:
            return f"attempt {event.attempt}" if event.attempt > 1 else ""
        allowed = "allowed" if ordinal in update.allowed and event.new == JobStatus.FAILED else ""
        error = ""
        executed_in_vain = event.old == JobStatus.STARTED and event.new not in {JobStatus.FINISHED, JobStatus.CANCELED}
        if (executed_in_vain or event.new == JobStatus.FAILED) and event.reason != Reason.RUN_TIMEOUT:
            error = safe_line(error_of(self._progress.plan, ordinal, update.errors.get(ordinal, "")))
        text = ": ".join(part for part in (allowed, with_reason(event.reason, error)) if part)
        return "; ".join(part for part in (text, self._next_attempt(ordinal, event)) if part)

    def _next_attempt(self, ordinal: int, event: Event) -> str:
        """Return which attempt follows a failed one, and when: `attempt 2 of 4 in 5s`."""
        plan = self._progress.plan
        policy = plan.node_of(plan.cells[ordinal]).retry
        if policy is None or event.old != JobStatus.STARTED or event.new not in {JobStatus.SCHEDULED, JobStatus.QUEUED}:
            return ""
        wait = policy.intervals[min(event.attempt, len(policy.intervals)) - 1] if event.new == JobStatus.SCHEDULED else 0.0
        when = f" in {'about ' if policy.jitter else ''}{format_duration(wait)}" if wait else ""
        return f"attempt {event.attempt + 1} of {policy.max + 1}{when}"


class QuietDisplay:
    """A display that shows nothing before the summary but messages, on standard error."""

    def __init__(self) -> None:
        self._lost = False

    def update(self, update: Update) -> None:
        """Tell once that the server is lost."""
        if update.lost is not None and not self._lost:
            complain(f"{update.lost}; waiting for it")
        self._lost = update.lost is not None

    def remark(self, text: str) -> None:
        """Write a message of the command itself."""
        complain(text)

    def close(self) -> None:
        """Do nothing: there is nothing to restore."""

    def last_words(self) -> Sequence[str]:
        """Return no lines."""
        return ()


class JsonDisplay:
    """A display that writes each event as one line of JSON, without the output of jobs: `flowq logs` has that."""

    def __init__(self, writer: Writer, progress: Progress) -> None:
        self._writer = writer
        self._progress = progress

    def update(self, update: Update) -> None:
        """Write the new events."""
        for event in update.events:
            self._writer.json_line(event_json(event, self._progress.plan))

    def remark(self, text: str) -> None:
        """Ignore the message: it is not an event."""

    def close(self) -> None:
        """Nothing is held that would have to be given back."""

    def last_words(self) -> Sequence[str]:
        """Return nothing: the summary is the end."""
        return ()
