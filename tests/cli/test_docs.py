"""docs/cli.md describes every command and option, and no others."""

import re
from pathlib import Path

import click
import pytest

from flowq.cli.main import COMMANDS, cli
from flowq.states import Reason

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
EVERYWHERE = {"--help", "-h", "-u", "--url", "--json"}
QUEUES = {
    "--config",
    "--path",
    "--serializer",
    "--job-class",
    "--queue-class",
    "--worker-class",
    "--connection-class",
}  # described once for all commands


def section(name: str) -> str:
    """Return the section of the page about a command."""
    found = re.search(rf"^## flowq {name}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, f"docs/cli.md has no section on flowq {name}"
    return found[1]


def options(command: click.Command, *, hidden: bool = True) -> set[str]:
    """Return the names of a command's options, with those of its subcommands; `hidden`: also those that the help does not show."""
    context = click.Context(command)
    shown = [
        option for option in command.get_params(context) if isinstance(option, click.Option) and (hidden or not option.hidden)
    ]
    names = {name for option in shown for name in option.opts}
    if isinstance(command, click.Group):
        for child in command.commands.values():
            names |= options(child, hidden=hidden)
    return names


@pytest.mark.parametrize("name", COMMANDS)
def test_the_page_has_every_option(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    text = section(name)
    written = set(re.findall(r"(?<![\w-])(--[a-z][a-z_-]+|-[a-zA-Z])\b", text))
    long_names = {option for option in options(command, hidden=False) if option.startswith("--")} - EVERYWHERE - QUEUES
    assert long_names <= written, f"not on the page: {sorted(long_names - written)}"


def test_the_page_has_no_section_without_a_command() -> None:
    assert re.findall(r"^## flowq ([\w-]+)", PAGE, re.MULTILINE) == list(COMMANDS)


def test_shared_options_are_described() -> None:
    (text,) = re.findall(r"^\*\*Commands for plain queues.*?(?=^\*\*)", PAGE, re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"--[a-z-]+", text)) >= QUEUES


def test_every_option_on_the_page_exists() -> None:
    known = {"-p"} | EVERYWHERE
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        known |= options(command)
    for written in re.findall(r"\| `((?:-\w, )?--[a-z-]+)", PAGE):
        assert written.rpartition(" ")[2] in known, written


def test_the_page_lists_every_reason() -> None:
    table = PAGE.partition("| status | `reason` |")[2].partition("\n\n")[0]
    told = set(re.findall(r"`(\w+)`", " ".join(line.split("|")[2] for line in table.splitlines()[2:])))
    assert told == {str(reason) for reason in Reason} - {"repeat"}  # only for plain jobs
