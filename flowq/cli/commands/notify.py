"""`flowq notify`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from flowq.cli import exit_codes
from flowq.cli.completion.candidates import complete_flows
from flowq.cli.context import CliContext, complain, pass_context
from flowq.cli.flow_choice import flow_file
from flowq.cli.flow_file import compile_now, show_diagnostics
from flowq.cli.options.flows import Inputs
from flowq.cli.render.output import show, show_json
from flowq.cli.render.styled_text import Line, columns, pad
from flowq.flows.views.text import safe_line

if TYPE_CHECKING:
    from flowq.plan.notice import Notice


@click.command(epilog="Example: flowq notify nightly.yaml --test")
@click.argument("file", required=False, shell_complete=complete_flows)
@click.option("--test", is_flag=True, help="Send a message to each address now.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@pass_context
def command(session: CliContext, file: str | None, *, test: bool, as_json: bool) -> int:
    """Show where the messages of a flow go (`notify`), and try them.

    Those that flowq.toml has for all flows are among them. The addresses are looked up in this environment; workers look them up in theirs. The exit code is 1 if an address is missing or a
    message could not be sent.
    """
    name = flow_file(file, "notify")
    compilation = compile_now(name, Inputs())
    if not compilation.notify:
        errors = [item for item in compilation.diagnostics if item.severity == "error"]
        show_diagnostics(errors, session.err, err=True)
        complain(
            f"{name} sends no messages: it has no `notify`, and neither have the settings"
            if not errors
            else f"{name} is not valid"
        )
        return exit_codes.INVALID if errors else exit_codes.OK
    rows = [(notice, _try(notice) if test else _missing(notice)) for notice in compilation.notify]
    if as_json:
        show_json([{"on": list(item.on), "to": dict(item.to), "problem": problem or None} for item, problem in rows])
    else:
        show(_table(rows, sent=test), session.out)
    return exit_codes.FAILED if any(problem for _notice, problem in rows) else exit_codes.OK


def _missing(notice: "Notice") -> str:
    """Return why the address is not available, or ""."""
    from flowq.worker.secrets.resolve import problem_of

    return problem_of("to", notice.to) or ""


def _try(notice: "Notice") -> str:
    """Send a message; return why that failed, or ""."""
    from flowq.worker.secrets.resolve import SecretError
    from flowq.worker.webhooks import sender
    from flowq.worker.webhooks.notices import request_to, sample

    document, text = sample(notice)
    try:
        verdict, problem = sender.send(request_to(notice, document, text, {"X-Flowq-Delivery": "test", "X-Flowq-Try": "1"}))
    except SecretError as error:
        return str(error)
    return "" if verdict == sender.DONE else problem


def _table(rows: "list[tuple[Notice, str]]", *, sent: bool) -> Iterator[Line]:
    names = [safe_line(notice.address) for notice, _problem in rows]
    width = max(map(columns, (*names, "TO")))
    yield ((f"{pad('TO', width)}  {'':<7}  ON", "dim"),)
    for name, (notice, problem) in zip(names, rows, strict=True):
        word, style = ("failed" if sent else "missing", "bad") if problem else ("sent" if sent else "there", "good")
        more = f"  {safe_line(problem)}" if problem else ""
        yield ((f"{pad(name, width)}  ", "bold"), (f"{word:<7}  ", style), (", ".join(notice.on) + more, ""))
