"""`flowq server`."""

import dataclasses

import click

from flowq.cli.context import complain
from flowq.cli.render.output import show_json
from flowq.cli.render.vocabulary import took
from flowq.cli.terminal import echo
from flowq.embedded.control import ServerStatus, server_status, start_server, stop_server


@click.group(epilog="Example: flowq server status", no_args_is_help=True)
def command() -> None:
    """Start, stop or look at the embedded server.

    It starts automatically when needed and stops soon after its last use; started with this command, it keeps running.
    """


@command.command(epilog="Example: flowq server start")
def start() -> None:
    """Start the embedded server, and keep it running until `flowq server stop`."""
    _show(start_server())


@command.command(epilog="Example: flowq server stop --force")
@click.option("--force", is_flag=True, help="Stop it even if processes use it.")
def stop(*, force: bool) -> None:
    """Stop the embedded server. Its data stays."""
    if stop_server(force=force):
        echo("stopped")
    else:
        complain("the embedded server was not running")


@command.command(epilog="Example: flowq server backup /backups/flowq-monday")
@click.argument("directory", metavar="DIR")
def backup(directory: str) -> None:
    """Copy the data of the embedded server to DIR, also while it is used.

    DIR must not exist or be empty. It becomes a state directory: `FLOWQ_HOME=DIR flowq runs` shows what is in it.
    """
    from flowq.embedded.backup import back_up

    echo(f"backed up {_size(back_up(directory))} to {directory}")


@command.command(epilog="Example: flowq server status --json")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def status(*, as_json: bool) -> None:
    """Show the status of the embedded server; do not start it."""
    found = server_status()
    if as_json:
        show_json(dataclasses.asdict(found))
    else:
        _show(found)


def _show(found: ServerStatus) -> None:
    if not found.running:
        echo(f"not running; its data is in {found.home}")
        return
    users = ", ".join(map(str, found.users)) or "no process"
    echo(
        f"running: {found.version}, process {found.pid}, for {took(found.uptime)}"
        + (", until it is stopped" if found.pinned else "")
    )
    echo(f"address: unix://{found.socket}")
    echo(f"data:    {found.home}, {_size(found.memory)} in memory, {_size(found.disk)} on disk")
    echo(f"used by: {users}")


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count / 1e3:.1f} kB"
