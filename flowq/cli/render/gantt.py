"""`flowq graph --gantt`: a run as a chart over time, one row per job."""

from collections.abc import Iterator, Sequence

from flowq.cli.render.styled_text import Line, columns, cut, fit, pad, wrap
from flowq.cli.render.vocabulary import symbol, took, word
from flowq.cli.terminal import Terminal
from flowq.flows.render.gantt import Bar, Stretch
from flowq.flows.render.timeline import Activity
from flowq.flows.views.text import plural, safe_line

_NAME = 32  # cells of a name before it is cut
_LEAST = 10  # cells of the time axis
_WIDE = 100  # cells in a pipe
_MARKS = {  # of what a job did before its last execution: on a terminal, in ASCII, and its name
    Activity.EXECUTION: ("░", "-", "earlier attempt"),
    Activity.WORKER: ("·", ".", "worker"),
    Activity.DELAY: ("…", "_", "delay"),
    Activity.RETRY: ("~", "~", "retry delay"),
    Activity.MAX_PARALLEL: ("‖", "|", "max_parallel"),
    Activity.CONCURRENCY: ("×", "x", "concurrency"),
    Activity.RATE_LIMIT: ("÷", "/", "rate limit"),
    Activity.APPROVAL: ("?", "?", "approval"),
}


def gantt_lines(bars: Sequence[Bar], terminal: Terminal) -> list[Line]:
    """Return the axis, a row per job, and the length of the critical path."""
    if not bars:
        return [(("nothing of this run has been executed yet", "dim"),)]
    total = max(*(bar.end for bar in bars), 0.001)
    width = terminal.width or _WIDE
    names = min(_NAME, max(columns(safe_line(bar.job.name)) for bar in bars), max(6, width // 3))
    cells = max(_LEAST, width - names - 13)
    end = took(total)
    head: Line = ((f"  {pad('', names)}  0{end.rjust(cells - 1)}", "dim"),)
    lines = [head, *(_row(bar, names, cells, total, terminal) for bar in bars)]
    critical = [bar for bar in bars if bar.critical]
    if critical:
        length = sum(bar.needed for bar in critical)
        mark = "█" if terminal.unicode else "#"
        jobs = plural(len(critical), "job")
        lines += [(("", ""),), ((f"critical path {mark}: {took(length)} of {end}", "bold"), (f", {jobs}", "dim"))]
    legend: list[Line] = []
    seen = {item.activity for bar in bars for item in bar.before}
    if seen - {Activity.WORKER}:
        marks = [
            f"{_mark(activity, unicode=terminal.unicode)} {_MARKS[activity][2]}" for activity in _MARKS if activity in seen
        ]
        legend = wrap(
            ((f"before the last execution: {', '.join(marks)}", "dim"),), terminal.width, below="  ", unicode=terminal.unicode
        )
    return [*(fit(line, terminal.width, unicode=terminal.unicode) for line in lines), *legend]


def _row(bar: Bar, names: int, cells: int, total: float, terminal: Terminal) -> Line:
    first = min(cells - 1, int(bar.begin / total * cells))
    last = max(first + 1, round(bar.end / total * cells))
    full, plain = ("█", "▒") if terminal.unicode else ("#", "=")
    style = "warn" if bar.job.allowed else word(bar.job.status)[1]
    name = pad(cut(safe_line(bar.job.name), names, unicode=terminal.unicode), names)
    return (
        (f"{symbol(bar.job.status, unicode=terminal.unicode)} ", style),
        (f"{name}  ", ""),
        (_lead(bar.before, first, cells / total, unicode=terminal.unicode), "dim"),
        ((full if bar.critical else plain) * (last - first), style),
        (" " * (cells - last) + f"  {took(bar.end - bar.begin):>7}", "dim"),
    )


def _lead(before: Sequence[Stretch], first: int, scale: float, *, unicode: bool) -> str:
    """Return the cells in front of a bar; what is too short for a cell of its own gives way to what follows."""
    drawn = [" "] * first
    for item in before:
        last = first if item is before[-1] else min(first, round(item.end * scale))
        width = min(last, round((item.end - item.begin) * scale))
        drawn[last - width : last] = _mark(item.activity, unicode=unicode) * width
    return "".join(drawn)


def _mark(activity: Activity, *, unicode: bool) -> str:
    return _MARKS[activity][0 if unicode else 1]


def gantt_json(bars: Sequence[Bar]) -> Iterator[dict[str, object]]:
    """Yield a JSON object per bar; times are seconds since the start of the run."""
    for bar in bars:
        yield {
            "name": bar.job.name,
            "worker": bar.job.worker,
            "begin": round(bar.begin, 3),
            "end": round(bar.end, 3),
            "waited": round(bar.waited, 3),
            "critical": bar.critical,
            "before": [
                {"activity": str(item.activity), "begin": round(item.begin, 3), "end": round(item.end, 3)}
                for item in bar.before
            ],
        }
