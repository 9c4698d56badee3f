"""`flowq completion`."""

import click

from flowq.cli.completion.shell_scripts import BASH, FISH, ZSH
from flowq.cli.terminal import echo

_SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


@click.command(epilog="Example: flowq completion fish > ~/.config/fish/completions/flowq.fish")
@click.argument("shell", type=click.Choice(list(_SCRIPTS)))
def command(shell: str) -> None:
    """Print the script for completion in bash, zsh or fish.

    It completes commands, options, flow files, params with their values, run ids and job names.
    bash and zsh: put `eval "$(flowq completion bash)"` into ~/.bashrc or ~/.zshrc. fish: write the output to
    ~/.config/fish/completions/flowq.fish.
    """
    echo(_SCRIPTS[shell].strip())
