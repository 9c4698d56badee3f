"""`flowq completion`."""

import click
from click.shell_completion import ZshComplete

from flowq.cli.completion.shell_scripts import BASH, FISH
from flowq.cli.terminal import echo

_SHELLS = ("bash", "zsh", "fish")


@click.command(epilog="Example: flowq completion fish > ~/.config/fish/completions/flowq.fish")
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script for completion in bash, zsh or fish.

    It completes commands, options, files, run ids and job names.
    bash and zsh: put `eval "$(flowq completion bash)"` into ~/.bashrc or ~/.zshrc. fish: write the output to
    ~/.config/fish/completions/flowq.fish.
    """
    own = {"bash": BASH, "fish": FISH}.get(shell)
    if own is not None:
        echo(own.strip())
        return
    completion = ZshComplete(ctx.find_root().command, {}, "flowq", "_FLOWQ_COMPLETE")
    echo(completion.source())
