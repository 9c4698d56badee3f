"""`flowq validate`."""

import re
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
    from flowq.compiler import Diagnostic


@click.command(epilog="Example: flowq validate flows/*.yaml")
@click.argument("files", nargs=-1, metavar="[FILE]...", shell_complete=complete_flows)
@param_options
@click.option("--json", "as_json", is_flag=True, help="Print the diagnostics as a JSON list.")
@pass_context
def command(session: CliContext, files: tuple[str, ...], *, inputs: Inputs, as_json: bool) -> int:
    """Check flow files and show every problem.

    A FILE is a flow file, or `-` for standard input. Left out, these are `flow.yaml`, or the flow files in `.flowq`.
    Nothing is run and no server is needed. Params without a default need no value here. The exit code is 0 if every file is a
    valid flow, else 3.
    """
    if files.count(STDIN) > 1:
        raise click.UsageError("standard input can be read once: give one `-`")
    files = files or tuple(default_files()) or (flow_file(None, "validate"),)
    checked = [_check(file, inputs) for file in files]
    invalid = sum(not item.valid for item in checked)
    if as_json:
        show_json([diagnostic.to_json() for item in checked for diagnostic in item.diagnostics])
        return exit_codes.INVALID if invalid else exit_codes.OK
    for item in checked:
        show_diagnostics(item.diagnostics, session.out, err=False)
        if item.valid:
            show([item.verdict()], session.out)
    if invalid and len(files) > 1:
        show([((f"{invalid} of {len(files)} files are not valid", "bad"),)], session.out)
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


def _check(file: str, inputs: Inputs) -> _Checked:
    from flowq.cli.render.vocabulary import count_text
    from flowq.compiler import Code
    from flowq.plan.foreach import before_run

    compilation = compile_now(file, inputs)
    kept = tuple(item for item in compilation.diagnostics if item.code != Code.MISSING_PARAM)
    jobs = None if compilation.plan is None else count_text(before_run(compilation.plan))
    missing = tuple(
        re.findall("`(.*?)`", item.message)[0] for item in compilation.diagnostics if item.code == Code.MISSING_PARAM
    )
    return _Checked(file, kept, jobs, missing)
