"""`flowq version`."""

import platform
from importlib.metadata import version

import click

from flowq.cli.render.output import show_json
from flowq.cli.terminal import echo


@click.command(epilog="Example: flowq version --json")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def command(*, as_json: bool) -> None:
    """Print the version of flowq and of the Python it runs on."""
    if as_json:
        show_json({"flowq": version("flowq"), "python": platform.python_version(), "platform": platform.platform()})
    else:
        echo(f"flowq {version('flowq')} (Python {platform.python_version()})")
