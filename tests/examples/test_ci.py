"""flowq's own pipeline, run by flowq."""

import sys
from pathlib import Path

import pytest

from tests.examples.running import FLOWS, flowq, jobs_by_name, run_flow


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_pipeline_builds_and_tries_the_wheel(home: Path, tmp_path: Path) -> None:
    """With tests=smoke the tests are collected but not run, because they are running now. Everything else is real."""
    run = run_flow(
        FLOWS / "ci.yaml", "-p", "tests=smoke", "-p", f"python={sys.executable}", "-p", f"out={tmp_path}", timeout=380
    )
    assert set(run["counts"]) == {"finished"}
    assert {"lint", "types", "contract", "wheel", "smoke", "passed"} <= set(jobs_by_name(run))
    assert len(list((tmp_path / "dist").glob("flowq_workflows-*.whl"))) == 1
    assert "wheel!" in flowq("logs", run["id"], "smoke").out
