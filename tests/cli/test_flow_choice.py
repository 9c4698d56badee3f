"""The flow that a command works on: `-C`, standard input, and the default file."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.cli import process
from tests.cli.conftest import Cli

FLOW = "name: small\nparams: {who: {default: world}}\njobs: {greet: {run: 'echo hello ${{ params.who }}'}}\n"
COMMANDS = [("run", "--dry-run"), ("plan",), ("validate",)]


def fed(text: str, *arguments: str, cwd: Path, home: Path) -> "subprocess.CompletedProcess[str]":
    """Run `flowq` with a text on standard input."""
    environment = {**os.environ, "FLOWQ_HOME": str(home)}
    return process.flowq(*arguments, text=text, cwd=cwd, env=environment)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("file", ["flow.yaml", "flow.yml", ".flowq/nightly.yaml", ".flowq/nightly.yml"])
def test_the_default_file(cli: Cli, tmp_path: Path, command: tuple[str, ...], file: str) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(FLOW)
    outcome = cli(*command)
    assert outcome.code == 0
    assert "1 job" in outcome.out
    assert outcome.err == ""


def test_the_file_of_the_directory_comes_first(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / ".flowq").mkdir()
    for file in ("flow.yaml", ".flowq/other.yaml", ".flowq/more.yaml"):
        (tmp_path / file).write_text(FLOW.replace("small", f"flow of {file}"))
    assert "flow of flow.yaml" in cli("run", "--dry-run").out
    assert cli("validate").out == "flow.yaml: valid, 1 job\n"


@pytest.mark.parametrize("command", [("run",), ("plan",)])
def test_several_files_are_named(cli: Cli, tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / ".flowq").mkdir()
    for number in range(10):
        (tmp_path / ".flowq" / f"f{number}.yaml").write_text(FLOW)
    outcome = cli(*command)
    assert outcome.code == 2
    assert f"say which flow: `flowq {command[0]} FILE`; there are .flowq/f0.yaml, .flowq/f1.yaml" in outcome.err
    assert ".flowq/f7.yaml and 2 more; see" in outcome.err
    assert cli("validate").out.count("valid, 1 job") == 10


@pytest.mark.parametrize("command", COMMANDS)
def test_without_a_file_the_message_says_what_to_do(cli: Cli, command: tuple[str, ...]) -> None:
    outcome = cli(*command)
    assert outcome.code == 2
    assert "expected the FILE of a flow: this directory has no flow.yaml and no .flowq/*.yaml" in outcome.err
    assert "`flowq init` writes a flow" in outcome.err


def test_without_a_file_the_flows_of_the_directory_are_named(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {jobs: {image: x}}\n")
    (tmp_path / "daily.yml").write_text(FLOW)
    assert "say which flow: `flowq run FILE`; there is daily.yml; see" in cli("run").err
    (tmp_path / "release.yaml").write_text("jobs: {a: [\n")
    assert "say which flow: `flowq plan FILE`; there are daily.yml, release.yaml; see" in cli("plan").err


# -- -C ------------------------------------------------------------------------------------------------------------------------


def test_another_directory(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "flow.yaml").write_text(FLOW)
    assert cli("-C", "a/b", "validate").out == "flow.yaml: valid, 1 job\n"
    os.chdir(tmp_path)
    assert cli("-C", "a", "-C", "b", "validate", "flow.yaml").code == 0


@pytest.mark.parametrize(
    ("directory", "reason"), [("nowhere", "No such file"), ("file", "Not a directory"), ("", "No such file")]
)
def test_a_directory_that_cannot_be_entered(cli: Cli, tmp_path: Path, directory: str, reason: str) -> None:
    (tmp_path / "file").write_text("")
    outcome = cli("-C", directory, "validate")
    assert outcome.code == 2
    assert f"-C: cannot change to {directory!r}: {reason}" in outcome.err


def test_the_place_of_the_option_is_told(cli: Cli) -> None:
    outcome = cli("run", "-C", "sub")
    assert outcome.code == 2
    assert "it stands before the command, as in `flowq -C DIR run`" in outcome.err


# -- standard input ------------------------------------------------------------------------------------------------------------


def test_a_flow_on_standard_input_runs(home: Path, tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text("who: all\n")
    done = fed(FLOW, "run", "-", "--params-file", "values.yaml", cwd=tmp_path, home=home)
    assert done.returncode == 0, done.stderr
    assert "greet | hello all" in done.stdout
    status = fed("", "status", "--json", cwd=tmp_path, home=home)
    document = json.loads(status.stdout)
    assert (document["flow"], document["file"]) == ("small", "")
    for arguments, said in (
        (("run", "--again", "@latest"), "is not a file, so its text is not there any more"),
        (("retry", "--job", "greet", "--reload"), "is not a file"),
    ):
        refused = fed("", *arguments, cwd=tmp_path, home=home)
        assert (refused.returncode, said in refused.stderr) == (2, True), refused.stderr
    assert fed("", "retry", "--job", "greet", cwd=tmp_path, home=home).returncode == 0


def test_other_commands_read_standard_input(home: Path, tmp_path: Path) -> None:
    (tmp_path / "sub.yaml").write_text(FLOW)
    text = "jobs: {part: {flow: sub.yaml}}\n"
    for arguments, said in (
        (("validate", "-"), "<stdin>: valid, 1 job"),
        (("plan", "-"), "part/greet"),
        (("graph", "-"), "part/greet"),
        (("run", "-", "--dry-run"), "stdin: 1 job"),
    ):
        done = fed(text, *arguments, cwd=tmp_path, home=home)
        assert done.returncode == 0, done.stderr
        assert said in done.stdout
    wrong = fed("jobs: {a: {rnu: x}}\n", "run", "-", cwd=tmp_path, home=home)
    assert wrong.returncode == 3
    assert "<stdin>:1:" in wrong.stderr
    assert "<stdin> cannot run: 1 error" in wrong.stderr
    assert "once" in fed(text, "validate", "-", "-", cwd=tmp_path, home=home).stderr


def test_calls_of_a_flow_on_standard_input_are_checked(home: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def work(n: int) -> int:\n    return n + 1\n")
    good = "jobs: {a: {call: 'mine:work', args: [1]}}\n"
    assert fed(good, "validate", "-", cwd=tmp_path, home=home).returncode == 0
    assert fed(good, "run", "-", cwd=tmp_path, home=home).returncode == 0
    assert "FQ6" in fed(good.replace("[1]", "[x, y]"), "validate", "-", cwd=tmp_path, home=home).stdout


def test_a_file_with_the_name_of_a_sign(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "-").write_text(FLOW)
    assert "valid" in cli("validate", "./-").out
