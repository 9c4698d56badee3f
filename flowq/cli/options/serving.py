"""Options of the commands that serve a directory of flows."""

import click

reload_option = click.option(
    "--reload",
    "polls",
    type=click.Choice(["poll", "never"]),
    default="poll",
    show_default=True,
    callback=lambda _context, _option, value: value == "poll",
    help="Look for changed files every 2 s, or never: only at the start and at SIGHUP.",
)
"""`--reload`, for a parameter `polls`: whether changed files are looked for."""

ship_option = click.option(
    "--ship", "ships", is_flag=True, help="Let the files of DIR travel with its runs, as `code: ship` does."
)
"""`--ship`, for a parameter `ships`."""
