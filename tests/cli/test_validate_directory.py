"""`flowq validate DIR`: the flow files that `flowq serve` takes, and the triggers between them."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli

JOBS = "jobs: {a: {run: 'true'}}\n"


def written(root: Path, flows: dict[str, str]) -> None:
    for name, triggers in flows.items():
        path = root / "flows" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((f"triggers: {triggers}\n" if triggers else "") + JOBS)


def test_all_flows_of_a_directory_are_checked(cli: Cli, tmp_path: Path) -> None:
    written(tmp_path, {"etl/load": "", "report": "{after: {flow: etl/load}}"})
    (tmp_path / "flows" / "compose.yaml").write_text("services: {}\n")
    (tmp_path / "flows" / "_parts").mkdir()
    (tmp_path / "flows" / "_parts" / "broken.yaml").write_text("jobs: {a: {}}\n")
    outcome = cli("validate", "flows")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == "flows/etl/load.yaml: valid, 1 job\nflows/report.yaml: valid, 1 job\n"


def test_a_flow_that_is_not_there(cli: Cli, tmp_path: Path) -> None:
    written(tmp_path, {"etl/load": "", "report": "{after: {flow: etl/laod}}"})
    outcome = cli("validate", "flows")
    assert outcome.code == 3
    assert (
        "flows/report.yaml:1:12: error[FQ806]: there is no flow `etl/laod` in the directory: this trigger starts nothing\n"
        "1 | triggers: {after: {flow: etl/laod}}\n"
        "  |            ^^^^^\n"
        "  help: did you mean etl/load?\n"
    ) in outcome.out
    assert "1 of 2 files is not valid" in outcome.out


@pytest.mark.parametrize(
    ("flows", "ring"),
    [
        ({"a": "{x: {flow: a}}"}, "a -> a"),
        ({"a": "{x: {flow: b}}", "b": "{x: {flow: a, status: failed}}", "c": "{x: {flow: a}}"}, "a -> b -> a"),
        ({"a": "{x: {flow: d/c}}", "b": "{x: {flow: a}}", "d/c": "{x: {flow: b}}"}, "a -> b -> d/c -> a"),
    ],
)
def test_flows_that_start_each_other_without_end(cli: Cli, tmp_path: Path, flows: dict[str, str], ring: str) -> None:
    written(tmp_path, flows)
    outcome = cli("validate", "flows", "--json")
    assert outcome.code == 3
    (found,) = json.loads(outcome.out)
    assert found["code"] == "FQ809"
    assert (found["file"], found["line"], found["column"]) == ("flows/a.yaml", 1, 12)
    assert found["message"] == f"these flows start each other without end: {ring}"


def test_a_condition_ends_a_ring(cli: Cli, tmp_path: Path) -> None:
    written(tmp_path, {"a": "{x: {flow: b, if: event.attempt < 3}}", "b": "{x: {flow: a}, y: {files: in/*}}"})
    assert cli("validate", "flows").code == 0


def test_each_ring_is_told_once(cli: Cli, tmp_path: Path) -> None:
    written(
        tmp_path, {"a": "{x: {flow: b}}", "b": "{x: {flow: a}}", "c": "{x: {flow: d}}", "d": "{x: {flow: c}, y: {flow: a}}"}
    )
    found = json.loads(cli("validate", "flows", "--json").out)
    assert [item["message"].partition(": ")[2] for item in found] == ["a -> b -> a", "c -> d -> c"]


def test_a_directory_without_flows(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    outcome = cli("validate", "empty")
    assert outcome.code == 2
    assert "empty has no flow files" in outcome.err


def test_a_value_that_an_entry_lacks_is_a_mistake_of_the_file(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "flow.yaml").write_text('params: {day: {type: date}}\nschedule: "@daily"\n' + JOBS)
    outcome = cli("validate", "flow.yaml")
    assert outcome.code == 3
    assert "FQ805" in outcome.out
