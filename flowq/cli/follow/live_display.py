"""The live display: the run's table redrawn in place on a terminal, cut to its height, with a progress bar below it.

What jobs print is written above the table and stays there. rich moves the cursor and restores the terminal; the lines are those of
`flowq status`. Frames of large runs are expensive: drawing takes at most a tenth of the time.
"""

import os
import sys
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.text import Text

from flowq.cli.render.job_output import named_lines, without_tabs
from flowq.cli.render.run_table import counts_text, head_lines, job_rows, rows_that_fit, table_lines
from flowq.cli.render.styled_text import Line, columns, fit, paint, wrap
from flowq.cli.render.summary import Tails, failure_lines
from flowq.cli.render.vocabulary import approval_command, took
from flowq.cli.terminal import Terminal
from flowq.flows.forecast.outlook import Outlook
from flowq.flows.views.follow import Progress, Update
from flowq.flows.views.run_view import JobView, RunView
from flowq.flows.views.text import plural, safe_line
from flowq.states import JobStatus

_FRAME: Final = 0.1  # minimal s between frames
_SHARE: Final = 10  # drawing takes at most one part in this many of the time
_LOOK: Final = 1.0  # s between forecasts
_TAIL: Final = 3  # lines of output of the job that failed last
_TALL: Final = 14  # minimal lines of a terminal on which those are shown
_ASKED: Final = 3  # maximal approvals whose commands are shown
_TAIL_SHARE: Final = 3  # they take at most one part in this many of the height
_OUTPUT: Final = 500  # maximal lines of output written with a frame
_BAR: Final = 40  # maximal cells of the progress bar


class LiveDisplay:
    """A display that redraws a run in place; `close` restores the terminal."""

    def __init__(self, progress: Progress, tails: Tails, outlook: Outlook | None = None) -> None:
        self._progress = progress
        self._tails = tails
        self._outlook = outlook
        self._left: float | None = None
        self._looked = 0.0
        terminal = Terminal.of(sys.stdout)
        self._frame = _Frame()
        self._live = Live(
            self._frame,
            console=Console(no_color=not terminal.color, highlight=False, markup=False, emoji=False, soft_wrap=False),
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )
        self._remark = ""
        self._of_turn = False  # the remark is of a run that has not begun, and says what it waits for
        self._next = 0.0
        self._drawn: list[Line] = []  # the frame on the terminal
        self._output: deque[Line] = deque(maxlen=_OUTPUT)  # not written yet
        self._left_out = 0
        self._live.start()

    def update(self, update: Update) -> None:
        """Note an update; draw if a frame is due."""
        if update.lost is not None:
            self._remark = f"{update.lost}; waiting for it"
        elif self._remark.endswith("; waiting for it") or (self._of_turn and self._progress.group is None):
            self._remark, self._of_turn = "", False
        for entry in update.logs:
            for line in named_lines(self._progress.plan, entry):
                self._left_out += len(self._output) == _OUTPUT
                self._output.append(line)
        self.draw()

    def remark(self, text: str) -> None:
        """Show a message below the progress bar."""
        self._remark, self._of_turn = text, self._progress.group is not None
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
        output = self._take_output()
        self._frame.text = _text(lines)
        if output:
            self._live.console.print(_text(output), soft_wrap=True)  # draws the frame below it
        else:
            self._live.refresh()
        self._next = begun + max(_FRAME, _SHARE * (time.monotonic() - begun))

    def _take_output(self) -> list[Line]:
        """Return the output to write above the frame, after the number of lines that were too many."""
        lines = [without_tabs(line) for line in self._output]
        if self._left_out:
            told = f"{plural(self._left_out, 'line')} left out: flowq logs {self._progress.view().id}"
            lines.insert(0, (("… " if Terminal.of(sys.stdout).unicode else "... ", "dim"), (told, "dim")))
        self._output.clear()
        self._left_out = 0
        return lines

    def _unwrap(self, terminal: Terminal) -> None:
        """Move the cursor up over the rows by which a narrower terminal has wrapped the previous frame."""
        more = wrapped_rows(self._drawn, terminal.width) if _rewraps(os.environ) else 0
        if more:
            self._live.console.file.write("\r\x1b[2K\x1b[1A" * min(more, terminal.height))

    def _look_ahead(self, view: RunView, now: float) -> float | None:
        """Return the remaining seconds, forecast at intervals and counted down in between."""
        if self._outlook is None or view.ended:
            return None
        if now - self._looked >= _LOOK:
            self._left, self._looked = self._outlook.left(view), now
        return None if self._left is None else max(0.0, self._left - (now - self._looked))

    def close(self) -> None:
        """Write the rest of the output, remove the display and restore the terminal."""
        if self._output:
            self._next = 0.0
            self.draw()
        self._unwrap(Terminal.of(sys.stdout))
        self._live.stop()

    def last_words(self) -> tuple[str, ...]:
        """Return no lines."""
        return ()


def frame(
    run: RunView, terminal: Terminal, *, remark: str = "", left: float | None = None, tail: Sequence[Line] = ()
) -> list[Line]:
    """Return a frame: head, the most important rows that fit the height, the last output of a failed job, progress bar, remark."""
    head = list(head_lines(run))[:1]
    foot: list[Line] = [bar_line(run, terminal, left)]
    foot += [((approval_command(job), "bold"), ("  # in another terminal", "dim")) for job in run.approvals[:_ASKED]]
    if remark:
        foot += wrap(((safe_line(remark), "warn"),), terminal.width, most=3, unicode=terminal.unicode)
    if tail and terminal.height >= _TALL:
        room = terminal.height // _TAIL_SHARE
        foot[:0] = tail if len(tail) <= room else [tail[0], *tail[1 - room :]]  # the error, and the last lines
    rows = list(job_rows(run, unicode=terminal.unicode))
    room = max(1, terminal.height - len(head) - len(foot) - 1)
    lines = [*head, *table_lines(rows_that_fit(rows, room, unicode=terminal.unicode), terminal), *foot]
    return [fit(line, terminal.width, unicode=terminal.unicode) for line in lines]


def wrapped_rows(lines: Sequence[Line], width: int | None) -> int:
    """Return the number of extra rows that the lines take when a terminal of this width wraps them."""
    return sum(max(0, -(-columns("".join(text for text, _style in line)) // width) - 1) for line in lines) if width else 0


def _rewraps(environment: Mapping[str, str]) -> bool:
    """Return whether the terminal wraps lines again when it is resized. The Linux console, screen and xterm cut them instead."""
    if "TMUX" in environment:
        return True
    return "XTERM_VERSION" not in environment and not environment.get("TERM", "").startswith(("linux", "screen"))


def bar_line(run: RunView, terminal: Terminal, left: float | None = None) -> Line:
    """Return the progress bar with the counts after it, and the remaining seconds if known."""
    jobs = [job for job in run.selected_jobs if not job.is_idle_handler]
    ended = sum(job.ended for job in jobs)
    total = max(1, len(jobs))
    cells = min(_BAR, max(4, (terminal.width or 80) // 3))
    asked = plural(len(run.approvals), "approval")
    bad = -(-cells * sum(job.bad for job in jobs) // total)
    done = max(bad, cells * ended // total)
    full, empty = ("━", "─") if terminal.unicode else ("#", "-")
    return (
        (full * (done - bad), "good"),
        (full * bad, "bad"),
        (empty * (cells - done), "dim"),
        (f" {ended}/{len(jobs)}", "bold"),
        (f"  {asked} to decide" if run.approvals else "" if left is None else f"  {_left_text(left)}", ""),
        (f"  {_open_text(jobs)}", "dim"),
    )


def _left_text(seconds: float) -> str:
    """Return the remaining time, rounded as an estimate should be."""
    whole = max(1, round(seconds))
    return f"about {whole}s left" if whole < 60 else f"about {took(whole)} left"


def _open_text(jobs: Sequence[JobView]) -> str:
    return counts_text([job for job in jobs if job.bad or job.status in {JobStatus.STARTED, JobStatus.QUEUED}])


class _Frame:
    """The frame as rich draws it, whether it is drawn alone or below new output."""

    def __init__(self) -> None:
        self.text = Text()

    def __rich__(self) -> Text:
        return self.text


def _text(lines: Iterable[Line]) -> Text:
    return Text("\n").join(Text.from_ansi(paint(line, color=True), no_wrap=True, end="") for line in lines)
