"""The example directory of `flowq serve`: its flows start by themselves, follow each other, and are made up for past hours."""

import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.examples.running import FLOWS, flowq
from tests.support.serve import ServeProcess
from tests.support.wait import until

pytestmark = pytest.mark.slow


@pytest.fixture
def served(home: Path, tmp_path: Path) -> Iterator[Path]:
    assert home.is_dir()
    place = tmp_path / "serve"
    shutil.copytree(FLOWS / "serve", place, ignore=shutil.ignore_patterns("out"))
    with ServeProcess(place, log=tmp_path / "log") as service:
        service.says("as serve: 3 flows, 2 schedules")
        yield place
        service.signal()
        assert service.wait() == 0
        assert "Traceback" not in service.output


def ended(run: str) -> dict[str, Any]:
    """Wait for the end of a run and return its document."""

    def document() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(flowq("status", run, "--json").out)
        return found

    until(lambda: document()["ended_at"], timeout=30, message=f"run {run} to end")
    return document()


def trigger(name: str, *arguments: str) -> dict[str, Any]:
    """Start a run of a schedule's entry and wait for its end."""
    return ended(flowq("schedule", "trigger", name, *arguments).out.strip())


def test_a_report_has_its_hour_and_the_overview_follows_it(served: Path) -> None:
    run = trigger("report", "--at", "2026-11-28T06:00")
    assert (run["status"], run["params"]) == ("finished", {"hour": "2026-11-28T06"})
    assert (served / "out" / "reports" / "2026-11-28T06.csv").read_text() == "2026-11-28T06,3,1\n"
    page = served / "out" / "overview.html"
    until(page.exists, timeout=30, message="the overview")
    assert "new: 2026-11-28T06" in page.read_text()
    assert "<td>2026-11-28T06<td>3<td>1" in page.read_text()


def test_past_hours_are_made_up(served: Path) -> None:
    backfill = flowq("schedule", "backfill", "report", "--from", "2026-11-28T05:00", "--to", "2026-11-28T08:00")
    assert backfill.code == 0, backfill.err
    page = served / "out" / "overview.html"
    until(lambda: page.exists() and page.read_text().count("<tr>") == 3, timeout=60, message="three reports in the overview")
    reports = sorted(path.read_text() for path in (served / "out" / "reports").iterdir())
    assert reports == ["2026-11-28T05,2,0\n", "2026-11-28T06,3,1\n", "2026-11-28T07,3,2\n"]


def test_a_backup_holds_its_lock_and_keeps_the_newest(served: Path) -> None:
    trigger("report", "--at", "2026-11-28T06:00")
    for _ in range(3):
        assert trigger("backup", "-p", "keep=2")["status"] == "finished"
    archives = sorted((served / "out" / "backups").iterdir())
    assert len(archives) == 2
    with tarfile.open(archives[-1]) as archive:
        assert "reports/2026-11-28T06.csv" in archive.getnames()
