"""The summary at the end of a followed run: its table, the last output of failed jobs, and commands to run next."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

from flowq.cli.render.job_output import job_lines, without_tabs
from flowq.cli.render.run_table import (
    commands_lines,
    head_lines,
    job_rows,
    next_commands,
    next_lines,
    rows_that_fit,
    table_lines,
    where,
)
from flowq.cli.render.styled_text import Line, wrap
from flowq.cli.render.summary_table import every_job, group_lines, total_line
from flowq.cli.render.vocabulary import error_text, item_text, reason_text
from flowq.cli.terminal import Terminal
from flowq.flows.explain.script_lines import script_line
from flowq.flows.views.follow import Update
from flowq.flows.views.run_summary import RunSummary
from flowq.flows.views.run_view import JobView, RunView, ordinal_of
from flowq.flows.views.text import plural, safe_line
from flowq.states import JobStatus

TAIL: Final = 12  # lines of output shown of a job that failed
JOBS: Final = 3  # failed jobs whose output is shown
ROWS: Final = 60  # maximal rows of the table
_FEWEST: Final = 10  # minimal rows of the table, on a low terminal
_AROUND: Final = 12  # lines of the rest of a summary, which should be visible without scrolling
_OUTPUT_ROWS: Final = 4  # maximal rows of one line of output

_DROPPED: Final = frozenset({JobStatus.FINISHED, JobStatus.SKIPPED})


class Tails:
    """The last lines that each job printed in its latest execution; dropped when the job has succeeded."""

    def __init__(self) -> None:
        self._lines: dict[int, deque[bytes]] = {}
        self._executions: dict[int, int] = {}

    def collect(self, update: Update) -> None:
        """Add new output."""
        for entry in update.logs:
            ordinal = ordinal_of(entry.job)
            if ordinal is None:
                continue
            if self._executions.get(ordinal) != entry.execution:
                self._executions[ordinal] = entry.execution
                self._lines[ordinal] = deque(maxlen=TAIL)
            self._lines.setdefault(ordinal, deque(maxlen=TAIL)).extend(entry.data.rstrip(b"\n").split(b"\n"))
        for event in update.events:
            ordinal = ordinal_of(event.job)
            if ordinal is not None and event.new in _DROPPED:
                self._lines.pop(ordinal, None)

    def of(self, ordinal: int) -> list[bytes]:
        """Return the last lines of a job, oldest first."""
        return list(self._lines.get(ordinal, ()))


def summary_lines(run: RunView, tails: Tails, terminal: Terminal, *, table: bool) -> list[Line]:
    """Return the summary; without `table` if the lines above have already shown its content."""
    lines = _head(run, list(head_lines(run)), terminal, table=table)
    if table:
        room = min(ROWS, max(_FEWEST, terminal.height - _AROUND))
        rows = rows_that_fit(list(job_rows(run, unicode=terminal.unicode)), room, unicode=terminal.unicode)
        lines += [(("", ""),), *table_lines(rows, terminal)]
    lines += _failures(run, len(run.bad_jobs), tails, terminal)
    advice = list(next_lines(run, terminal.width))
    return [*lines, (("", ""),), *advice] if advice else lines


def summed_up_lines(summary: RunSummary, tails: Tails, terminal: Terminal, *, table: bool) -> list[Line]:
    """Return what `summary_lines` does, for a run of many jobs: its groups in place of the jobs."""
    run = summary.run
    lines = _head(run, list(head_lines(run, total=total_line(summary))), terminal, table=table)
    if table:
        lines += [(("", ""),), *group_lines(summary.groups, terminal)]
    lines += _failures(run, summary.bad, tails, terminal)
    return [*lines, (("", ""),), *commands_lines([*next_commands(run), every_job(summary)], terminal.width)]


def _head(run: RunView, lines: Sequence[Line], terminal: Terminal, *, table: bool) -> list[Line]:
    shown = lines if table else lines[: 3 if run.turned_away_by else 2]
    return [row for line in shown for row in wrap(line, terminal.width, below="  ", unicode=terminal.unicode)]


def _failures(run: RunView, bad: int, tails: Tails, terminal: Terminal) -> Iterator[Line]:
    """Yield the first jobs that made the run fail, and how many more of the `bad` ones there are."""
    shown = run.bad_jobs[:JOBS]
    for job in shown:
        yield (("", ""),)
        tail = tails.of(job.ordinal)
        yield from failure_lines(run, job, tail, terminal)
        if line := script_line(job.place, tail):
            yield from wrap((("  ", ""), (safe_line(line), "dim")), terminal.width, below="  ", unicode=terminal.unicode)
    if bad > len(shown):
        yield (("", ""),)
        yield ((f"and {plural(bad - len(shown), 'more failed job')}: flowq status {run.id} --failed", "bad"),)


def failure_lines(run: RunView, job: JobView, tail: Sequence[bytes], terminal: Terminal) -> Iterator[Line]:
    """Yield the job's name and error, its place in the file, and the last lines it printed, all wrapped."""
    yield from wrap(failure_line(run, job), terminal.width, below="  ", unicode=terminal.unicode)
    border = "  │ " if terminal.unicode else "  | "
    room = None if terminal.width is None else max(1, terminal.width - len(border))
    for data in tail:
        for line in job_lines(data):
            for row in wrap(without_tabs(line), room, most=_OUTPUT_ROWS, unicode=terminal.unicode):
                yield ((border, "dim"), *row)


def failure_line(run: RunView, job: JobView) -> Line:
    """Return the job's name and error, and its place in the file."""
    why = error_text(job) or reason_text(job.reason) or "failed"
    facts = [where(run, job.place), item_text(job)]
    return (
        (f"{safe_line(job.name)} {job.status}: ", "badbold"),
        (why, "bad"),
        (f"  ({', '.join(filter(None, facts))})" if any(facts) else "", "dim"),
    )
