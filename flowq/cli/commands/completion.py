"""`flowq completion`."""

import click
from click.shell_completion import get_completion_class

from flowq.cli.streams import echo
from flowq.exceptions import UsageError

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
    found = get_completion_class(shell)
    if found is None:
        raise UsageError(f"there is no completion for {shell}, expected one of: {', '.join(_SHELLS)}")
    # click would look for bash on PATH and complain about old ones; the script itself runs from bash 4.4 on.
    completion = found(ctx.find_root().command, {}, "flowq", "_FLOWQ_COMPLETE")
    echo(completion.source_template % completion.source_vars())
