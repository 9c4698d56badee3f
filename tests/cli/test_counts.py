"""The number of jobs of a run: one definition for the list of runs, for one run, and for the page."""

import json
from pathlib import Path

import pytest

from tests.cli.process import flowq

FLOW = """
jobs:
  fetch: {run: "echo 'items=[1, 2, 3]' >> $FLOWQ_OUTPUT; echo text=x >> $FLOWQ_OUTPUT"}
  each: {run: "echo ${{ item }}", depends_on: fetch, foreach: from_json(jobs.fetch.result.items)}
  empty: {run: "true", foreach: "[]"}
  build: {run: "test ${{ matrix.a }} = 1", matrix: {a: [1, 2]}, depends_on: each, allow_failure: true}
  part: {flow: part.yaml, depends_on: build}
  parts: {flow: part.yaml, matrix: {b: [1, 2]}, depends_on: part}
  never: {flow: part.yaml, if: 1 > 2}
  wrong: {flow: part.yaml, depends_on: fetch, if: from_json(jobs.fetch.result.text) == 1}
  left: {run: "true", if: 1 > 2}
on_exit: {tell: {run: 'true'}}
on_success: {no: {run: 'true'}}
"""
PART = """
jobs:
  x: {run: "true"}
  y: {run: "true", depends_on: x}
"""


@pytest.mark.parametrize("part", [(), ("--job", "part"), ("--until", "build")])
def test_all_count_the_same_jobs(home: Path, tmp_path: Path, part: tuple[str, ...]) -> None:
    """A sub-flow has a job of its own that is not shown, unless it has failed: its `if` could not be evaluated."""
    (tmp_path / "flow.yaml").write_text(FLOW)
    (tmp_path / "part.yaml").write_text(PART)

    def told(*arguments: str) -> str:
        return flowq(*arguments, cwd=tmp_path).stdout

    def check(attempt: int) -> None:
        one, (listed,) = json.loads(told("status", "--json")), json.loads(told("runs", "--json"))
        assert one["attempt"] == attempt
        assert (listed["counts"], listed["total"], listed["not_needed"]) == (one["counts"], len(one["jobs"]), one["not_needed"])
        needed = len(one["jobs"]) - one["not_needed"]
        assert f"  {one['counts'].get('finished', 0)}/{needed}" in told("runs")
        assert sum(one["counts"].values()) == len(one["jobs"])
        assert part or {job["name"]: job["status"] for job in one["jobs"]}["wrong"] == "failed"

    flowq("run", "flow.yaml", *part, cwd=tmp_path)
    check(1)
    if not part:
        flowq("retry", "@latest", "--failed", cwd=tmp_path)
        flowq("retry", "@latest", "--job", "part", "--output", "quiet", cwd=tmp_path)
        check(3)
    assert home.is_dir()
