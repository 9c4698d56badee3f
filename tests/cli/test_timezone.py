"""`timezone` of a flow: `run.date` in a zone, the same at compilation and in the run, and kept by retries."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from flowq.cli.main import run as flowq
from flowq.compiler import compile_text
from flowq.flows.actions.submit import submit
from flowq.flows.flow import Flow
from flowq.store import Store
from flowq.worker.supervisor.expressions.job_scope import JobScopes
from tests.cli import process

EAST, WEST = "Pacific/Kiritimati", "Pacific/Niue"  # UTC+14 and UTC-11: never the same date
CHILD = "timezone: Pacific/Niue\njobs:\n  c: {run: 'echo child ${{ run.date }}'}\n"


def flow(zone: str) -> str:
    return f"""
timezone: {zone}
params: {{day: {{type: date, default: "${{{{ run.date }}}}"}}}}
jobs:
  a: {{run: 'echo ${{{{ params.day }}}} ${{{{ run.date }}}}; exit 1'}}
  sub: {{flow: child.yaml}}
"""


def dates(zone: str, before: datetime, after: datetime) -> set[str]:
    """Return the dates that a run between two times may have."""
    return {moment.astimezone(ZoneInfo(zone)).date().isoformat() for moment in (before, after)}


@pytest.mark.parametrize("zone", [EAST, WEST])
def test_the_date_of_a_run(home: Path, tmp_path: Path, zone: str) -> None:
    assert home.is_dir()

    def call(*arguments: str) -> str:
        return process.flowq(*arguments, cwd=tmp_path).stdout

    (tmp_path / "flow.yaml").write_text(flow(zone))
    (tmp_path / "child.yaml").write_text(CHILD)
    before = datetime.now(UTC)
    call("run", "flow.yaml")
    day, date = call("logs", "a").split()
    assert day == date
    assert date in dates(zone, before, datetime.now(UTC))
    assert call("logs", "sub/c") == f"child {date}\n", "only the zone of the flow that is run counts"
    other = WEST if zone == EAST else EAST
    (tmp_path / "flow.yaml").write_text(flow(other).replace("exit 1", "exit 0"))
    call("retry", "--failed", "--reload")
    assert call("logs", "a").splitlines() == [f"{day} {date}", "── execution 2 ──", f"{day} {date}"], (
        "a retry keeps the date, whatever the text says now"
    )
    again = call("run", "--again", "@latest")
    assert f"a | {day} " in again, "`--again` keeps the params"
    assert call("logs", "a").split()[1] != date, "and not the date"


def test_a_run_that_is_submitted_after_midnight_has_one_date(store: Store, tmp_path: Path) -> None:
    """The compiler's clock was before midnight, the server's is after it: constants and jobs have the same date."""
    yesterday = datetime.now(UTC) - timedelta(days=1)
    text = (
        "params: {day: {type: date, default: '${{ run.date }}'}}\njobs: {a: {run: 'echo ${{ params.day }} ${{ run.date }}'}}\n"
    )
    found = compile_text(text, date=yesterday)
    assert found.plan is not None
    run_id = submit(store, found.plan, directory=tmp_path)
    scopes = JobScopes(store)
    scope = scopes.scope(scopes.find(run_id, 0, {}), 1)
    assert scope["run"]["date"] == scope["params"]["day"] == yesterday.date().isoformat()


def test_a_flow_that_was_loaded_on_another_day_is_compiled_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "params: {day: {default: '${{ run.date }}'}}\njobs:\n  a: {run: x}\n  b: {run: x}\n"
    flow = Flow.compile(text).select(jobs=["a"])
    before = datetime.now(UTC)
    monkeypatch.setattr(flow, "plan", replace(flow.plan, date="2026-01-31", params={"day": "2026-01-31"}))
    run = flow.submit(connection=store)
    record = store.runs.require(run.id)
    assert json.loads(record.params) == {"day": record.date}
    assert record.date in dates("UTC", before, datetime.now(UTC))
    assert record.left_out == 1, "of the part that was selected"
    assert store.runs.require(Flow(flow.plan).submit(connection=store).id).date == "2026-01-31", "a plan alone is as it is"


def test_the_compiler_gets_a_time_or_a_date() -> None:
    text = "timezone: {zone}\nparams: {{day: {{type: date, default: '${{{{ run.date }}}}'}}}}\njobs:\n  a: {{run: 'echo ${{{{ params.day }}}}'}}\n"
    moment = datetime(2026, 1, 31, 23, 30, tzinfo=UTC)
    for zone, day in (("UTC", "2026-01-31"), ("Europe/Berlin", "2026-02-01"), (WEST, "2026-01-31")):
        found = compile_text(text.format(zone=zone), date=moment)
        assert found.plan is not None
        assert found.plan.params == {"day": day}
        given = compile_text(text.format(zone=zone), date="2026-05-05")
        assert given.plan is not None
        assert given.plan.params == {"day": "2026-05-05"}, "a date is taken as it is"


def test_an_unknown_zone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "flow.yaml"
    file.write_text("timezone: Europe/Berln\njobs: {a: {run: 'true'}}\n")
    assert flowq(["validate", str(file)]) == 3
    assert "did you mean Europe/Berlin?" in capsys.readouterr().out
