"""Flows compiled for a slot of their schedule."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from flowq.compiler import Code, compile_file
from flowq.plan.schedule import Scheduled

FLOW = """
timezone: Europe/Berlin
labels: {team: data, kind: plain}
params:
  day: {type: date, default: "${{ run.date }}"}
  at: {default: "${{ run.scheduled_at ?? 'by hand' }}"}
  region: {default: eu}
schedule:
  early: {cron: "30 2 * * *", params: {region: "us-${{ run.date }}"}, labels: {kind: early}}
  tokyo: {every: 12h, timezone: Asia/Tokyo}
jobs:
  a: {run: ["echo", "${{ params.day }}", "${{ run.schedule ?? 'none' }}"]}
"""
SLOT = round(datetime(2026, 3, 29, 1, tzinfo=UTC).timestamp() * 1000)  # 03:00 in Berlin, in the night without 02:30


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "nightly.yaml"
    path.write_text(FLOW)
    return path


def test_a_slot_gives_the_date_and_the_values_of_its_entry(file: Path) -> None:
    plan = compile_file(file, date="2020-01-01", scheduled=Scheduled(at=SLOT, entry="early", timezone="Europe/Berlin")).plan
    assert plan is not None
    assert dict(plan.params) == {"day": "2026-03-29", "at": "2026-03-29T03:00:00+02:00", "region": "us-2026-03-29"}
    assert (plan.date, plan.scheduled_at, plan.schedule) == ("2026-03-29", "2026-03-29T03:00:00+02:00", "early")
    assert dict(plan.labels) == {"team": "data", "kind": "early"}


def test_the_date_is_that_of_the_zone_of_the_entry(file: Path) -> None:
    late = SLOT + 20 * 3_600_000
    plan = compile_file(file, scheduled=Scheduled(at=late, entry="tokyo", timezone="Asia/Tokyo")).plan
    assert plan is not None
    assert (plan.date, plan.scheduled_at) == ("2026-03-30", "2026-03-30T06:00:00+09:00")


def test_values_that_are_given_come_before_those_of_the_entry(file: Path) -> None:
    plan = compile_file(
        file, params={"region": "ap"}, scheduled=Scheduled(at=SLOT, entry="early", timezone="Europe/Berlin")
    ).plan
    assert plan is not None
    assert plan.params["region"] == "ap"


def test_a_time_without_an_entry(file: Path) -> None:
    plan = compile_file(file, scheduled=Scheduled(at=SLOT, entry="", timezone="UTC")).plan
    assert plan is not None
    assert (plan.params["at"], plan.schedule, plan.params["region"]) == ("2026-03-29T01:00:00+00:00", "", "eu")


def test_a_run_by_hand_has_neither(file: Path) -> None:
    plan = compile_file(file, date="2026-01-31").plan
    assert plan is not None
    assert (plan.params["at"], plan.scheduled_at, plan.schedule) == ("by hand", "", "")


def test_an_entry_that_is_not_there(file: Path) -> None:
    (problem,) = compile_file(file, scheduled=Scheduled(at=SLOT, entry="erly", timezone="UTC")).diagnostics
    assert (problem.code, problem.help) == (Code.NO_SCHEDULE, "did you mean early?")


def test_the_entries_of_a_flow_that_needs_values(file: Path) -> None:
    file.write_text(FLOW.replace("{default: eu}", "{}").replace("{every: 12h,", "{every: 12h, params: {region: ap},"))
    found = compile_file(file, date="2026-01-31")
    assert found.plan is None
    assert [entry.name for entry in found.schedules] == ["early", "tokyo"]


def test_the_stored_plan_is_the_same_with_another_schedule(file: Path) -> None:
    def stored() -> str:
        plan = compile_file(file, date="2026-01-31").plan
        assert plan is not None
        return plan.to_json()

    before = stored()
    file.write_text(FLOW.replace('"30 2 * * *"', '"0 6 * * *"'))
    assert stored() == before
