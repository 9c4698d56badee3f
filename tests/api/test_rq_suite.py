"""RQ's own tests of its documented API: those that do not hold are listed in docs/moving-from-rq.md, and only these."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from flowq.embedded.binary import find_server
from tests.repository.makefile import ROOT

PAGE: Final = (ROOT / "docs" / "moving-from-rq.md").read_text(encoding="utf-8")
SUITE: Final = Path(os.environ.get("FLOWQ_RQ_SUITE") or ROOT.parent / "shared" / "tools" / "rq_suite")
MOST: Final = 5


def listed() -> set[tuple[str, str]]:
    """Return the tests that the page lists: file and function."""
    part = PAGE.partition("### RQ's tests that do not hold")[2].partition("\n## ")[0]
    rows = [row.split(" | ")[0] for row in part.splitlines() if row.startswith("| `")]
    found = set()
    for row in rows:
        file, *functions = re.findall(r"`([\w.]+)`", row)
        found |= {(file, function) for function in functions}
    return found


def test_few_tests_are_listed() -> None:
    assert 0 < len(listed()) <= MOST


@pytest.mark.chaos
@pytest.mark.skipif(not SUITE.is_dir(), reason="the suite is not there; FLOWQ_RQ_SUITE names its folder")
@pytest.mark.parametrize("subset", ["public", "seed"])
def test_the_listed_tests_are_those_that_do_not_hold(subset: str, tmp_path: Path) -> None:
    pytest.importorskip("psutil", reason="RQ's tests need psutil")
    report = tmp_path / "report.json"
    subprocess.run(
        [
            *(SUITE / "run.sh", "flowq", "--python", sys.executable, "--subset", subset),
            *("--redis-server", find_server().path, "--json", report),
        ],
        cwd=ROOT,
        check=False,  # it ends with 1 when a test does not hold
        timeout=1500,
    )
    results = json.loads(report.read_text())["results"]
    failed = [name.removeprefix("tests/").split("::") for name, result in results.items() if result["outcome"] != "passed"]
    found = {(parts[0], parts[-1]) for parts in failed}
    assert found <= listed()
    if subset == "public":
        assert found == listed()
