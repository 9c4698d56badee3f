"""Predictions for a foreach, without and with earlier runs: it is a job like others, with as many cells as it had before."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pexpect
import pytest

from flowq.compiler import compile_text
from flowq.flows.forecast.makespan import makespan
from flowq.flows.forecast.outcomes import predict_ends
from flowq.states import JobStatus
from tests.cli import process
from tests.cli.process import on_terminal
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
    return process.flowq(*arguments, cwd=directory, env=env)


def _plan(directory: Path, *arguments: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(_flowq(directory, "plan", "fan.yaml", "--json", *arguments).stdout)
    return document


def test_a_foreach_is_listed_before_there_is_a_run(directory: Path) -> None:
    assert "valid, 4 jobs, 1 with foreach" in _flowq(directory, "validate", "fan.yaml").stdout
    text = _flowq(directory, "plan", "fan.yaml", "--no-history").stdout
    row = next(line for line in text.splitlines() if " each " in line)
    assert row.startswith("2  each ")
    assert row.endswith("after list, foreach from_json(jobs.list.result.items), known when list has finished")
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
    assert alone["expected"]["critical_path"][:2] == ["list", "each"]  # which cell it will be is not known
    text = _flowq(directory, "plan", "fan.yaml").stdout
    assert f"known when list has finished (about {CELLS} cells)" in text
    assert f"fan: 4 jobs, 1 with foreach (about {CELLS + 3} with cells)" in text
    assert "list → each" in text
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


COUNTED = """
name: counted
jobs:
  find: {run: "echo 'names=[1, 2, 3]' >> $FLOWQ_OUTPUT"}
  each: {depends_on: [find], foreach: from_json(jobs.find.result.names), run: "true"}
  none: {depends_on: [find], foreach: "[]", run: "true"}
  cells: {matrix: {n: [1, 2]}, run: "true"}
  empty: {matrix: {n: []}, run: "true"}
  part: {flow: part.yaml}
  last: {depends_on: [each, none, cells, empty, part], run: "true"}
on_failure: {page: {run: "true"}}
on_exit: {bye: {run: "true"}}
"""


def test_all_commands_count_jobs_alike(home: Path, tmp_path: Path) -> None:
    """A foreach is one job before the run, in its head and in its end; the number of cells is told beside it."""
    (tmp_path / "fan.yaml").write_text(COUNTED)
    (tmp_path / "part.yaml").write_text("jobs:\n  a: {run: 'true'}\n  b: {depends_on: [a], run: 'true'}\n")
    count = "11 jobs, 2 with foreach"
    assert f"valid, {count}\n" in _flowq(tmp_path, "validate", "fan.yaml").stdout
    assert _flowq(tmp_path, "plan", "fan.yaml").stdout.startswith(f"counted: {count}\n")
    assert f"counted: {count}, not run" in _flowq(tmp_path, "run", "fan.yaml", "--dry-run").stdout
    run = _flowq(tmp_path, "run", "fan.yaml").stdout
    assert run.splitlines()[0].endswith(f"  counted  {count}")
    assert f"\n{count} (13 with their cells): 12 finished, 1 handler not needed\n" in run
    assert f"{count} (13 with their cells): " in _flowq(tmp_path, "status").stdout
    again = _flowq(tmp_path, "plan", "fan.yaml").stdout
    assert again.startswith(f"counted: {count} (about 13 with cells)\n")
    assert "foreach [], known when find has finished (no cells in earlier runs)" in again
    part = "6 of 11 jobs, 1 with foreach"
    assert part in _flowq(tmp_path, "plan", "fan.yaml", "--until", "each", "--job", "cells").stdout
    selected = _flowq(tmp_path, "run", "fan.yaml", "--until", "each", "--job", "cells").stdout
    assert selected.splitlines()[0].endswith(f"  counted  {part}")
    assert f"{part} (8 with its cells): 7 finished, 1 handler not needed" in selected


def test_an_empty_list_of_earlier_runs_takes_no_time(home: Path, tmp_path: Path) -> None:
    (tmp_path / "fan.yaml").write_text(
        'name: fan\njobs:\n  none: {foreach: "[]", run: sleep 1}\n  last: {depends_on: [none], run: sleep 0.1}\n'
    )
    assert _flowq(tmp_path, "run", "fan.yaml").returncode == 0
    document = _plan(tmp_path)
    assert document["jobs"][0]["cells"] == 0
    assert document["jobs"][0]["expected"] == 0
    assert document["expected"]["critical_path"][-1] == "last"
    assert "none" not in _flowq(tmp_path, "plan", "fan.yaml").stdout.partition("critical path")[2]


@pytest.mark.parametrize("width", [80, 120])
def test_the_reason_in_a_plan_is_wrapped(home: Path, tmp_path: Path, width: int) -> None:
    (tmp_path / "fan.yaml").write_text(COUNTED.replace("part: {flow: part.yaml}", "part: {run: 'true'}"))
    child = on_terminal("plan", "fan.yaml", cwd=tmp_path, env={"FLOWQ_HOME": str(home)}, size=(40, width))
    child.expect(pexpect.EOF)
    lines = re.sub(r"\x1b\[[\d;]*m", "", child.before or "").splitlines()
    child.close()
    assert max(map(len, lines)) <= width
    assert "from_json(jobs.find.result.names), known when find has finished" in re.sub(r"\s+", " ", " ".join(lines))
