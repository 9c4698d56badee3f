"""`flowq validate`."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from flowq.cli import exit_codes
from flowq.cli.completion.candidates import complete_flows
from flowq.cli.context import CliContext, pass_context
from flowq.cli.flow_choice import STDIN, default_files, flow_file, shown_name
from flowq.cli.flow_file import compile_now, show_diagnostics
from flowq.cli.options.flows import Inputs, param_options
from flowq.cli.render.output import show, show_json
from flowq.cli.render.styled_text import Line
from flowq.flows.views.text import safe_line

if TYPE_CHECKING:
    from flowq.compiler import Compilation, Diagnostic


@click.command(epilog="Example: flowq validate flows/*.yaml")
@click.argument("files", nargs=-1, metavar="[FILE]...", shell_complete=complete_flows)
@param_options
@click.option("--json", "as_json", is_flag=True, help="Print the diagnostics as a JSON list.")
@pass_context
def command(session: CliContext, files: tuple[str, ...], *, inputs: Inputs, as_json: bool) -> int:
    """Check flow files and show every problem.

    A FILE is a flow file, a directory, or `-` for standard input. Of a directory, the flow files are checked that `flowq serve` takes, and
    the triggers between them. Left out, these are `flow.yaml`, or the flow files in `.flowq`.
    Nothing is run and no server is needed. Params without a default need no value here. The exit code is 0 if every file is a
    valid flow, else 3.
    """
    if files.count(STDIN) > 1:
        raise click.UsageError("standard input can be read once: give one `-`")
    files = tuple(flow_file(file, "validate") for file in files) or tuple(default_files()) or (flow_file(None, "validate"),)
    checked = [item for file in files for item in _check_all(file, inputs)]
    invalid = sum(not item.valid for item in checked)
    if as_json:
        show_json([diagnostic.to_json() for item in checked for diagnostic in item.diagnostics])
        return exit_codes.INVALID if invalid else exit_codes.OK
    for item in checked:
        show_diagnostics(item.diagnostics, session.out, err=False)
        if item.valid:
            show([item.verdict()], session.out)
    if invalid and len(checked) > 1:
        show([((f"{invalid} of {len(checked)} files {'is' if invalid == 1 else 'are'} not valid", "bad"),)], session.out)
    return exit_codes.INVALID if invalid else exit_codes.OK


@dataclass(frozen=True, slots=True)
class _Checked:
    """A file with its diagnostics, and the params that a run of it needs."""

    file: str
    diagnostics: tuple["Diagnostic", ...]
    jobs: str | None
    missing: tuple[str, ...]

    @property
    def valid(self) -> bool:
        """Whether the file is a flow that can run, once its params have values."""
        return not any(item.severity == "error" for item in self.diagnostics)

    def verdict(self) -> Line:
        """Return the line that states the result."""
        jobs = "" if self.jobs is None else f", {self.jobs}"
        needs = f"; a run needs {' '.join(f'-p {safe_line(name)}=…' for name in self.missing)}" if self.missing else ""
        return ((f"{safe_line(shown_name(self.file))}: ", ""), ("valid", "good"), (jobs + needs, ""))


def _check_all(file: str, inputs: Inputs) -> list[_Checked]:
    """Check a file, or the flow files of a directory."""
    if not os.path.isdir(file):  # noqa: PTH112 - fast
        return [_check(file, compile_now(file, inputs))]
    from flowq.schedules.directory.follows import TriggeredFlow, check_follows

    compiled = {path: compile_now(path, inputs) for path in _flows_below(file)}
    if not compiled:
        raise click.UsageError(f"{safe_line(file)} has no flow files")
    names = {path: os.path.relpath(path, file).rpartition(".")[0] for path in compiled}
    found = check_follows({names[path]: TriggeredFlow(path, item.triggers) for path, item in compiled.items()})
    return [_check(path, item, [problem for problem in found if problem.file == path]) for path, item in compiled.items()]


def _flows_below(directory: str) -> Iterator[str]:
    from flowq.compiler.outline import read_outline
    from flowq.schedules.directory.walk import Walk

    walk = Walk(directory)
    try:
        walk.look()
    except OSError as error:
        raise click.UsageError(f"{directory} cannot be read: {error.strerror}") from error
    paths = (os.path.join(directory, path) for path in sorted(walk.files))  # noqa: PTH118 - fast
    return (path for path in paths if read_outline(path) is not None)


def _check(file: str, compilation: "Compilation", more: Sequence["Diagnostic"] = ()) -> _Checked:
    from flowq.cli.render.vocabulary import count_text
    from flowq.compiler import Code
    from flowq.plan.foreach import before_run

    kept = (*(item for item in compilation.diagnostics if item.code != Code.MISSING_PARAM), *more)
    jobs = None if compilation.plan is None else count_text(before_run(compilation.plan))
    missing = tuple(
        re.findall("`(.*?)`", item.message)[0] for item in compilation.diagnostics if item.code == Code.MISSING_PARAM
    )
    return _Checked(file, kept, jobs, missing)
