"""flowq's own pipeline, run by flowq."""

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.examples.running import FLOWS, flowq, jobs_by_name, run_flow

PART = ["lint", "format", "tests[part=unit]"]
"""What the suite runs: the types and contracts are checked before it, and the wheel is built and installed by other tests of it."""


def run_pipeline(out: Path, *jobs: str) -> dict[str, Any]:
    """Run the pipeline, or these jobs of it. With tests=smoke the tests are collected but not run: they are running now."""
    params = ("-p", "tests=smoke", "-p", f"python={sys.executable}", "-p", f"out={out}")
    return run_flow(FLOWS / "ci.yaml", *params, *(argument for job in jobs for argument in ("--job", job)), timeout=380)


@pytest.mark.slow
def test_a_part_of_the_pipeline(home: Path, tmp_path: Path) -> None:
    finished = [name for name, job in jobs_by_name(run_pipeline(tmp_path, *PART)).items() if job["status"] == "finished"]
    assert finished == PART


@pytest.mark.chaos
@pytest.mark.timeout(400)
def test_the_pipeline_builds_and_tries_the_wheel(home: Path, tmp_path: Path) -> None:
    run = run_pipeline(tmp_path)
    assert set(run["counts"]) == {"finished"}
    assert {"lint", "types", "contract", "wheel", "smoke", "passed"} <= set(jobs_by_name(run))
    assert len(list((tmp_path / "dist").glob("flowq_workflows-*.whl"))) == 1
    assert "wheel!" in flowq("logs", run["id"], "smoke").out
