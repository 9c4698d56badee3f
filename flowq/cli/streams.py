"""Writing text to standard output and error as they are.

click's own `echo` takes a stream for misconfigured when its encoding is ASCII and writes UTF-8 all the same; a terminal that asked for
ASCII gets escapes here (the streams are set so, see `flowq.cli.main`).
"""

import sys

import click


def echo(text: str, *, err: bool = False, nl: bool = True, color: bool | None = None) -> None:
    """Write text. `color` False removes escape sequences, True keeps them; None decides by the stream."""
    click.echo(text, file=sys.stderr if err else sys.stdout, nl=nl, color=color)
