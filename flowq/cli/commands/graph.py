"""`flowq graph`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from flowq.cli.completion.candidates import complete_flows_and_runs
from flowq.cli.context import CliContext, complain, pass_context, url_option
from flowq.cli.flow_choice import flow_file
from flowq.cli.flow_file import compile_flow
from flowq.cli.options.flows import Inputs, Part, param_options, selection_options
from flowq.cli.render.output import show, show_json
from flowq.cli.render.styled_text import Line, columns, cut, fit
from flowq.cli.render.vocabulary import symbol, word
from flowq.cli.targets import looks_like_file, select_run
from flowq.cli.terminal import Terminal, echo
from flowq.exceptions import UsageError
from flowq.flows.render.graph.model import Drawing, Vertex, graph_json, graph_of
from flowq.flows.views.run_view import RunView, run_view
from flowq.flows.views.text import safe_line

if TYPE_CHECKING:
    from flowq.plan import Plan

_FORMATS = ("ascii", "mermaid", "dot", "svg", "json")


@click.command(epilog="Example: flowq graph nightly.yaml --format svg -o nightly.svg")
@click.argument("target", required=False, metavar="[FILE|RUN]", shell_complete=complete_flows_and_runs)
@param_options
@selection_options
@click.option("--format", "form", type=click.Choice(_FORMATS), default="ascii", show_default=True, help="What to write.")
@click.option("--cells", is_flag=True, help="Draw every cell of a matrix, instead of one box for all of them.")
@click.option("--gantt", is_flag=True, help="Draw a run as a Gantt chart: when each job waited and ran, the critical path.")
@click.option("-o", "--output", metavar="PATH", help="Write to this file instead of standard output.")
@url_option
@pass_context
def command(
    session: CliContext,
    target: str | None,
    form: str,
    *,
    inputs: Inputs,
    part: Part,
    cells: bool,
    gantt: bool,
    output: str | None,
) -> None:
    """Draw the graph of a flow, or of a run with its states.

    A FILE (`-`: standard input) is compiled; no server is needed. A RUN is drawn with the state of each job. Without either, the latest run is drawn.
    `ascii` draws lines if the graph fits the terminal, else it lists the jobs in the same order.
    """
    plan, run = _read(session, target, inputs, part)
    if gantt:
        _show_gantt(session, plan, run, form)
        return
    graph = graph_of(plan, run, cells=cells)
    title = plan.name if run is None else f"{plan.name}, run {run.id}: {run.status}"
    if form == "ascii" and output is None:
        terminal = session.out
        show(graph_lines(graph, terminal, stated=run is not None), terminal)
    elif form == "json" and output is None:
        show_json(graph_json(graph))
    else:
        _write(_document(graph, form, title, stated=run is not None), output)


def _show_gantt(session: CliContext, plan: "Plan", run: RunView | None, form: str) -> None:
    from flowq.cli.render.gantt import gantt_json, gantt_lines
    from flowq.flows.render.gantt import bars
    from flowq.flows.views.snapshot import read_events

    if run is None:
        raise UsageError("--gantt is for a RUN: a flow file has no times; `flowq plan` shows the expected times")
    if form not in {"ascii", "json"}:
        raise UsageError(f"--gantt has the formats ascii and json, found {form!r}")
    found = bars(plan, run, read_events(session.store(), run.id))
    if form == "json":
        show_json(list(gantt_json(found)))
    else:
        terminal = session.out
        show(gantt_lines(found, terminal), terminal)


def graph_lines(graph: Drawing, terminal: Terminal, *, stated: bool) -> list[Line]:
    """Return the graph as text for a terminal: names in the colour of their state, lines dim."""
    from flowq.flows.render.graph import text

    def label(vertex: Vertex) -> str:
        mark = symbol(vertex.status, unicode=terminal.unicode) + " " if stated else ""
        count = "?" if vertex.is_open else len(vertex.cells) or ""
        name = safe_line(vertex.name) + (f" {'×' if terminal.unicode else 'x'}{count}" if count else "")
        return mark + name

    pen = text.Pen(columns, lambda name, room: cut(name, room, unicode=terminal.unicode), label, unicode=terminal.unicode)
    drawn = text.draw(graph, terminal.width, pen)
    lines = [_line(pieces, graph, stated=stated) for pieces in drawn or text.listing(graph, pen)]
    notes: list[Line] = [((safe_line(remark), "dim"),) for remark in text.remarks(graph, drawn, pen)] if drawn else []
    return [fit(line, terminal.width, unicode=terminal.unicode) for line in ([*lines, (("", ""),), *notes] if notes else lines)]


def _line(pieces: list[tuple[str, int]], graph: Drawing, *, stated: bool) -> Line:
    return tuple((text, "dim" if vertex < 0 else _style(graph.vertices[vertex], stated=stated)) for text, vertex in pieces)


def _style(vertex: Vertex, *, stated: bool) -> str:
    if not stated:
        return ""
    return "warn" if vertex.allowed else word(vertex.status)[1]


def _read(session: CliContext, target: str | None, inputs: Inputs, part: Part) -> "tuple[Plan, RunView | None]":
    target = target and flow_file(target, "graph")
    if target is not None and looks_like_file(target):
        plan = part.of(compile_flow(target, inputs, session.err, without_values=True))
        if plan.open_matrices:
            names = ", ".join(map(safe_line, plan.open_matrices))
            complain(f"the cells of {names} depend on params that have no value (-p NAME=VALUE): each is drawn as one job, ×?")
        return plan, None
    if part:
        raise UsageError(
            "--job, --stage, --until and --without are for a FILE: a RUN is drawn with the part that was selected when it was started"
        )
    if inputs:
        raise UsageError("-p and --params-file are for a FILE: a RUN keeps the params it was submitted with")
    from flowq.flows.views.snapshot import read_snapshot

    store = session.store()
    plan, snapshot = read_snapshot(store, select_run(store, target))
    return plan, run_view(plan, snapshot)


def _document(graph: Drawing, form: str, title: str, *, stated: bool) -> str:
    import json

    from flowq.flows.render.graph.dot_mermaid import to_dot, to_mermaid
    from flowq.flows.render.graph.svg import to_svg

    match form:
        case "mermaid":
            return to_mermaid(graph)
        case "dot":
            return to_dot(graph)
        case "svg":
            return to_svg(graph, title)
        case "json":
            return json.dumps(graph_json(graph), indent=2) + "\n"
        case _:
            lines = graph_lines(graph, Terminal(width=None), stated=stated)
            return "".join("".join(text for text, _style in line).rstrip() + "\n" for line in lines)


def _write(text: str, output: str | None) -> None:
    if output is None or output == "-":
        echo(text, nl=False)
        return
    try:
        Path(output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {output!r}: {error.strerror or error}") from error
