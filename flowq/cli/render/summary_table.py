"""A run of many jobs as lines: its groups with the count of each status, and the jobs that a user would look for first."""

from collections.abc import Iterator, Mapping
from typing import Final

from flowq.cli.render.run_table import (
    Row,
    commands_lines,
    count_segments,
    head_lines,
    job_rows,
    next_commands,
    table_lines,
)
from flowq.cli.render.styled_text import Line, columns, cut, pad, wrap
from flowq.cli.terminal import Terminal
from flowq.flows.views.run_summary import JobGroup, RunSummary
from flowq.flows.views.text import plural, safe_line
from flowq.states import JobStatus

_GROUPS: Final = 40  # groups shown; the rest is counted
_NAME: Final = 40  # columns of the name of a group
_BAD: Final = frozenset({JobStatus.FAILED, JobStatus.STOPPED})


def summary_table(summary: RunSummary, terminal: Terminal) -> list[Line]:
    """Return the output of `flowq status` for a run of many jobs."""
    run = summary.run
    lines = [
        row
        for line in head_lines(run, terminal.zone, total_line(summary))
        for row in wrap(line, terminal.width, below="  ", unicode=terminal.unicode)
    ]
    lines += [(("", ""),), *group_lines(summary.groups, terminal)]
    rows = list(job_rows(run, unicode=terminal.unicode, sample=True))
    if rows:
        lines += [(("", ""),), *table_lines([*rows, *_left_out(summary, terminal)], terminal)]
    return [*lines, (("", ""),), *commands_lines([*next_commands(run), every_job(summary)], terminal.width)]


def total_line(summary: RunSummary) -> Line:
    """Return the number of jobs, and how many have which status."""
    return ((f"{plural(_size(summary), 'job')}: ", ""), *count_segments(summary.counts, idle=summary.idle))


def every_job(summary: RunSummary) -> tuple[str, str]:
    """Return the command that shows each job, and its purpose."""
    return f"flowq status {summary.run.id} --all", f"all {plural(_size(summary), 'job')}, one by one"


def _size(summary: RunSummary) -> int:
    return sum(group.jobs for group in summary.groups)


def group_lines(groups: tuple[JobGroup, ...], terminal: Terminal) -> Iterator[Line]:
    """Yield a line for each group, at most 40, with the count of each status."""
    shown = groups if len(groups) <= _GROUPS else _first(groups)
    names = {group.name: cut(safe_line(group.name), _NAME, unicode=terminal.unicode) for group in shown}
    widest = max((columns(name) for name in names.values()), default=0)
    digits = max((len(str(group.jobs)) for group in shown), default=0)
    for group in shown:
        line: Line = (
            (f"  {pad(names[group.name], widest)}  ", ""),
            (f"{group.jobs:>{digits}}  ", "dim"),
            *count_segments(group.counts, idle=group.idle),
        )
        yield from wrap(line, terminal.width, below=" " * (widest + digits + 6), unicode=terminal.unicode)
    if len(shown) < len(groups):
        rest = len(groups) - len(shown)
        yield ((f"  {'…' if terminal.unicode else '...'} {plural(rest, 'more group')}", "dim"),)


def _first(groups: tuple[JobGroup, ...]) -> tuple[JobGroup, ...]:
    """Return the groups to show: in their order, those with jobs that failed or run before the others."""
    chosen = sorted(range(len(groups)), key=lambda index: (_rank(groups[index].counts), index))[:_GROUPS]
    return tuple(groups[index] for index in sorted(chosen))


def _rank(counts: Mapping[JobStatus | None, int]) -> int:
    if _BAD & counts.keys():
        return 0
    return 1 if JobStatus.STARTED in counts else 2 if len(counts) > 1 else 3


def _left_out(summary: RunSummary, terminal: Terminal) -> Iterator[Row]:
    """Yield a row that counts the jobs that failed or run and are not listed."""
    listed = summary.run.jobs
    more = {
        status: summary.counts.get(status, 0) - sum(job.status is status for job in listed)
        for status in (JobStatus.FAILED, JobStatus.STOPPED, JobStatus.STARTED)
    }
    counts: dict[JobStatus | None, int] = {status: count for status, count in more.items() if count > 0}
    if counts:
        text = "".join(text for text, _style in count_segments(counts))
        name = f"{'…' if terminal.unicode else '...'} {sum(counts.values())} more"
        yield Row(mark=" ", name=name, state="", style="dim", time="", note=text, rank=4)
