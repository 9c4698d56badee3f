"""Predictions for a foreach, without and with earlier runs: it is a job like others, with as many cells as it had before."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pexpect
import pytest

from flowq.compiler import compile_text
from flowq.flows.forecast.makespan import makespan
from flowq.flows.forecast.outcomes import predict_ends
from flowq.states import JobStatus
from tests.cli.process import FLOWQ, on_terminal
from tests.language.lab import plan_of

CELLS, SECONDS = 10, 0.2
FLOW = f"""
name: fan
jobs:
  list: {{run: "echo 'items={json.dumps(list(range(CELLS)))}' >> $FLOWQ_OUTPUT"}}
  each:
    depends_on: list
    foreach: from_json(jobs.list.result.items)
    run: sleep {SECONDS}
  end: {{depends_on: each, run: "true"}}
  apart: {{depends_on: {{each: failure}}, run: "true"}}
"""


@pytest.fixture
def directory(home: Path, tmp_path: Path) -> Path:
    """A directory with the flow."""
    (tmp_path / "fan.yaml").write_text(FLOW)
    return tmp_path


def _flowq(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "COLUMNS": "200"}
    return subprocess.run([*FLOWQ, *arguments], cwd=directory, env=env, capture_output=True, text=True, timeout=60, check=False)


def _plan(directory: Path, *arguments: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(_flowq(directory, "plan", "fan.yaml", "--json", *arguments).stdout)
    return document


def test_a_foreach_is_listed_before_there_is_a_run(directory: Path) -> None:
    assert "valid, 4 jobs, 1 with foreach" in _flowq(directory, "validate", "fan.yaml").stdout
    text = _flowq(directory, "plan", "fan.yaml", "--no-history").stdout
    row = next(line for line in text.splitlines() if " each " in line)
    assert row.startswith("2  each ")
    assert "after list, foreach from_json(jobs.list.result.items)" in row
    preview = _flowq(directory, "run", "fan.yaml", "--dry-run").stdout
    assert "fan: 4 jobs, 1 with foreach, not run (--dry-run)" in preview
    assert "after list  foreach from_json(jobs.list.result.items)" in preview
    for document in (_plan(directory), json.loads(_flowq(directory, "run", "fan.yaml", "--dry-run", "--json").stdout)):
        assert [job["name"] for job in document["jobs"]] == ["list", "each", "end", "apart"]
        assert document["jobs"][1]["foreach"] == "from_json(jobs.list.result.items)"
    part = _flowq(directory, "run", "fan.yaml", "--dry-run", "--until", "each").stdout
    assert "2 of 4 jobs, 1 with foreach" in part


def test_its_failure_is_predicted(directory: Path) -> None:
    failed = _plan(directory, "--fail", "each")
    assert {job["name"]: job["status"] for job in failed["jobs"]} == {
        "list": "finished", "each": "failed", "end": "skipped", "apart": "finished",
    }  # fmt: skip
    assert failed["status"] == "failed"
    assert (
        "if each fails: the run fails; 1 of 4 jobs skipped, 3 executed"
        in _flowq(directory, "plan", "fan.yaml", "--fail", "each").stdout
    )
    unknown = _flowq(directory, "plan", "fan.yaml", "--fail", "each[3]")
    assert unknown.returncode == 2
    assert "has no job 'each[3]'; did you mean 'each'?" in unknown.stderr


def test_predictions_count_the_cells_of_earlier_runs(directory: Path) -> None:
    assert _flowq(directory, "run", "fan.yaml").returncode == 0
    alone, two = _plan(directory, "--workers", "1"), _plan(directory, "--workers", "2")
    each = alone["jobs"][1]
    assert each["cells"] == CELLS
    assert SECONDS <= each["expected"] < 4 * SECONDS
    assert alone["expected"]["duration"] >= CELLS * SECONDS
    assert CELLS * SECONDS / 2 <= two["expected"]["duration"] < alone["expected"]["duration"]
    assert SECONDS <= alone["expected"]["critical_path_duration"] < alone["expected"]["duration"]
    assert any(name.startswith("each[") for name in alone["expected"]["critical_path"])
    assert f"({CELLS} cells)" in _flowq(directory, "plan", "fan.yaml").stdout
    child = on_terminal("run", "fan.yaml", cwd=directory, env={"FLOWQ_HOME": os.environ["FLOWQ_HOME"]})
    child.expect("about .* left")  # a plan that was read before the expansion has no cells
    child.expect(pexpect.EOF)
    assert child.wait() == 0
    assert "Traceback" not in str(child.before)
    child.close()


def test_predictions_obey_max_parallel() -> None:
    made = plan_of(compile_text("jobs:\n  m: {matrix: {n: [1, 2, 3, 4]}, max_parallel: 2, run: 'true'}\n  z: {run: 'true'}\n"))
    seconds = [0.0 if cell.group else 3.0 for cell in made.cells]
    assert [makespan(made, seconds, slots) for slots in (1, 2, 3, 9)] == [15.0, 9.0, 6.0, 6.0]


def test_conditions_of_a_sub_flow_are_predicted_with_its_own_names(tmp_path: Path) -> None:
    (tmp_path / "part.yaml").write_text(
        "params: {on: {type: boolean}}\n"
        "jobs:\n"
        "  a: {if: params.on, run: 'true'}\n"
        "  b: {depends_on: {a: done}, if: jobs.a.status == 'skipped', run: 'true'}\n"
    )
    text = "jobs:\n  off: {flow: part.yaml, params: {on: false}}\n  yes: {flow: part.yaml, params: {on: true}}\n"
    made = plan_of(compile_text(text, file=str(tmp_path / "flow.yaml")))
    fates = predict_ends(made)
    ends = {cell.name: fates[cell.ordinal] for cell in made.shown_jobs()}
    assert {name: fate.end.status for name, fate in ends.items()} == {
        "off/a": JobStatus.SKIPPED, "off/b": JobStatus.FINISHED, "yes/a": JobStatus.FINISHED, "yes/b": JobStatus.SKIPPED,
    }  # fmt: skip
    assert not any(fate.open for fate in ends.values())
