"""Options that several commands share. Light to import: a command's module is imported before its options are known."""

from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

_Command = TypeVar("_Command", bound="Callable[..., Any]")


def execution_options(command: _Command) -> _Command:
    """Add the options `--detach`, `--workers` and `--json`."""
    options = (
        click.option("--detach", is_flag=True, help="Do not follow: print the run's id; it goes on in the background."),
        click.option(
            "--workers", type=click.IntRange(1, 512), metavar="N", help="Jobs executed side by side.  [default: one per core]"
        ),
        click.option("--json", "as_json", is_flag=True, help="Print one event per line, then the run, as JSON."),
    )
    for option in reversed(options):
        command = option(command)
    return command
