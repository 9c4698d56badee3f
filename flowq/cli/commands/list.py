"""`flowq list`."""

import os
from collections.abc import Iterator
from typing import Any

import click

from flowq.cli.context import CliContext, complain, pass_context, tell_damaged, url_option, zone_option
from flowq.cli.render.output import show, show_json
from flowq.cli.render.runs_table import STATUS_STYLES
from flowq.cli.render.styled_text import Line, columns, fit, pad
from flowq.cli.render.vocabulary import clock, clock_width
from flowq.cli.terminal import Terminal
from flowq.exceptions import ServerError
from flowq.flows.views.flow_list import MAX_CHECKED, MAX_ENTRIES, FlowList, ListedFlow, list_flows
from flowq.flows.views.text import safe_line
from flowq.store.schema.documents import record_json

_NAMES = 40  # cells for the names of files
_STATUS = len("finished  ")


@click.command(epilog="Example: flowq list pipelines")
@click.argument("directory", default=".", metavar="[DIR]", type=click.Path(exists=True, file_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@zone_option
@url_option
@pass_context
def command(session: CliContext, directory: str, *, as_json: bool) -> None:
    """List the flows at and below a directory.

    Each with its last run and its description, or its first error. Directories with a dot in front (except `.flowq`), `node_modules` and environments of
    Python are left out. `flowq runs` lists runs.
    """
    found = _find(session, directory)
    if as_json:
        show_json([_document(item, directory) for item in found.flows])
    elif found.flows:
        terminal = session.out
        show(_table(found.flows, directory, terminal), terminal)
    else:
        complain("no flows here and below: `flowq init` writes one; `flowq runs` lists runs")
    tell_damaged(found.damaged)
    if found.unchecked:
        complain(f"only the first {MAX_CHECKED} flows were compiled: `flowq validate DIR` checks all of a directory")
    if not found.complete:
        complain(f"only the first {MAX_ENTRIES:,} files were looked at: `flowq list DIR` searches a smaller directory")


def _find(session: CliContext, directory: str) -> FlowList:
    """Return the flows; without their runs if the server cannot be reached."""
    if not session.has_history():
        return list_flows(directory, None)
    try:
        return list_flows(directory, session.store())
    except ServerError as error:
        complain(f"no runs: {error}")
        return list_flows(directory, None)


def _document(item: ListedFlow, directory: str) -> dict[str, Any]:
    return {
        "file": _path(item, directory),
        "name": item.outline.name,
        "description": item.outline.description,
        "problem": item.problem or None,
        "last_run": None if item.last_run is None else record_json(item.last_run, orphaned=item.orphaned),
    }


def _table(flows: tuple[ListedFlow, ...], directory: str, terminal: Terminal) -> Iterator[Line]:
    paths = [safe_line(_path(item, directory)) for item in flows]
    names = min(max(columns(path) for path in ("FLOW", *paths)), _NAMES)
    times = _STATUS + clock_width(terminal.zone) if any(item.last_run for item in flows) else len("LAST RUN")
    head: Line = ((f"{pad('FLOW', names)}  {'LAST RUN':<{times}}  DESCRIPTION", "dim"),)
    yield fit(head, terminal.width, unicode=terminal.unicode)
    for path, item in zip(paths, flows, strict=True):
        # a path is never cut: it is what the next command needs
        line: Line = (
            (pad(path, max(names, columns(path))) + "  ", "bold"),
            *_last_run(item, times, terminal.zone),
            *_text(item),
        )
        room = None if terminal.width is None else max(terminal.width, columns(path))
        yield fit(line, room, unicode=terminal.unicode)


def _last_run(item: ListedFlow, width: int, zone: str) -> Line:
    if item.last_run is None:
        return (("-".ljust(width) + "  ", "dim"),)
    run = item.last_run
    status = ("orphaned  ", "warn") if item.orphaned else (f"{run.status:<8}  ", STATUS_STYLES[run.status])
    return (status, (f"{clock(run.created_ms, zone)}  ", "dim"))


def _text(item: ListedFlow) -> Line:
    if item.problem:
        return ((f"not valid: {safe_line(item.problem)}", "bad"),)
    return ((safe_line(item.outline.description), ""),)


def _path(item: ListedFlow, directory: str) -> str:
    """Return the path as the next command takes it, from the working directory."""
    return os.path.normpath(os.path.join(directory, item.file))  # noqa: PTH118 - `Path` has no such normalization
