"""Writing to standard output: styled lines, JSON, and a writer that survives a closed pipe."""

import json
import sys
from collections.abc import Iterable
from typing import Any

from flowq.cli.render.styled_text import Line, paint
from flowq.cli.terminal import Terminal, echo


def show(lines: Iterable[Line], terminal: Terminal) -> None:
    """Write lines to standard output."""
    painted = [paint(line, color=terminal.color) for line in lines]
    if painted:
        echo("\n".join(painted), color=terminal.color)


def show_json(document: Any) -> None:
    """Write one JSON document, indented and in ASCII, so that no control character reaches a terminal."""
    echo(json.dumps(document, indent=2, allow_nan=False))


class Writer:
    """Standard output for a command that must go on when its output is not read any more, because it follows its own run."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.closed = False

    def lines(self, lines: Iterable[Line]) -> None:
        """Write lines, unless the pipe is closed."""
        painted = [paint(line, color=self.terminal.color) for line in lines]
        if painted:
            self._write("\n".join(painted))

    def raw(self, lines: Iterable[str]) -> None:
        """Write lines with flowq's own control characters for a CI system, unless the pipe is closed."""
        text = "\n".join(lines)
        if text:
            self._write(text, color=True)

    def json_line(self, document: Any) -> None:
        """Write one JSON document as one line, unless the pipe is closed."""
        self._write(json.dumps(document, separators=(",", ":"), allow_nan=False))

    def _write(self, text: str, *, color: bool | None = None) -> None:
        if self.closed:
            return
        try:
            echo(text, color=self.terminal.color if color is None else color)
            sys.stdout.flush()
        except OSError:  # the pipe is closed or the disk is full: the run goes on
            self.closed = True
