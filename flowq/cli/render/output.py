"""Writing to standard output: lines for people, JSON for programs, and what happens when the reader goes away."""

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
    """Write one JSON document, readable, pure ASCII: no character of it can act on a terminal."""
    echo(json.dumps(document, indent=2, allow_nan=False))


def show_json_line(document: Any) -> None:
    """Write one JSON document as one line."""
    echo(json.dumps(document, separators=(",", ":"), allow_nan=False))


class Writer:
    """Standard output for a command that must go on when it is not read any more: following a run it is responsible for."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.closed = False

    def lines(self, lines: Iterable[Line]) -> None:
        """Write lines, unless the reader has gone."""
        painted = [paint(line, color=self.terminal.color) for line in lines]
        if painted:
            self._write("\n".join(painted))

    def raw(self, lines: Iterable[str]) -> None:
        """Write lines with the control characters that flowq itself put there for a CI system, unless the reader has gone."""
        text = "\n".join(lines)
        if text:
            self._write(text, color=True)

    def json_line(self, document: Any) -> None:
        """Write one JSON document as one line, unless the reader has gone."""
        self._write(json.dumps(document, separators=(",", ":"), allow_nan=False))

    def _write(self, text: str, *, color: bool | None = None) -> None:
        if self.closed:
            return
        try:
            echo(text, color=self.terminal.color if color is None else color)
            sys.stdout.flush()
        except OSError:  # the reader has gone, or the disk behind a redirection is full: the run matters more
            self.closed = True
