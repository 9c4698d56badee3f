"""A run as lines: a head, the jobs as a tree of two levels in the order of the graph, and commands to run next.

The cells of a matrix are listed below their job, or folded when they are alike. On a narrow terminal, first the note is cut, then
time and note are left out, last the name is cut. The list of failed jobs alone is wrapped instead: its errors are what it is for.
"""

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from flowq.cli.render.styled_text import Line, Segment, columns, cut, fit, pad, wrap
from flowq.cli.render.vocabulary import (
    approval_command,
    clock,
    damaged_commands,
    item_text,
    note,
    run_count_text,
    selection_text,
    symbol,
    took,
    word,
)
from flowq.cli.terminal import Terminal
from flowq.flows.local_worker.orphaned_runs import turn_in
from flowq.flows.views.run_view import JobView, RunView, matrix_status
from flowq.flows.views.text import plural, safe_line, safe_params
from flowq.plan import SourcePlace
from flowq.states import JobStatus, Reason, RunStatus

CELLS_SHOWN: Final = 12  # cells of one matrix; the rest is counted
NAMES_SHOWN: Final = 3  # failed jobs named by the commands to run next

_WORD: Final = 8  # cells of the widest word for a status
_TIME: Final = 6  # cells of a duration
_NARROW: Final = 48  # width below which only mark, name and word are shown
_NOTE: Final = 24  # cells that notes have at least, if they are so long
_RUN_STYLES: Final = {
    RunStatus.QUEUED: "warn",
    RunStatus.RUNNING: "busy",
    RunStatus.FINISHED: "good",
    RunStatus.FAILED: "badbold",
    RunStatus.CANCELED: "warn",
    RunStatus.SKIPPED: "warn",
}
_FOLDED: Final = frozenset(
    {JobStatus.FINISHED, JobStatus.DEFERRED, JobStatus.QUEUED, JobStatus.CANCELED, JobStatus.SKIPPED, None}
)
"""A matrix whose cells all have the same one of these statuses is shown as one line."""
_COUNT_ORDER: Final = (
    JobStatus.FINISHED,
    JobStatus.FAILED,
    JobStatus.STOPPED,
    JobStatus.CANCELED,
    JobStatus.SKIPPED,
    JobStatus.STARTED,
    JobStatus.QUEUED,
    JobStatus.SCHEDULED,
    JobStatus.RATE_LIMITED,
    JobStatus.DEFERRED,
    JobStatus.CREATED,
)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table before it is fitted to the width. `rank` is its importance (0: highest)."""

    mark: str
    name: str
    state: str
    style: str
    time: str
    note: str
    rank: int


def run_lines(run: RunView, terminal: Terminal, *, failed_only: bool = False) -> list[Line]:
    """Return the output of `flowq status`."""
    head = [
        row
        for line in head_lines(run, terminal.zone)
        for row in wrap(line, terminal.width, below="  ", unicode=terminal.unicode)
    ]
    lines = [*head, (("", ""),)]
    if failed_only:
        lines += failed_lines(run, terminal)
    else:
        lines += table_lines(list(job_rows(run, unicode=terminal.unicode)), terminal)
    advice = list(next_lines(run, terminal.width))
    return [*lines, (("", ""),), *advice] if advice else lines


def head_lines(run: RunView, zone: str = "UTC", total: Line | None = None) -> Iterator[Line]:
    """Yield the lines above the table: id, status, times in a zone, params. `total` counts the jobs if the run has others than the view."""
    states = [word for word, holds in (("canceling", run.canceling), ("orphaned", run.orphaned)) if holds and not run.ended]
    yield (
        (f"run {run.id}", "bold"),
        (f"  {safe_line(run.flow)}  ", ""),
        (", ".join(states) or str(run.status), "warn" if run.orphaned else _RUN_STYLES[run.status]),
        (f"  {took(run.duration)}", "") if run.duration is not None else ("", ""),
        (f"  attempt {run.attempt}", "") if run.attempt > 1 else ("", ""),
    )
    if run.turned_away_by:
        yield ((f"its concurrency group was held by run {run.turned_away_by}", "dim"),)
    yield (
        *(total or ((f"{run_count_text(run)}: ", ""), *_count_segments(run.selected_jobs))),
        (f", {plural(run.warnings, 'warning')}" if run.warnings else "", "warn"),
    )
    if run.semaphore and not run.ended:
        yield ((f"waits for its turn in {safe_line(turn_in(run.semaphore))}", "warn"),)
    began = "submitted" if run.started_ms is None else "started"
    yield ((f"{began} {clock(run.started_ms or run.created_ms, zone)}", "dim"),)
    if run.schedule:
        yield (
            (
                f"slot {clock(run.slot_ms, zone)} of {safe_line(run.schedule)}"
                if run.slot_ms
                else f"of {safe_line(run.schedule)}",
                "dim",
            ),
        )
    if run.params:
        yield ((f"params {safe_params(run.params)}", "dim"),)
    if run.selection:
        yield ((selection_text(run.selection), "dim"),)


def rows_that_fit(rows: Sequence[Row], room: int, *, unicode: bool) -> list[Row]:
    """Return at most `room` rows in their order, preferring failed and running jobs; the last row counts those left out."""
    if len(rows) <= room:
        return list(rows)
    chosen = sorted(sorted(range(len(rows)), key=lambda index: (rows[index].rank, index))[: room - 1])
    seen = set(chosen)
    states = Counter(row.state for index, row in enumerate(rows) if index not in seen and row.state)
    more = f"{'…' if unicode else '...'} {len(rows) - len(chosen)} more"
    counts = ", ".join(f"{count} {state}" for state, count in states.items())
    return [*(rows[index] for index in chosen), Row(mark=" ", name=more, state="", style="dim", time="", note=counts, rank=4)]


def job_rows(run: RunView, *, unicode: bool) -> Iterator[Row]:
    """Yield the rows of the table: one per job; for a matrix, one for the whole and rows for important cells."""
    for name, group in groupby(run.selected_jobs, key=lambda job: job.job):
        cells = list(group)
        if len(cells) == 1 and cells[0].name == name:
            yield _row(cells[0], name, run, unicode=unicode)
        else:
            yield from _matrix_rows(name, cells, run, unicode=unicode)


def rows_one_by_one(run: RunView, *, unicode: bool) -> Iterator[Row]:
    """Yield a row per job, also for cells: for a view that has only some cells of a matrix, so that nothing can be said of the whole."""
    for job in run.selected_jobs:
        yield _row(job, job.name, run, unicode=unicode)


def table_lines(rows: Sequence[Row], terminal: Terminal) -> Iterator[Line]:
    """Yield the rows as aligned lines that fit the width."""
    longest = max((columns(row.name) for row in rows), default=0)
    width = terminal.width
    if width is None:
        names, wide = longest, True
    else:
        wide = width >= _NARROW
        notes = min(_NOTE, max((columns(row.note) for row in rows), default=0))
        fixed = 2 + 2 + _WORD + (2 + _TIME + (2 if notes else 0) if wide else 0)
        names = min(longest, max(8 if wide else 4, width - fixed - (notes if wide else 0)))
    for row in rows:
        name = pad(cut(row.name, names, unicode=terminal.unicode), names)
        yield fit(_segments(row, name, wide=wide), width, unicode=terminal.unicode)


def failed_lines(run: RunView, terminal: Terminal) -> Iterator[Line]:
    """Yield the jobs that failed, with their errors and places; each is wrapped, not cut."""
    if not run.bad_jobs:
        yield (("no job has failed", "dim"),)
    rows = [
        (_row(job, job.name, run, unicode=terminal.unicode), ", ".join(filter(None, (where(run, job.place), item_text(job)))))
        for job in run.bad_jobs
    ]
    longest = max((columns(row.name) for row, _place in rows), default=0)
    names = longest if terminal.width is None else min(longest, terminal.width // 2)
    for row, place in rows:
        line: Line = (*_segments(row, pad(row.name, names), wide=True), (f"  ({place})" if place else "", "dim"))
        yield from wrap(line, terminal.width, below="    ", unicode=terminal.unicode)


def _segments(row: Row, name: str, *, wide: bool) -> Line:
    segments: list[Segment] = [(f"{row.mark} ", row.style), (f"{name}  ", ""), (pad(row.state, _WORD), row.style)]
    if wide:
        style = "bad" if row.rank == 0 else "dim"
        segments += [(f"  {row.time:>{_TIME}}", "dim"), (f"  {row.note}" if row.note else "", style)]
    return tuple(segments)


def next_lines(run: RunView, width: int | None) -> Iterator[Line]:
    """Yield the commands to run next, one per line."""
    return commands_lines(next_commands(run), width)


def next_commands(run: RunView) -> list[tuple[str, str]]:
    """Return commands to run next: decide about approvals, read the log of failed jobs, retry, start a missing worker."""
    commands: list[tuple[str, str]] = [
        (approval_command(job), "" if job.approval is None else safe_line(job.approval.message))
        for job in run.approvals[:NAMES_SHOWN]
    ]
    bad = run.bad_jobs
    verbs = [(job, "logs" if job.approval is None else "why") for job in bad[:NAMES_SHOWN]]  # an approval prints nothing
    commands += [(f"flowq {verb} {run.id} {shlex.quote(safe_line(job.name))}", where(run, job.place)) for job, verb in verbs]
    commands += damaged_commands(run)[:NAMES_SHOWN]
    if run.ended and (bad or run.status is RunStatus.CANCELED):
        commands.append(retry_command(run))
    elif not run.ended:
        commands += missing_worker_commands(run)
    return commands


def retry_command(run: RunView) -> tuple[str, str]:
    """Return the command that runs the failed part of a run again, with its purpose; by the present text if it has changed."""
    if run.changed:
        return f"flowq retry {run.id} --failed --reload", "with the present text of the flow"
    return f"flowq retry {run.id} --failed", "what failed, and what depends on it"


def commands_lines(commands: Sequence[tuple[str, str]], width: int | None) -> Iterator[Line]:
    """Yield commands with their remarks, one per line.

    Users copy the commands, so they are never cut; a remark that does not fit after its command is left out.
    """
    widest = max((columns(command) for command, _why in commands), default=0)
    for index, (command, why) in enumerate(commands):
        lead = "next: " if index == 0 else "      "
        fits = width is None or len(lead) + widest + 4 + columns(why) <= width
        yield (
            (lead, "dim"),
            (pad(command, widest if fits and why else 0), "bold"),
            (f"  # {why}" if fits and why else "", "dim"),
        )


def missing_worker_commands(run: RunView) -> list[tuple[str, str]]:
    """Return the command that starts a worker for the queues without one, with its purpose."""
    queues = sorted({job.queue for job in run.jobs if job.reason == Reason.NO_WORKER})
    if run.orphaned or (queues and run.local):
        return [(f"flowq run --resume {run.id}", "this run has no worker now")]
    if not queues:
        return []
    return [(worker_command(run, queues), f"no worker listens on {', '.join(safe_line(name) for name in queues)}")]


def worker_command(run: RunView, queues: Sequence[str]) -> str:
    """Return the command that serves queues of a run that is not a local one."""
    if run.queue_prefix:  # of a directory that `flowq serve` serves
        return f"flowq serve {shlex.quote(safe_line(run.directory))}"
    return f"flowq worker {' '.join(shlex.quote(safe_line(name)) for name in queues)}"


def counts_text(jobs: Sequence[JobView]) -> str:
    """Return `3 finished, 1 failed, 2 waiting`."""
    return "".join(text for text, _style in _count_segments(jobs))


def where(run: RunView, place: SourcePlace) -> str:
    """Return a place as `flows/nightly.yaml:41`, so that it can be opened from the working directory; "" if the flow is not a file.

    Of a file that has changed since, it is `flows/nightly.yaml, line 41 as submitted`.
    """
    place_text = place.here()
    if place.file in run.changed:
        place_text = f"{place_text.rpartition(':')[0]}, line {place.line} as submitted"
    return safe_line(place_text)


# -- rows ---------------------------------------------------------------------------------------------------------------------


def _row(job: JobView, name: str, run: RunView, *, unicode: bool) -> Row:
    state, style = word(job.status, damaged=bool(job.damaged))
    if job.allowed:
        style = "warn"
    return Row(
        mark=symbol(job.status, unicode=unicode),
        name=safe_line(name),
        state=state,
        style=style,
        time=took(job.duration),
        note=note(job, run.now_ms, local=run.local),
        rank=_rank(job),
    )


def _rank(job: JobView) -> int:
    if job.bad or job.damaged:
        return 0
    match job.status:
        case JobStatus.STARTED:
            return 1
        case JobStatus.SCHEDULED | JobStatus.QUEUED | JobStatus.CANCELED:
            return 2
        case JobStatus.FINISHED | JobStatus.SKIPPED | None:
            return 4
        case _:
            return 3


def _matrix_rows(name: str, cells: Sequence[JobView], run: RunView, *, unicode: bool) -> Iterator[Row]:
    """Yield the row of the whole matrix, then its cells if their statuses differ."""
    status = matrix_status(cells)
    state, style = word(status, goes_on=not all(job.ended for job in cells))
    yield Row(
        mark=symbol(status, unicode=unicode),
        name=safe_line(name),
        state=state,
        style=style,
        time=took(_busy_time(cells)),
        note=_matrix_note(cells, run.now_ms),
        rank=min(_rank(job) for job in cells),
    )
    if len({(job.status, job.reason) for job in cells}) == 1 and cells[0].status in _FOLDED:
        return
    shown = _cells_worth_seeing(cells)
    hidden = [job for job in cells if job.ordinal not in shown]
    visible = [job for job in cells if job.ordinal in shown]
    branch, corner = ("├ ", "└ ") if unicode else ("|- ", "`- ")
    for index, job in enumerate(visible):
        glyph = corner if index == len(visible) - 1 and not hidden else branch
        yield _row(job, glyph + job.name.removeprefix(name), run, unicode=unicode)
    if hidden:
        more = f"{corner}{'…' if unicode else '...'} {len(hidden)} more"
        yield Row(mark=" ", name=more, state="", style="dim", time="", note=counts_text(hidden), rank=4)


def _matrix_note(cells: Sequence[JobView], now_ms: int) -> str:
    """Return the note that all cells share, else the count of cells per status."""
    if len({job.status for job in cells}) > 1:
        return counts_text(cells)
    notes = {note(job, now_ms) for job in cells}
    common = notes.pop() if len(notes) == 1 else ""
    cached = _cached(cells)
    return common or (f"{cached} of {len(cells)} cached" if cached else f"{sum(job.ended for job in cells)} of {len(cells)}")


def _cells_worth_seeing(cells: Sequence[JobView]) -> set[int]:
    """Return the ordinals of the cells shown below a matrix: all of a small one, else those that need attention."""
    asking = cells if len(cells) <= CELLS_SHOWN else [job for job in cells if _asks_for_attention(job)]
    return {job.ordinal for job in sorted(asking, key=_rank)[:CELLS_SHOWN]}


def _asks_for_attention(job: JobView) -> bool:
    return (
        job.bad or bool(job.damaged) or job.status in {JobStatus.STARTED, JobStatus.SCHEDULED} or job.reason == Reason.APPROVAL
    )


def _busy_time(cells: Sequence[JobView]) -> float | None:
    """Return the seconds in which a cell was executed, by the latest execution of each: a cell that is retried later leaves a gap."""
    executed = sorted(
        (job.started_ms, job.started_ms + round(job.duration * 1000))
        for job in cells
        if job.started_ms is not None and job.duration is not None
    )
    total, until = 0, 0
    for start, end in executed:
        total += max(0, end - max(start, until))
        until = max(until, end)
    return total / 1000 if executed else None


def _cached(jobs: Iterable[JobView]) -> int:
    """Return the number of jobs with a cached result."""
    return sum(job.reason == Reason.CACHED for job in jobs)


def _count_segments(jobs: Sequence[JobView]) -> tuple[Segment, ...]:
    idle = sum(job.is_idle_handler for job in jobs)
    unknown = sum(job.status is None and bool(job.damaged) for job in jobs)
    counts = Counter(job.status for job in jobs if not job.is_idle_handler)
    counts[None] -= unknown
    segments = count_segments(counts, cached=_cached(jobs), idle=idle)
    return (*segments, (f", {unknown} damaged", "warn")) if unknown else segments


def count_segments(counts: Mapping[JobStatus | None, int], *, cached: int = 0, idle: int = 0) -> tuple[Segment, ...]:
    """Return `3 finished, 1 failed, 2 waiting`; `cached` of the finished ones had a cached result, `idle` handlers are not in `counts`."""
    merged: dict[str, tuple[int, str]] = {}
    for status in (*_COUNT_ORDER, None):
        text, style = word(status)
        if counts.get(status):
            merged[text] = (merged.get(text, (0, ""))[0] + counts[status], style)
    segments: list[Segment] = []
    for text, (count, style) in merged.items():
        segments += [(", ", "") if segments else ("", ""), (f"{count} {text}", style)]
        if cached and text == word(JobStatus.FINISHED)[0]:
            segments.append((f" ({cached} cached)", "dim"))
    if idle:
        segments.append((f"{', ' if segments else ''}{plural(idle, 'handler')} not needed", "dim"))
    return tuple(segments)
