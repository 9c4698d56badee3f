"""`flowq config`."""

import click

from flowq.cli.context import CliContext, pass_context, url_option
from flowq.cli.render.output import show, show_json
from flowq.cli.render.styled_text import Line, columns, fit, pad
from flowq.config import load_settings
from flowq.embedded.directory import locate
from flowq.exceptions import ConfigError
from flowq.flows.documents.settings_document import settings_json
from flowq.flows.views.text import safe_line


@click.command(epilog="Example: flowq config --json")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
@url_option
@pass_context
def command(session: CliContext, *, as_json: bool) -> None:
    """Show every setting, its value and its source.

    The order of precedence: an argument, the environment, flowq.toml or [tool.flowq] in pyproject.toml (the nearest one, from
    this directory upwards), the default. Passwords are not shown.
    """
    rows = settings_json(load_settings(session.url))
    if as_json:
        show_json(rows)
        return
    terminal = session.out
    values = [safe_line(str(row["value"] or "") or _default(str(row["name"]))) for row in rows]
    widest = max(map(columns, values))
    lines: list[Line] = [((f"{'SETTING':<16}{pad('VALUE', widest)}  {'FROM':<28}VARIABLE", "dim"),)]
    for row, value in zip(rows, values, strict=True):
        source = safe_line(str(row["source"]))
        lines.append(
            (
                (f"{row['name']:<16}", "bold"),
                (f"{pad(value, widest)}  ", ""),
                (f"{source:<28}{row['variable'] or ''}".rstrip(), "dim"),
            )
        )
    show((fit(line, terminal.width, unicode=terminal.unicode) for line in lines), terminal)


def _default(name: str) -> str:
    """Return what holds where a setting has no value."""
    if name == "url":
        return "(the embedded server)"
    try:
        return locate().root if name == "home" else ""
    except ConfigError:  # this user has no home
        return "(none)"
