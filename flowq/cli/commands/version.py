"""`flowq version`."""

import platform

import click

from flowq import __version__
from flowq.cli.render.output import show_json
from flowq.cli.terminal import echo


@click.command(epilog="Example: flowq version --json")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def command(*, as_json: bool) -> None:
    """Print the version of flowq and of the Python it runs on."""
    if as_json:
        show_json({"flowq": __version__, "python": platform.python_version(), "platform": platform.platform()})
    else:
        echo(f"flowq {__version__} (Python {platform.python_version()})")
