"""Commands that messages and documents name: each can be typed."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click

from flowq.cli.main import cli

ROOT = Path(__file__).parents[2]
CODE = [*sorted((ROOT / "flowq").rglob("*.py")), *sorted((ROOT / "flowq").rglob("*.lua"))]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROGRAMS = re.compile(r"\b(?:redis|valkey)-(?:cli|check-aof|check-rdb|benchmark|sentinel)\b")


def advised(path: Path) -> Iterator[str]:
    """Yield the commands of flowq in backquotes, without "flowq"."""
    text = re.sub(r"\{[^{}`]*\}", "X", path.read_text())  # fields of f-strings
    for span in re.findall(r"`flowq ([a-z][^`\n]*)`", text):
        yield span.strip()


def unknown(span: str) -> str:
    """Return what is wrong with a command; empty if it exists with these options."""
    words = shlex.split(span.replace("'", "").replace('"', ""), comments=True)
    context = click.Context(cli)
    group: click.Command = cli
    while isinstance(group, click.Group) and words and re.fullmatch(r"[a-z-]+", words[0]):
        command = group.get_command(context, words[0])
        if command is None:
            return f"no command {words[0]}"
        group = command
        words.pop(0)
    options = {name for part in group.params for name in (*part.opts, *part.secondary_opts)} | {"--help", "-h"}
    named = [word.partition("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)]
    return ", ".join(f"no option {name}" for name in named if name not in options and name[:2] not in options)


def test_every_command_that_is_named_exists() -> None:
    named = {(path.relative_to(ROOT), span) for path in (*CODE, *PAGES) for span in advised(path)}
    assert len(named) > 100
    assert [(*place, fault) for place in sorted(named) if (fault := unknown(place[1]))] == []


def test_a_command_that_does_not_exist_is_found() -> None:
    assert unknown("runn") == "no command runn"
    assert unknown("run --resum X") == "no option --resum"
    assert unknown("server start") == ""


def test_messages_name_no_program_that_the_wheel_lacks() -> None:
    assert [path for path in CODE if PROGRAMS.search(path.read_text())] == []
