"""The flow file that a command works on: the one given, the text on standard input, or the one of this directory.

Light to import: completion and `flowq run` need it before anything else.
"""

import os
import re
from typing import Final

import click

STDIN: Final = "-"
"""The FILE that stands for standard input."""

STDIN_NAME: Final = "<stdin>"
"""Its name in messages."""

SUFFIXES: Final = (".yaml", ".yml")
"""The ends of the names of flow files."""

DIRECTORY: Final = ".flowq"
"""The directory of a project in which flow files are looked for."""

DEFAULT: Final = "flow.yaml"
"""The flow file of a directory."""

_DEFAULTS: Final = (DEFAULT, "flow.yml")
_SHOWN: Final = 8
_PARAM: Final = re.compile(r"[A-Za-z_][\w.-]*=")


def flow_file(given: str | None, command: str) -> str:
    """Return the flow file to work on: the given one, else the default of this directory.

    Args:
        given: the argument; None: it was left out.
        command: the command, for messages.

    Raises:
        click.UsageError: none was given, and this directory has none or several; or it is a param.
    """
    if given is not None:
        if _PARAM.match(given) and not os.path.exists(given):  # noqa: PTH110 - fast
            raise click.UsageError(f"there is no file {given!r}: params are given with -p, as in `-p {given}`")
        return given
    found = default_files()
    if len(found) == 1:
        return found[0]
    found = found or _flows_here()
    if not found:
        raise click.UsageError(
            f"expected the FILE of a flow: this directory has no {DEFAULT} and no {DIRECTORY}/*.yaml;"
            " `flowq init` writes a flow, `flowq list` shows those below"
        )
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    there = "there is" if len(found) == 1 else "there are"
    raise click.UsageError(f"say which flow: `flowq {command} FILE`; {there} {', '.join(found[:_SHOWN])}{more}")


def default_files(directory: str = "") -> list[str]:
    """Return the flow files that a command takes by default: `flow.yaml`, else all of `.flowq`; as paths from the directory."""
    found = [name for name in _DEFAULTS if os.path.isfile(os.path.join(directory, name))]  # noqa: PTH113, PTH118 - fast
    return found or _in_own(os.path.join(directory, DIRECTORY))  # noqa: PTH118


def shown_name(file: str) -> str:
    """Return the name of a flow file in messages."""
    return STDIN_NAME if file == STDIN else file


def _flows_here() -> list[str]:
    """Return the flow files of this directory, which are no defaults: other files with the same endings are none."""
    from flowq.compiler.outline import read_outline

    return [name for name in _names(".") if read_outline(name) is not None]


def _in_own(directory: str) -> list[str]:
    return [f"{DIRECTORY}/{name}" for name in _names(directory)]


def _names(directory: str) -> list[str]:
    """Return the names of a directory's files that look like flows."""
    try:
        names = sorted(os.listdir(directory))  # noqa: PTH208 - fast
    except OSError:
        return []
    return [name for name in names if name.endswith(SUFFIXES) and name[0] != "."]
