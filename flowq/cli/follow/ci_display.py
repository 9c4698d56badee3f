"""The display of a run in a CI system's log: a line per change, and the output of each job as one fold when it has ended."""

import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from flowq.cli.follow.log_display import PlainDisplay
from flowq.cli.render.output import Writer
from flowq.cli.render.styled_text import Line
from flowq.cli.render.vocabulary import reason_text, symbol, took
from flowq.flows.explain.script_lines import line_in_file, names_a_line
from flowq.flows.render.ci_annotations import Annotation, Annotations, Fold
from flowq.flows.views.follow import Progress, Update
from flowq.flows.views.job_output import output_lines, plain_line
from flowq.flows.views.run_view import error_of, ordinal_of
from flowq.flows.views.text import plural, safe_line
from flowq.states import JobStatus
from flowq.store.schema.records import Event, LogEntry

_LINES: Final = 5000  # per execution; `flowq logs` shows the rest
_Execution: TypeAlias = tuple[int | None, int]  # the ordinal of a job, and the number of the execution
_BAD: Final = frozenset({JobStatus.FAILED, JobStatus.STOPPED})


class AnnotatedDisplay(PlainDisplay):
    """A display that writes folds and annotations.

    Args:
        writer: standard output.
        progress: the run.
        dialect: the annotations of the CI system.
    """

    def __init__(self, writer: Writer, progress: Progress, dialect: Annotations) -> None:
        writer.raw(dialect.opening())
        super().__init__(writer, progress)
        self._dialect = dialect
        self._begun: dict[_Execution, int] = {}
        self._kept: dict[_Execution, list[str]] = {}
        self._left_out: dict[_Execution, int] = {}
        self._named: dict[_Execution, bytes] = {}  # the last output that names a line of the script
        self._ended: list[tuple[Event, str, bool]] = []  # executions whose output may not be complete yet

    def update(self, update: Update) -> None:
        """Write new lines, and the fold of each job that has ended and whose output has been read."""
        super().update(update)
        for event in update.events:
            ordinal = ordinal_of(event.job)
            if event.new == JobStatus.STARTED:
                self._begun[ordinal, event.execution] = event.at_ms
            if ordinal is not None and (
                event.old == JobStatus.STARTED or event.new in _BAD
            ):  # a job can also fail before it starts
                self._ended.append((event, update.errors.get(ordinal, ""), ordinal in update.allowed))
        read_to = update.logs[-1].at_ms if update.logs and not update.ended else None
        waiting = []
        for event, error, allowed in self._ended:
            if read_to is not None and read_to <= event.at_ms:
                waiting.append((event, error, allowed))
            else:
                self._writer.raw(self._piece(event, error, allowed=allowed))
        self._ended = waiting

    def last_words(self) -> Sequence[str]:
        """Return the lines to write after the summary."""
        return self._dialect.closing()

    def _output(self, entry: LogEntry) -> Iterator[Line]:
        """Keep output for the job's fold."""
        ordinal = ordinal_of(entry.job)
        if ordinal is not None:
            execution = ordinal, entry.execution
            kept = self._kept.setdefault(execution, [])
            new = [plain_line(runs) for runs in output_lines(entry.data)]
            room = max(0, _LINES - len(kept))
            kept += new[:room]
            self._left_out[execution] = self._left_out.get(execution, 0) + len(new[room:])
            if names_a_line(entry.data):
                self._named[execution] = entry.data
        return iter(())

    def _piece(self, event: Event, error: str, *, allowed: bool) -> Iterator[str]:
        ordinal = ordinal_of(event.job) or 0
        status = JobStatus(event.new)
        name = self._progress.plan.cells[ordinal].name
        execution = ordinal, event.execution
        begun = self._begun.pop(execution, event.at_ms)
        failed = status in _BAD and not allowed
        lines = self._kept.pop(execution, [])
        more = self._left_out.pop(execution, 0)
        named = self._named.pop(execution, b"")
        if more:
            lines.append(f"… {plural(more, 'more line')}: flowq logs {event.run} {shlex.quote(safe_line(name))}")
        mark = symbol(status, unicode=self._writer.terminal.unicode)
        if lines:
            title = f"{mark} {name} {self._word(event)} {took((event.at_ms - begun) / 1000)}"
            key = f"flowq_{event.run}_{ordinal}_{event.execution}"
            yield from self._dialect.fold(Fold(key, title, lines, begun // 1000, event.at_ms // 1000, failed))
        if failed:
            why = error_of(self._progress.plan, ordinal, error) or reason_text(event.reason) or str(status)
            plan = self._progress.plan
            place = plan.place_of(plan.node_of(plan.cells[ordinal]))
            line = line_in_file(place, named.split(b"\n")) or place.line
            yield from self._dialect.mark(Annotation(_relative(place.file), line, f"{name} {status}", why))


def _relative(file: str) -> str:
    """Return the file's path relative to the checkout; unchanged if it is elsewhere."""
    root = os.environ.get("GITHUB_WORKSPACE") or os.environ.get("CI_PROJECT_DIR") or str(Path.cwd())
    try:
        return str(Path(file).resolve().relative_to(Path(root).resolve()))
    except ValueError:
        return file
