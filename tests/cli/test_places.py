"""The place of a job is a file and a line; for a job of a sub-flow, all output names the file of the sub-flow."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.cli.process import flowq

FLOW = """
name: whole
jobs:
  one: {flow: parts/flow.yaml}
  many:
    matrix: {n: [7]}
    flow: parts/flow.yaml
"""
PART = """
# a comment, so that no line is that of the flow around it



jobs:
  each:
    foreach: "${{ [1] }}"
    run: exit 3
  cells:
    matrix: {v: [a]}
    run: exit 4
  deeper: {flow: ../deep.yaml}

  reader: {depends_on: cells, run: "echo ${{ to_json(jobs.cells.result) }}"}
"""
DEEP = """
# another



#

jobs:
  bottom:
    call: absent_module:function
    if: from_json('3') == 3
  list:
    foreach: from_json('3')
    run: 'true'
"""
PLACES = {
    f"{part}/{name}": place
    for part in ("one", "many[n=7]")
    for name, place in {
        "each[0]": "parts/flow.yaml:7",
        "cells[v=a]": "parts/flow.yaml:10",
        "deeper/bottom": "deep.yaml:9",
        "deeper/list": "deep.yaml:12",
        "reader": "parts/flow.yaml:15",
    }.items()
}
"""Where the jobs stand; all but the readers fail."""


@pytest.fixture
def run(home: Path, tmp_path: Path) -> Iterator[subprocess.CompletedProcess[str]]:
    """A run with failures of all kinds, and its reports."""
    (tmp_path / "parts").mkdir()
    for name, text in (("flow.yaml", FLOW), ("parts/flow.yaml", PART), ("deep.yaml", DEEP)):
        (tmp_path / name).write_text(text)
    done = _flowq(tmp_path, "run", "flow.yaml", "--junit", "report.xml", "--annotations", "github")
    assert done.returncode == 1, done.stderr
    yield done
    _flowq(tmp_path, "server", "stop", "--force")


def _flowq(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return flowq(*arguments, cwd=directory, env={**os.environ, "COLUMNS": "300"})


def test_all_reports_name_the_file_of_the_sub_flow(run: subprocess.CompletedProcess[str], tmp_path: Path) -> None:
    marks = {
        line.partition("title=")[2].partition(" failed")[0]: line.partition("file=")[2].partition(",title")[0]
        for line in run.stdout.splitlines()
        if line.startswith("::error ")
    }
    expected = {name: f"{place.partition(':')[0]},line={place.partition(':')[2]}" for name, place in PLACES.items()}
    assert marks == {name: mark for name, mark in expected.items() if not name.endswith("reader")}
    document = json.loads(_flowq(tmp_path, "status", "--json").stdout)
    assert {job["name"]: _place(job, tmp_path) for job in document["jobs"]} == PLACES
    cases = ET.parse(tmp_path / "report.xml").getroot().iter("testcase")
    assert {str(case.get("name")): _place(case.attrib, tmp_path) for case in cases} == PLACES
    graph = json.loads(_flowq(tmp_path, "graph", document["id"], "--format", "json").stdout)
    drawn = {node["name"]: _place(node, tmp_path) for node in graph["nodes"]}
    assert drawn["one/each"] == "parts/flow.yaml:7"
    assert drawn["one/deeper/bottom"] == "deep.yaml:9"
    picture = _flowq(tmp_path, "graph", "flow.yaml", "--format", "svg").stdout
    assert "one/cells ×1, queue default, parts/flow.yaml:10" in picture


def test_why_and_the_summary_name_the_file_of_the_sub_flow(run: subprocess.CompletedProcess[str], tmp_path: Path) -> None:
    for job, place in PLACES.items():
        assert f"({place})" in _flowq(tmp_path, "why", job).stdout
    why = json.loads(_flowq(tmp_path, "why", "one", "--json").stdout)
    assert _place(why, tmp_path) == "flow.yaml:4", "a flow as a whole is a job of the flow around it"
    assert {_place(cause, tmp_path) for cause in why["causes"]} == {
        "parts/flow.yaml:7",
        "parts/flow.yaml:10",
        "deep.yaml:9",
    }, "three of them are shown"
    assert "parts/flow.yaml:7" in _flowq(tmp_path, "status").stdout
    shown = [line for line in run.stdout.splitlines() if " failed: " in line]
    assert len(shown) == 3
    assert [
        line for line in shown if not any(re.search(rf"\({re.escape(place)}(, item 1)?\)", line) for place in PLACES.values())
    ] == []


@pytest.mark.parametrize(
    ("standing", "top", "part"),
    [
        (".", "flow.yaml:4", "parts/flow.yaml:10"),
        ("parts", "/{root}/flow.yaml:4", "flow.yaml:10"),
        ("..", "{project}/flow.yaml:4", "{project}/parts/flow.yaml:10"),
        ("/", "{root}/flow.yaml:4", "{root}/parts/flow.yaml:10"),
    ],
)
def test_places_are_named_as_they_are_typed_where_the_user_stands(
    run: subprocess.CompletedProcess[str], tmp_path: Path, standing: str, top: str, part: str
) -> None:
    directory = tmp_path / standing
    names = {"project": tmp_path.name, "root": str(tmp_path).removeprefix("/")}
    run_id = json.loads(_flowq(tmp_path, "status", "--json").stdout)["id"]
    assert f"({top.format(**names)})" in _flowq(directory, "why", run_id, "one").stdout
    shown = part.format(**names)
    assert (directory / shown.partition(":")[0]).exists()
    assert f"({shown})" in _flowq(directory, "why", run_id, "one/cells").stdout
    assert f"# {shown}" in _flowq(directory, "status", run_id).stdout
    assert f"({shown})" in _flowq(directory, "status", run_id, "--failed").stdout


def test_plan_and_graph_name_the_file_of_the_sub_flow(run: subprocess.CompletedProcess[str], tmp_path: Path) -> None:
    for command in (("plan", "flow.yaml", "--json"), ("run", "flow.yaml", "--dry-run", "--json")):
        jobs = json.loads(_flowq(tmp_path, *command).stdout)["jobs"]
        planned = {
            name.removesuffix("[0]"): place for name, place in PLACES.items()
        }  # a foreach is one job before it has cells
        assert {job["name"]: _place(job, tmp_path) for job in jobs} == planned
    refused = _flowq(tmp_path, "run", "flow.yaml", "--job", "one/reader").stderr
    assert "'one/reader' (parts/flow.yaml:15) uses" in refused


def _place(item: Any, root: Path) -> str:
    file = Path(item["file"])
    return f"{file.relative_to(root) if file.is_absolute() else file}:{item['line']}"
