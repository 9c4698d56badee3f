"""`flowq schema`."""

import click

from flowq.cli.terminal import echo
from flowq.compiler.syntax.schema import schema_path


@click.command(epilog="Example: flowq schema > flow.schema.json")
def command() -> None:
    """Print the JSON Schema of flow files.

    With `# yaml-language-server: $schema=flow.schema.json` in the first line of a flow file, an editor completes and explains
    every key.
    """
    echo(schema_path().read_text(encoding="utf-8"), nl=False)
