"""`flowq init`."""

import shlex

import click

from flowq.cli.first_flow import write_first_flow
from flowq.cli.terminal import echo
from flowq.flows.views.text import safe_line


@click.command(epilog="Example: flowq init hello && flowq -C hello run")
@click.argument("directory", default=".", metavar="[DIR]", type=click.Path(file_okay=False))
def command(directory: str) -> None:
    """Write a first flow into a directory.

    It writes `flow.yaml`, a commented flow that runs at once; its schema, for editors; and lines of `.gitignore`. A directory
    that is missing is made. Existing files are kept, and nothing is asked.
    """
    for line in write_first_flow(directory):
        echo(safe_line(line))
    change = [] if directory == "." else ["-C", directory]
    echo(f"next: {safe_line(shlex.join(['flowq', *change, 'run']))}")
