"""The live display: the run's table redrawn in place on a terminal, cut to its height, with a bar below it.

rich moves the cursor and gives the terminal back as it was; the lines are those of `flowq status`. A frame of a big run is not
cheap, so the next one waits ten times as long as the last one took.
"""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.text import Text

from flowq.cli.render.run_table import counts_text, head_lines, job_rows, rows_that_fit, table_lines
from flowq.cli.render.styled_text import RICH_STYLES, Line, columns, fit
from flowq.cli.render.summary import Tails, failure_lines
from flowq.cli.render.vocabulary import took
from flowq.cli.terminal import Terminal
from flowq.flows.forecast.outlook import Outlook
from flowq.flows.views.follow import Progress, Update
from flowq.flows.views.run_view import JobView, RunView
from flowq.flows.views.text import safe_line
from flowq.states import JobStatus

_FRAME: Final = 0.1  # s between frames at least
_SHARE: Final = 10  # a frame may take this part of the time
_LOOK: Final = 1.0  # s between looks ahead
_TAIL: Final = 3  # lines of output of what failed last
_TALL: Final = 14  # lines of a terminal from which on there is room for them
_BAR: Final = 40  # cells at most


class LiveDisplay:
    """Shows a run in place until it is closed; then the terminal is as it was before."""

    def __init__(self, progress: Progress, tails: Tails, outlook: Outlook | None = None) -> None:
        self._progress = progress
        self._tails = tails
        self._outlook = outlook
        self._left: float | None = None
        self._looked = 0.0
        terminal = Terminal.of(sys.stdout)
        self._live = Live(
            console=Console(no_color=not terminal.color, highlight=False, markup=False, emoji=False, soft_wrap=False),
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )
        self._remark = ""
        self._next = 0.0
        self._drawn: list[Line] = []  # the frame that is there
        self._live.start()

    def update(self, update: Update) -> None:
        """Take note of what is new; draw when a frame is due."""
        if update.lost is not None:
            self._remark = f"{update.lost}; waiting for it"
        elif self._remark.endswith("; waiting for it"):
            self._remark = ""
        self.draw()

    def remark(self, text: str) -> None:
        """Show a sentence below the bar."""
        self._remark = text
        self._next = 0.0
        self.draw()

    def draw(self) -> None:
        """Draw a frame, unless the last one is too recent."""
        begun = time.monotonic()
        if begun < self._next:
            return
        terminal = Terminal.of(sys.stdout)
        view = self._progress.view()
        latest = max(view.bad_jobs, key=lambda job: job.ended_ms or 0, default=None)
        tail = [] if latest is None else list(failure_lines(view, latest, self._tails.of(latest.ordinal)[-_TAIL:], terminal))
        lines = frame(view, terminal, remark=self._remark, left=self._look_ahead(view, begun), tail=tail)
        self._unwrap(terminal)
        self._drawn = lines
        self._live.update(Text("\n").join(_text(line) for line in lines), refresh=True)
        self._next = begun + max(_FRAME, _SHARE * (time.monotonic() - begun))

    def _unwrap(self, terminal: Terminal) -> None:
        """Go up over the rows that the frame before has more now, because the terminal has become narrower and wrapped it."""
        more = wrapped_rows(self._drawn, terminal.width) if _rewraps(os.environ) else 0
        if more:
            self._live.console.file.write("\r\x1b[2K\x1b[1A" * min(more, terminal.height))

    def _look_ahead(self, view: RunView, now: float) -> float | None:
        """Return the seconds that are left, worked out now and then and counted down in between."""
        if self._outlook is None or view.ended:
            return None
        if self._left is None or now - self._looked >= _LOOK:
            self._left, self._looked = self._outlook.left(view), now
        return max(0.0, self._left - (now - self._looked))

    def close(self) -> None:
        """Remove the display and give the terminal back."""
        self._unwrap(Terminal.of(sys.stdout))
        self._live.stop()

    def last_words(self) -> tuple[str, ...]:
        """Return nothing: the summary is the end."""
        return ()


def frame(
    run: RunView, terminal: Terminal, *, remark: str = "", left: float | None = None, tail: Sequence[Line] = ()
) -> list[Line]:
    """Return one frame: head, as many rows as the height allows (the most telling ones), the tail of what failed, bar, remark."""
    head = list(head_lines(run))[:1]
    foot: list[Line] = [bar_line(run, terminal, left)]
    if remark:
        foot.append(((safe_line(remark), "warn"),))
    if tail and terminal.height >= _TALL:
        foot[:0] = tail
    rows = list(job_rows(run, unicode=terminal.unicode))
    room = max(1, terminal.height - len(head) - len(foot) - 1)
    lines = [*head, *table_lines(rows_that_fit(rows, room, unicode=terminal.unicode), terminal), *foot]
    return [fit(line, terminal.width, unicode=terminal.unicode) for line in lines]


def wrapped_rows(lines: Sequence[Line], width: int | None) -> int:
    """Return how many rows more than lines these take on a terminal of this width that wraps what it shows when it becomes narrower."""
    return sum(max(0, -(-columns("".join(text for text, _style in line)) // width) - 1) for line in lines) if width else 0


def _rewraps(environment: Mapping[str, str]) -> bool:
    """Most terminals rewrap when their size changes. The console of Linux, screen and xterm cut; there no row may be taken for ours."""
    if "TMUX" in environment:
        return True
    return "XTERM_VERSION" not in environment and not environment.get("TERM", "").startswith(("linux", "screen"))


def bar_line(run: RunView, terminal: Terminal, left: float | None = None) -> Line:
    """Return the bar of what has ended, with the counts behind it, and the seconds that are left where that is known."""
    jobs = run.selected_jobs
    ended = sum(job.ended for job in jobs)
    total = max(1, len(jobs))
    cells = min(_BAR, max(4, (terminal.width or 80) // 3))
    bad = -(-cells * sum(job.bad for job in jobs) // total)
    done = max(bad, cells * ended // total)
    full, empty = ("━", "─") if terminal.unicode else ("#", "-")
    return (
        (full * (done - bad), "good"),
        (full * bad, "bad"),
        (empty * (cells - done), "dim"),
        (f" {ended}/{len(jobs)}", "bold"),
        ("" if left is None else f"  {_left_text(left)}", ""),
        (f"  {_open_text(jobs)}", "dim"),
    )


def _left_text(seconds: float) -> str:
    """Return a rough figure: an estimate with fractions would promise too much."""
    whole = max(1, round(seconds))
    return f"about {whole}s left" if whole < 60 else f"about {took(whole)} left"


def _open_text(jobs: Sequence[JobView]) -> str:
    return counts_text([job for job in jobs if job.bad or job.status in {JobStatus.STARTED, JobStatus.QUEUED}])


def _text(line: Line) -> Text:
    text = Text(no_wrap=True, end="")
    for part, style in line:
        text.append(part, RICH_STYLES[style])
    return text
