"""docs/deployment.md: its commands parse, systemd accepts its unit, and its manifests are consistent."""

import configparser
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from flowq.cli.context import CliContext
from flowq.cli.main import cli

PAGE = (Path(__file__).parents[2] / "docs" / "deployment.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Return the code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def commands() -> Iterator[list[str]]:
    """Yield the arguments of every `flowq` command on the page."""
    for block in blocks(r"\w+"):
        for line in block.splitlines():
            match = re.search(r"(?:^|[/= ])(flowq (?:worker|cron)\b.*)$", line.partition("#")[0])
            if match and "[" not in line:
                yield shlex.split(match[1])[1:]
    manifest = yaml.safe_load(blocks("yaml")[0])
    for container in manifest["spec"]["template"]["spec"]["containers"]:
        yield container["args"][1:]
    for line in re.findall(r"^CMD (.*)$", blocks("dockerfile")[0], re.MULTILINE):
        yield json.loads(line)[1:]


def test_every_command_parses() -> None:
    found = list(commands())
    assert len(found) >= 7
    for name, *arguments in found:
        command = cli.get_command(click.Context(cli, obj=CliContext()), name)
        assert command is not None
        command.make_context(name, arguments, parent=click.Context(cli, obj=CliContext()))


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(next(block for block in blocks("ini") if "[Unit]" in block))
    return parser


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd here")
    parser = unit()
    command = parser["Service"]["ExecStart"].partition(" ")[2]
    parser["Service"]["ExecStart"] = f"{sys.executable} {command}"  # a program and a user that exist here
    del parser["Service"]["User"]
    path = tmp_path / "flowq-worker.service"
    with path.open("w") as file:
        parser.write(file, space_around_delimiters=False)
    done = subprocess.run(["systemd-analyze", "verify", str(path)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_worker_gets_as_long_as_the_pod() -> None:
    spec: dict[str, Any] = yaml.safe_load(blocks("yaml")[0])["spec"]
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] == 15 * 60
    assert unit()["Service"]["TimeoutStopSec"] == "15min"
