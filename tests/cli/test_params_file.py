"""`--params-file`: values of params in a file, for every command that compiles a flow; `-p` takes precedence."""

import json
from pathlib import Path
from typing import Any

import pytest

from flowq.flows.flow import Flow
from flowq.store import Store
from tests.cli.conftest import Cli

FLOW = """
params:
  region: {enum: [eu, us]}
  level: {type: integer, maximum: 9, default: 1}
  days: {type: list, default: []}
jobs:
  a: {matrix: {day: "${{ params.days }}"}, run: "echo ${{ params.region }} ${{ params.level }}"}
"""


@pytest.fixture(autouse=True)
def _files(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "flow.yaml").write_text(FLOW)
    (tmp_path / "us.yaml").write_text("region: us\nlevel: 4\ndays: [mon, tue]\n")
    (tmp_path / "eu.json").write_text('{"region": "eu", "days": ["mon"]}')


def test_run_takes_its_params_from_a_file(cli: Cli, store: Store) -> None:
    run = cli("run", "flow.yaml", "--params-file", "us.yaml", "-p", "level=7", "--detach").out.strip()
    assert json.loads(store.runs.require(run).params) == {"region": "us", "level": 7, "days": ["mon", "tue"]}


@pytest.mark.parametrize("command", [("run", "--dry-run"), ("plan", "--no-history"), ("graph", "--format", "json", "--cells")])
def test_read_only_commands(cli: Cli, command: tuple[str, ...]) -> None:
    def names(*more: str) -> set[str]:
        json_too = () if command[0] == "graph" else ("--json",)
        document: Any = json.loads(cli(*command, "flow.yaml", *json_too, *more).out)
        return {job["name"] for job in document.get("jobs") or document["nodes"]} - {"a"}

    assert names("--params-file", "eu.json") == {"a[day=mon]"}
    assert names("--params-file", "us.yaml") == {"a[day=mon]", "a[day=tue]"}
    assert names("--params-file", "us.yaml", "-p", 'days=["sun"]') == {"a[day=sun]"}


def test_validate_reports_problems_of_the_file_at_its_lines(cli: Cli, tmp_path: Path) -> None:
    assert cli("validate", "flow.yaml", "--params-file", "us.yaml").code == 0
    (tmp_path / "bad.yaml").write_text("region: mars\nlevle: 3\nlevel: 10\n")
    outcome = cli("validate", "flow.yaml", "--params-file", "bad.yaml")
    assert outcome.code == 3
    for place in ("bad.yaml:1:1", "bad.yaml:2:1", "bad.yaml:3:1"):
        assert place in outcome.out
    assert "did you mean level?" in outcome.out
    overruled = cli("validate", "flow.yaml", "--params-file", "bad.yaml", "-p", "region=eu", "-p", "level=1").out
    assert overruled.count("error[") == 1, "a value that is not used is not looked at, its name is"


@pytest.mark.parametrize("text", ["", "- a\n", "{", "region: [", "\x00", "text"])
def test_a_file_that_is_not_a_map(cli: Cli, tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    outcome = cli("run", "flow.yaml", "--params-file", "bad.yaml", "--detach")
    assert outcome.code == 3
    told = [line for line in outcome.err.splitlines() if "error[" in line]
    assert len(told) == 1, "a file that cannot be read is no reason to ask for its values too"
    assert told[0].startswith("bad.yaml:" if text else "flow.yaml:3:3"), "an empty file gives nothing"


def test_a_missing_file(cli: Cli, tmp_path: Path) -> None:
    outcome = cli("run", "flow.yaml", "--params-file", "absent.yaml", "--detach")
    assert outcome.code == 3
    assert "absent.yaml" in outcome.err
    assert cli("run", "flow.yaml", "--params-file", str(tmp_path), "--detach").code == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--resume", "@latest"), "--params-file"),
        (("run", "--again", "@latest"), "without --params-file"),
        (("graph", "@latest"), "are for a FILE"),
    ],
)
def test_commands_that_refuse_it(cli: Cli, arguments: tuple[str, ...], words: str) -> None:
    outcome = cli(*arguments, "--params-file", "us.yaml")
    assert outcome.code == 2
    assert words in outcome.err


def test_from_python(tmp_path: Path) -> None:
    flow = Flow.load(tmp_path / "flow.yaml", {"level": 2}, params_file=tmp_path / "us.yaml")
    assert dict(flow.plan.params) == {"region": "us", "level": 2, "days": ["mon", "tue"]}
