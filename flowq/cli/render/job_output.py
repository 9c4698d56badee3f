"""The output of jobs as styled lines, after the name of the job or without it."""

from collections.abc import Iterator

from flowq.cli.render.styled_text import Line, columns
from flowq.flows.views.job_output import output_lines
from flowq.flows.views.run_view import ordinal_of
from flowq.flows.views.text import safe_line
from flowq.plan import Plan
from flowq.plan.foreach import cell_at
from flowq.store.schema.records import LogEntry

_TAB = 8  # cells


def job_lines(data: bytes, stream: str = "out") -> Iterator[Line]:
    """Yield the lines of an entry with the job's own colours; standard error is yellow where it has none."""
    plain = "warn" if stream == "err" else ""
    for runs in output_lines(data):
        yield tuple([(text, parameters or plain) for text, parameters in runs]) or (("", ""),)


def named_lines(plan: Plan, entry: LogEntry) -> Iterator[Line]:
    """Yield the lines of an entry, each after the name of its job."""
    cell = cell_at(plan, ordinal_of(entry.job))
    name = safe_line(entry.job if cell is None else cell.name)
    for line in job_lines(entry.data, entry.stream):
        yield ((f"{name} | ", "dim"), *line)


def without_tabs(line: Line) -> Line:
    """Return the line with spaces instead of tabs, so that its cells can be counted."""
    used = 0
    out = []
    for text, style in line:
        first, *more = text.split("\t")
        used += columns(first)
        for part in more:
            gap = _TAB - used % _TAB
            first += " " * gap + part
            used += gap + columns(part)
        out.append((first, style))
    return tuple(out)
