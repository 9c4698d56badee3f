"""Flow files on the command line: compilation, diagnostics, and the preview of a run."""

import json
import os
import shlex
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flowq.cli.context import complain
from flowq.cli.flow_choice import STDIN, STDIN_NAME, shown_name
from flowq.cli.options.flows import Inputs
from flowq.cli.render.styled_text import Line, columns, pad
from flowq.cli.render.vocabulary import count_text, foreach_text
from flowq.cli.terminal import Terminal, echo
from flowq.exceptions import InvalidFlowError, UsageError
from flowq.flows.views.text import plural, safe_line

if TYPE_CHECKING:
    from flowq.compiler import Compilation, Diagnostic
    from flowq.plan import Json, Plan
    from flowq.store.schema.records import RunRecord


def compile_flow(file: str, inputs: Inputs, terminal: Terminal, *, without_values: bool = False) -> "Plan":
    """Compile a flow file to run it; errors are written to standard error, and one line about warnings.

    Args:
        file: the flow file, or `-`.
        inputs: params, root, and what is known of the run.
        terminal: standard error.
        without_values: it is drawn, not run, and params may lack a value.

    Raises:
        InvalidFlowError: it does not compile.
    """
    compilation = compile_now(file, inputs, without_values=without_values)
    show_diagnostics((item for item in compilation.diagnostics if item.severity == "error"), terminal, err=True)
    warnings = [item for item in compilation.diagnostics if item.severity == "warning"]
    if warnings:
        complain(_warnings_text(warnings, file, inputs))
    if compilation.plan is None:
        errors = sum(item.severity == "error" for item in compilation.diagnostics)
        raise InvalidFlowError(f"{shown_name(file)} cannot run: {plural(errors, 'error')}", tuple(compilation.diagnostics))
    return compilation.plan


def earlier_params(run: "RunRecord") -> "dict[str, Json]":
    """Return the params of an earlier run for the present text of its file. Those that the text has no longer are named, and left out."""
    from flowq.compiler.outline import read_outline
    from flowq.plan import near

    values: dict[str, Json] = json.loads(run.params or "{}")
    outline = read_outline(near(run.file))
    if outline is None or outline.problem:
        return values  # the compiler says what is wrong with it
    known = {param.name for param in outline.params}
    dropped = [name for name in values if name not in known]
    if dropped:
        names = ", ".join(f"{safe_line(name)}={safe_line(str(values[name]))}" for name in dropped)
        complain(f"warning: {near(run.file)} no longer has params that run {run.id} was given, they are left out: {names}")
    return {name: value for name, value in values.items() if name in known}


def _warnings_text(warnings: "Sequence[Diagnostic]", file: str, inputs: Inputs) -> str:
    """Return the line about warnings: they would be repeated with every command."""
    codes = dict.fromkeys(item.code for item in warnings)
    root = [] if inputs.root is None else ["--root", inputs.root]
    command = shlex.join(["flowq", "validate", *root, file])
    return f"{shown_name(file)}: {plural(len(warnings), 'warning')} ({', '.join(codes)}): {command}"


def compile_now(file: str, inputs: Inputs, *, without_values: bool = False) -> "Compilation":
    """Compile a flow file, or for `-` standard input. Unless the run has a date, it is today's, in the flow's time zone."""
    from flowq.compiler import compile_file

    text = None
    if file == STDIN:
        file, text = STDIN_NAME, _standard_input()
    return compile_file(
        file,
        params=inputs.values,
        params_file=inputs.file,
        date=datetime.now(UTC),
        root=inputs.root,
        text=text,
        run=inputs.run,
        without_values=without_values,
    )


def _standard_input() -> bytes:
    """Return the bytes of standard input, up to the size that the compiler refuses."""
    from flowq.compiler.syntax.source import MAX_BYTES

    if os.isatty(0):
        complain("reading a flow from the terminal: Ctrl+D ends it")
    try:
        with open(0, "rb", closefd=False) as stream:
            return stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read a flow from standard input: {error.strerror}") from error


def show_diagnostics(diagnostics: "Iterable[Diagnostic]", terminal: Terminal, *, err: bool) -> None:
    """Write every diagnostic, with an empty line after it."""
    from flowq.compiler import render

    for item in diagnostics:
        echo(render(item, color=terminal.color) + "\n", err=err, color=terminal.color)


def preview_lines(plan: "Plan") -> Iterator[Line]:
    """Yield the preview of a run: its jobs in order, with queue and dependencies."""
    jobs = list(plan.selected_jobs())
    yield ((f"{safe_line(plan.name)}: {count_text(plan)}, not run (--dry-run)", "bold"),)
    if plan.params:
        yield (
            ("params " + ", ".join(f"{safe_line(name)}={safe_line(str(value))}" for name, value in plan.params.items()), "dim"),
        )
    names = max((columns(safe_line(cell.name)) for cell in jobs), default=0)
    queues = max((columns(safe_line(plan.queue_of(cell))) for cell in jobs), default=0)
    for cell in jobs:
        after = ", ".join(safe_line(name) + _condition(condition) for name, condition in plan.shown_parents(cell))
        foreach = foreach_text(plan, cell)
        yield (
            (f"  {pad(safe_line(cell.name), names)}  ", ""),
            (pad(safe_line(plan.queue_of(cell)), queues), "dim"),
            (f"  after {after}" if after else "", "dim"),
            (f"  {foreach}" if foreach else "", "dim"),
        )


def _condition(condition: str) -> str:
    return "" if condition == "success" else f" ({condition})"
