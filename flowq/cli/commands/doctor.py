"""`flowq doctor`."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict

import click

from flowq.cli import exit_codes
from flowq.cli.context import CliContext, pass_context, url_option
from flowq.cli.render.output import show, show_json
from flowq.cli.render.styled_text import Line, fit
from flowq.cli.terminal import Terminal
from flowq.config import load_settings, redact
from flowq.exceptions import ServerError
from flowq.flows.health import OK, PROBLEM, WARNING, Finding, examine, read_facts
from flowq.flows.views.text import plural, safe_line

_STYLES = {OK: "good", WARNING: "warn", PROBLEM: "badbold"}


@click.command(epilog="Example: flowq doctor -u redis://queue.example/0")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of findings.")
@url_option
@pass_context
def command(session: CliContext, *, as_json: bool) -> int:
    """Check the server and the workers, and advise what to do.

    It checks versions, persistence, memory, clocks and queues without a worker. Every finding has a code. The exit code is 1
    when there is a problem, 6 when the server cannot be used.
    """
    settings = load_settings(session.url)
    address = "this machine" if settings.url is None else redact(settings.url.value)
    code = exit_codes.OK
    try:
        store = session.store()
        refusal = session.take_refusal()
        findings = [Finding("D201", PROBLEM, refusal)] if refusal else examine(read_facts(store, address))
        code = exit_codes.UNREACHABLE if refusal else code
    except ServerError as error:
        findings = [Finding("D201", PROBLEM, str(error), "`flowq config` shows where the address comes from")]
        code = exit_codes.UNREACHABLE
    if any(finding.level == PROBLEM for finding in findings):
        code = code or exit_codes.FAILED
    if as_json:
        show_json([asdict(finding) for finding in findings])
    else:
        show(finding_lines(findings, session.out), session.out)
    return code


def finding_lines(findings: Sequence[Finding], terminal: Terminal) -> list[Line]:
    """Return the findings with their advice, and the number of warnings and problems."""
    lines: list[Line] = []
    for finding in findings:
        style = _STYLES.get(finding.level, "dim")
        lines.append(((f"{finding.code}  ", "dim"), (f"{finding.level:<8} ", style), (safe_line(finding.text), "")))
        lines += _advice_lines(safe_line(finding.advice), terminal.width)
    asking = sum(finding.level in {WARNING, PROBLEM} for finding in findings)
    lines += [
        (("", ""),),
        ((f"{plural(asking, 'finding')} to look at" if asking else "no problems found", "warn" if asking else "good"),),
    ]
    return [fit(line, terminal.width, unicode=terminal.unicode) for line in lines]


def _advice_lines(advice: str, width: int | None) -> Iterator[Line]:
    """Yield an advice, wrapped to the width and never cut."""
    margin = " " * (16 if width is None else min(16, width // 5))
    for text in [advice] if width is None else textwrap.wrap(advice, width - len(margin)):
        if text:
            yield (margin, ""), (text, "bold")
