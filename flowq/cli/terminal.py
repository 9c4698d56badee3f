"""Standard output and error: their capabilities, and writing text to them."""

import os
import sys
from dataclasses import dataclass
from typing import TextIO

import click


@dataclass(frozen=True, slots=True)
class Terminal:
    """The capabilities of an output stream, and the time zone of what is shown there.

    `width` and `height` in cells; `width` None: not a terminal, lines may be long.
    """

    width: int | None = None
    height: int = 24
    color: bool = False
    live: bool = False
    unicode: bool = True
    zone: str = "UTC"

    @classmethod
    def of(cls, stream: TextIO) -> "Terminal":
        """Return the capabilities of a stream, from the stream and the environment.

        Colour and the live display are for terminals only; `NO_COLOR`, `TERM=dumb` and `CI` turn them off. `COLUMNS` sets the
        width, also without a terminal.
        """
        environ = os.environ
        tty = _is_terminal(stream)
        clever = tty and environ.get("TERM", "") != "dumb" and not environ.get("CI")
        columns, lines = _size(stream) if tty else (None, 24)
        asked = environ.get("COLUMNS", "")
        return cls(
            width=int(asked) if asked.isdigit() and int(asked) > 0 else columns,
            height=lines,
            color=clever and not environ.get("NO_COLOR"),
            live=clever,
            unicode=(stream.encoding or "ascii").lower().replace("-", "").startswith("utf"),
        )


def echo(text: str, *, err: bool = False, nl: bool = True, color: bool | None = None) -> None:
    """Write text to standard output, or with `err` to standard error.

    click's own `echo` treats a stream whose encoding is ASCII as misconfigured and writes UTF-8 to it; `flowq.cli.main` has set the
    streams to write escapes there.

    Args:
        text: what to write.
        err: write to standard error.
        nl: end with a newline.
        color: False removes escape sequences, True keeps them, None decides by the stream.
    """
    click.echo(text, file=sys.stderr if err else sys.stdout, nl=nl, color=color)


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def _size(stream: TextIO) -> tuple[int, int]:
    try:
        size = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return 80, 24
    return size.columns or 80, size.lines or 24
