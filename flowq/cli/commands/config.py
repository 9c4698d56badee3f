"""`flowq config`."""

import json

import click

from flowq.cli.context import CliContext, pass_context, url_option
from flowq.cli.render.output import show, show_json
from flowq.cli.render.styled_text import Line, columns, fit, pad
from flowq.config import load_settings, redact, variable_of
from flowq.flows.views.text import plural, safe_line

_DEFAULTS = {"url": "(the embedded server)", "home": "(the user's state directory)"}


@click.command(epilog="Example: flowq config --json")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
@url_option
@pass_context
def command(session: CliContext, *, as_json: bool) -> None:
    """Show every setting, its value and its source.

    The order of precedence: an argument, the environment, flowq.toml or [tool.flowq] in pyproject.toml (the nearest one, from
    this directory upwards), the default. Passwords are not shown.
    """
    settings = load_settings(session.url)
    rows = [
        {
            "name": name,
            "value": None if setting is None else _shown(name, setting.value),
            "source": "default" if setting is None else setting.source,
            "variable": variable_of(name) or None,
        }
        for name, setting in settings
    ]
    if as_json:
        show_json(rows)
        return
    terminal = session.out
    values = [safe_line(row["value"] or _DEFAULTS.get(str(row["name"]), "")) for row in rows]
    widest = max(map(columns, values))
    lines: list[Line] = [((f"{'SETTING':<16}{pad('VALUE', widest)}  {'FROM':<28}VARIABLE", "dim"),)]
    for row, value in zip(rows, values, strict=True):
        source = safe_line(row["source"] or "")
        lines.append(
            (
                (f"{row['name']:<16}", "bold"),
                (f"{pad(value, widest)}  ", ""),
                (f"{source:<28}{row['variable'] or ''}".rstrip(), "dim"),
            )
        )
    show((fit(line, terminal.width, unicode=terminal.unicode) for line in lines), terminal)


def _shown(name: str, value: str) -> str:
    """Return a value as it is shown; of messages their number, as an address may stand there by mistake."""
    if name == "notify":
        found = json.loads(value)
        return plural(len(found) if isinstance(found, list) else 1, "message")
    return redact(value) if name == "url" else value
