"""The data pipeline: its functions, and the whole flow on real workers."""

import sys
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.examples.running import FLOWS, flowq, jobs_by_name, run_flow

FOLDER = FLOWS / "penguins"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The clean table; the study's package is importable as in a job."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    from penguin_study.birds import extract

    extracted = extract(str(tmp_path))
    assert (extracted["birds"], extracted["dropped"]) == (342, 2)
    return str(extracted["table"])


def test_means_are_the_published_ones(table: str) -> None:
    from penguin_study.estimates import describe

    described: Any = describe(table, "Gentoo")
    assert described["birds"] == 123
    female, male, unknown = described["groups"]
    assert (female["sex"], male["sex"], unknown["sex"]) == ("female", "male", "unknown")
    assert male["body_mass_g"]["mean"] == pytest.approx(5484.8, abs=0.1)
    assert female["flipper_length_mm"]["mean"] == pytest.approx(212.7, abs=0.1)


def test_the_slope_changes_sign_within_the_species(table: str) -> None:
    from penguin_study.estimates import fit

    fits: dict[str, Any] = {name: fit(table, name, resamples=200) for name in ("all", "Adelie", "Chinstrap", "Gentoo")}
    assert fits["all"]["slope"] == pytest.approx(-0.0850, abs=1e-4)
    assert fits["Adelie"]["slope"] == pytest.approx(0.1788, abs=1e-4)
    for item in fits.values():
        assert item["low"] < item["slope"] < item["high"]
        assert (item["low"] > 0) == (item["slope"] > 0), "the interval contains zero"


def test_best_prefers_the_smaller_k_among_equals(table: str) -> None:
    from penguin_study.neighbours import best, leave_one_out

    few, many = leave_one_out(table, 3), leave_one_out(table, 9)
    assert few["accuracy"] == many["accuracy"]
    assert best([many, few]) == few


def test_the_flow_writes_its_report(home: Path, tmp_path: Path) -> None:
    run = run_flow(FOLDER / "penguins.yaml", "--workers", "2", "-p", f"out={tmp_path}/out", "-p", "resamples=500")
    assert run["counts"] == {"finished": 20}
    jobs = jobs_by_name(run)
    assert "fit[species=all]" in jobs
    assert jobs["report"]["attempts"] == 1

    report = flowq("result", run["id"], "report").documents()[0]
    assert "the sign is the opposite" in report["finding"]
    page = Path(report["page"]).read_text(encoding="utf-8")
    assert "167 on Biscoe, 124 on Dream, 51 on Torgersen" in page
    assert "338 of 342" in page
    picture = ET.parse(report["chart"]).getroot()
    assert len(picture.findall(f"{SVG}circle")) == 342
    assert "The report: " in flowq("logs", run["id"], "check").out


def test_jobs_of_the_flow_run_in_parallel(home: Path, tmp_path: Path) -> None:
    run = run_flow(FOLDER / "penguins.yaml", "--workers", "2", "-p", f"out={tmp_path}/out", "-p", "resamples=500")
    spans = sorted((job["started_at"], job["ended_at"]) for job in run["jobs"])
    overlapping = [pair for pair in pairwise(spans) if pair[1][0] < pair[0][1]]
    assert overlapping, "no two jobs were running at the same time"


def test_a_wrong_param_is_refused_before_anything_runs(home: Path, tmp_path: Path) -> None:
    refused = flowq("run", str(FOLDER / "penguins.yaml"), "-p", "resamples=3", "-p", f"out={tmp_path}/out")
    assert refused.code == 3
    assert "resamples" in refused.err
    assert not (tmp_path / "out").exists()
