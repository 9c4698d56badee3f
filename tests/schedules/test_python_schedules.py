"""`flowq.Schedule`: schedules from Python."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flowq import Run, Schedule
from flowq.exceptions import InvalidRunOperation, UsageError
from flowq.plan.schedule import Entry
from flowq.schedules.scheduler import Scheduler
from flowq.store import Store
from tests.schedules.flows import Flow, Flows

DAILY = Entry(name="default", cron=("0 6 * * *",), params={"day": {"$": "run.date"}})
TEXT = "params: {day: {type: date, default: '2020-01-01'}}\njobs: {a: {run: 'true'}}\n"


@pytest.fixture
def nightly(store: Store, tmp_path: Path) -> Schedule:
    flow = Flow("nightly", (DAILY,), TEXT, directory=str(tmp_path))
    (tmp_path / "nightly.yaml").write_text(f"schedule: {{cron: '0 6 * * *', params: {{day: '${{{{ run.date }}}}'}}}}\n{TEXT}")
    Scheduler(store, Flows.of(flow)).turn()
    return Schedule.fetch("nightly", connection=store)


def test_it_is_found_by_its_name(store: Store, nightly: Schedule) -> None:
    assert nightly.id == "flows/nightly:default"
    assert [item.id for item in Schedule.all(connection=store)] == [nightly.id]
    assert (nightly.view().when, nightly.view().next_ms is not None) == ("0 6 * * *", True)
    with pytest.raises(UsageError, match=r"there is no schedule 'nigthly'; did you mean nightly"):
        Schedule.fetch("nigthly", connection=store)


def test_it_is_paused_and_resumed(store: Store, nightly: Schedule) -> None:
    end = datetime.now(UTC) + timedelta(hours=2)
    nightly.pause("migration", until=end, by="ann")
    pause = nightly.view().record.pause
    assert pause is not None
    assert (pause.by, pause.note, pause.until_ms) == ("ann", "migration", round(end.timestamp() * 1000))
    assert nightly.view().paused
    nightly.resume()
    assert not nightly.view().paused
    with pytest.raises(InvalidRunOperation, match="flows/nightly:default is not paused by a user"):
        nightly.resume()


def test_it_is_triggered(store: Store, nightly: Schedule) -> None:
    run = nightly.trigger({"day": "2026-01-31"})
    assert isinstance(run, Run)
    record = store.runs.require(run.id)
    assert (record.params, record.cause, record.schedule) == ('{"day": "2026-01-31"}', "api", nightly.id)
    slot = datetime(2026, 1, 5, 6, tzinfo=UTC)
    assert store.runs.require(nightly.trigger(slot=slot).id).params == '{"day": "2026-01-05"}'
    assert [item.reason for item in nightly.history()] == ["by_hand", "by_hand"]
    with pytest.raises(UsageError, match="is no slot of flows/nightly:default"):
        nightly.trigger(slot=slot + timedelta(minutes=1))
