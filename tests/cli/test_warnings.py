"""Warnings of the compiler: all in `validate`, one line in other commands, silenced by a comment."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.cli.process import Process

FLOW = """\
name: warned
params:
  unused: {type: string, default: ""}
  other: {type: string, default: ""}
jobs:
  a: {run: "true", timeout: 2h}
  b: {depends_on: [a], run: "#!/usr/bin/perl\\nexit 0"}
timeout: 1h
"""


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    path = tmp_path / "warned.yaml"
    path.write_text(FLOW)
    return path


@pytest.mark.parametrize(
    "command",
    [("plan",), ("plan", "--json"), ("graph",), ("run", "--dry-run"), ("run", "--dry-run", "--json")],
)
def test_other_commands_print_one_line(cli: Cli, flow: Path, command: tuple[str, ...]) -> None:
    told = cli(command[0], "warned.yaml", *command[1:])
    assert told.code == 0
    assert told.err == "warned.yaml: 4 warnings (FQ702, FQ703, FQ506): flowq validate warned.yaml\n"
    if "--json" in command:
        json.loads(told.out)


def test_the_command_of_the_line_shows_all_of_them(cli: Cli, flow: Path) -> None:
    told = cli("validate", "warned.yaml")
    assert told.code == 0
    assert told.out.count("warning[") == 4
    assert told.out.endswith("warned.yaml: valid, 2 jobs\n")
    rooted = cli("plan", "--root", ".", "warned.yaml")
    assert rooted.err.endswith("flowq validate --root . warned.yaml\n")


def test_errors_are_shown_by_every_command(cli: Cli, flow: Path) -> None:
    flow.write_text(FLOW.replace("depends_on: [a]", "depends_on: [c]").replace("jobs:", "  # flowq: allow FQ702\njobs:"))
    told = cli("run", "warned.yaml")
    assert told.code == 3
    assert "error[FQ" in told.err
    assert "warning[" not in told.err
    assert "warned.yaml cannot run: 1 error" in told.err


def test_a_comment_silences_a_warning(cli: Cli, flow: Path) -> None:
    flow.write_text(
        FLOW.replace('unused: {type: string, default: ""}', 'unused: {type: string, default: ""}  # flowq: allow FQ702')
        .replace("  other", "  # flowq: allow FQ702\n  other")
        .replace("timeout: 2h}", "timeout: 2h}  # flowq: allow FQ703")
        .replace('exit 0"}', 'exit 0"} # flowq: allow FQ506')
    )
    for command in ("validate", "plan"):
        told = cli(command, "warned.yaml")
        assert told.code == 0
        assert told.err == ""
        assert "warning" not in told.out
    flow.write_text(FLOW.replace("jobs:", "jobs: # flowq: allow FQ9"))
    told = cli("validate", "warned.yaml")
    assert told.code == 0
    assert "warned.yaml:5:22: warning[FQ023]: there is no warning FQ9\n" in told.out
    assert [item["code"] for item in json.loads(cli("validate", "--json", "warned.yaml").out)].count("FQ023") == 1


@pytest.mark.slow
def test_a_run_prints_the_line_once_and_a_retry_none(tmp_path: Path, home: Path, flow: Path) -> None:
    env = {"FLOWQ_HOME": str(home)}
    flow.write_text(FLOW.replace("exit 0", "exit 1"))
    run = Process("run", "warned.yaml", cwd=tmp_path, env=env)
    assert run.wait() == 1
    assert run.err.count("warning") == 1
    again = Process("retry", "--failed", cwd=tmp_path, env=env)
    assert again.wait() == 1
    assert "FQ702" not in again.err
