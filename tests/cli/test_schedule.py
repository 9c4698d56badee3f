"""`flowq schedule`: flow files, a scheduler of them in this process, and the commands on them."""

import json
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from flowq.schedules.directory.catalog import Catalog
from flowq.schedules.scheduler import Scheduler
from flowq.slots.series import slot_id
from flowq.store import Store
from flowq.store.schema.documents import iso
from tests.cli.conftest import Cli
from tests.support.run_driver import Drive
from tests.support.slot_driver import Driver

NIGHTLY = "flows/etl/nightly:default"
HOUR = 3_600_000


NIGHTLY_YAML = """
schedule: {cron: "0 * * * *", timezone: Europe/Berlin}
jobs: {a: {run: "true"}}
"""
REPORT_YAML = """
schedule:
  eu: {every: 1h, timezone: Europe/Berlin}
  us: {cron: "0 * * * *", timezone: Europe/Berlin, paused: true}
params: {region: {default: eu}}
jobs: {a: {run: "true"}}
"""


@dataclass
class Site:
    """A directory with flow files, and a scheduler of it."""

    store: Store
    root: Path
    scheduler: Scheduler
    writes: int = 0

    def write(self, name: str, text: str) -> None:
        """Write a flow file, as some time ago; the next turn sees it."""
        path = self.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        self.writes += 1
        os.utime(path, (1_700_000_000 + self.writes, 1_700_000_000 + self.writes))
        self.scheduler.request_look()

    def turn(self) -> None:
        self.scheduler.turn()

    def pretend(self, name: str, hours: int) -> int:
        """Set the state of a schedule back by some hours; return the latest full hour."""
        last = self.store.now_ms() // HOUR * HOUR
        key = self.store.session.keys("schedule", name)
        self.store.client.hset(key, mapping={"since": last - 99 * HOUR, "slot": last - hours * HOUR})
        return last

    def runs(self) -> list[str]:
        return self.store.runs.recent(100)[::-1]


@pytest.fixture
def site(store: Store, tmp_path: Path) -> Site:
    root = tmp_path / "flows"
    root.mkdir()
    made = Site(store, root, Scheduler(store, Catalog(str(root), "flows")))
    made.write("etl/nightly.yaml", NIGHTLY_YAML)
    made.write("report.yaml", REPORT_YAML)
    made.turn()
    return made


def listed(cli: Cli, *more: str) -> dict[str, dict[str, Any]]:
    return {item["id"]: item for item in json.loads(cli("schedule", "list", "--json", *more).out)}


def test_the_list(cli: Cli, site: Site, store: Store) -> None:
    found = listed(cli)
    assert list(found) == [NIGHTLY, "flows/report:eu", "flows/report:us"]
    nightly = found[NIGHTLY]
    coming = (store.now_ms() // HOUR + 1) * HOUR
    assert nightly["next"] == f"{datetime.fromtimestamp(coming / 1000, UTC):%Y-%m-%dT%H:%M:%S}.000Z"
    assert (nightly["when"], nightly["timezone"]) == ("0 * * * * Europe/Berlin", "Europe/Berlin")
    assert nightly["events"] is None
    assert (nightly["backlog"], nightly["open"], nightly["paused"], nightly["last"]) == (0, [], False, None)
    assert (found["flows/report:us"]["paused"], found["flows/report:us"]["paused_by_file"]) == (True, True)
    text = cli("schedule", "list").out
    assert "every 1h Europe/Berlin" in text
    assert "paused by its file" in text


def test_without_schedules(cli: Cli, store: Store) -> None:
    assert cli("schedule", "list").err.startswith("no schedules: a flow file declares them")
    outcome = cli("schedule", "pause", "nightly")
    assert outcome.code == 2
    assert "there is no schedule on this server" in outcome.err


def test_the_history(cli: Cli, site: Site, store: Store) -> None:
    assert "no slot of flows/etl/nightly:default has been due yet" in cli("schedule", "history", "nightly").err
    last = site.pretend(NIGHTLY, 3)
    site.turn()
    run, left = json.loads(cli("schedule", "history", "nightly", "--json").out)
    assert (run["outcome"], run["run"], run["count"]) == ("run", slot_id(NIGHTLY, str(last)), 1)
    assert (left["outcome"], left["reason"], left["count"]) == ("left_out", "latest", 2)
    text = cli("schedule", "history", "nightly").out
    assert "running" in text
    assert "2 slots: missed; the latest one ran (catch_up: latest)" in text
    item = listed(cli)[NIGHTLY]
    assert (item["open"], item["last"]["outcome"], item["last_run"]) == ([run["run"]], "run", run["run"])
    assert item["last"]["status"] == "running"
    assert " running" in next(line for line in cli("schedule", "list").out.splitlines() if line.startswith(NIGHTLY))


@pytest.mark.parametrize("given", [NIGHTLY, "etl/nightly:default", "nightly:default", "nightly", "etl/nightly", "*nightly*"])
def test_names(cli: Cli, site: Site, given: str) -> None:
    assert cli("schedule", "pause", given).out == f"paused {NIGHTLY}\n"


def test_names_that_fit_none_or_several(cli: Cli, site: Site) -> None:
    outcome = cli("schedule", "history", "nigthly")
    assert outcome.code == 2
    assert "did you mean nightly?" in outcome.err
    assert "fits several schedules: flows/report:eu, flows/report:us" in cli("schedule", "pause", "report").err
    assert cli("schedule", "pause", "report:*").out == "paused flows/report:eu\npaused flows/report:us\n"
    assert "say which schedule, or --all" in cli("schedule", "pause").err
    assert "leave out the names" in cli("schedule", "pause", "x", "--all").err


def test_a_pause_and_its_end(cli: Cli, site: Site, store: Store) -> None:
    assert cli("schedule", "pause", "nightly", "--note", "migration", "--until", "2h").code == 0
    item = listed(cli)[NIGHTLY]
    assert item["paused"]
    assert item["pause"]["note"] == "migration"
    assert item["pause"]["until"].endswith(".000Z"), "a whole second: lists show no thousandths"
    assert ": migration" in cli("schedule", "list").out
    site.pretend(NIGHTLY, 3)
    site.turn()
    assert site.runs() == []
    assert cli("schedule", "resume", "nightly").out == f"resumed {NIGHTLY}\n"
    site.turn()
    assert site.runs() == [], "what was missed is not made up"
    outcome = cli("schedule", "resume", "nightly")
    assert (outcome.code, outcome.err) == (2, f"error: {NIGHTLY}: not paused\n")
    cli("schedule", "pause", "nightly")
    site.pretend(NIGHTLY, 3)
    cli("schedule", "resume", "nightly", "--catch-up")
    site.turn()
    assert len(site.runs()) == 1


def test_a_pause_of_the_file(cli: Cli, site: Site) -> None:
    outcome = cli("schedule", "resume", "report:us")
    assert outcome.err == "flows/report:us: paused by the file, remove `paused: true` there\n"


@pytest.mark.parametrize(
    ("until", "message"), [("soon", "expected 2026-01-31,"), ("2020-01-01", "--until: 2020-01-01 has passed")]
)
def test_a_wrong_end_of_a_pause(cli: Cli, site: Site, until: str, message: str) -> None:
    outcome = cli("schedule", "pause", "nightly", "--until", until)
    assert outcome.code == 2
    assert message in outcome.err


def test_a_backlog_is_skipped(cli: Cli, site: Site, store: Store) -> None:
    site.pretend(NIGHTLY, 5)
    assert listed(cli)[NIGHTLY]["backlog"] == 5
    assert cli("schedule", "skip", "nightly").out == f"{NIGHTLY}: 5 left out\n"
    site.turn()
    assert site.runs() == []
    assert "5 slots: left out by a user" in cli("schedule", "history", "nightly").out


def test_a_run_by_hand(cli: Cli, site: Site, store: Store) -> None:
    run = cli("schedule", "trigger", "nightly").out.strip()
    record = store.runs.require(run)
    assert (record.schedule, record.cause, record.directory) == (NIGHTLY, "cli", str(site.root))
    assert "started by a user" in cli("schedule", "history", "nightly").out


def test_params_of_a_run_by_hand(cli: Cli, site: Site, store: Store) -> None:
    run = cli("schedule", "trigger", "report:us", "-p", "region=us").out.strip()
    assert store.runs.require(run).params == '{"region": "us"}'
    outcome = cli("schedule", "trigger", "report:us", "-p", "region=1", "-p", "nothing=x")
    assert outcome.code == 3
    assert "there is no param" in outcome.err


def test_a_slot_by_hand_is_that_slot(cli: Cli, site: Site, store: Store) -> None:
    last = site.pretend(NIGHTLY, 1)
    at = datetime.fromtimestamp(last / 1000, UTC).isoformat()
    run = cli("schedule", "trigger", "nightly", "--at", at).out.strip()
    assert run == slot_id(NIGHTLY, str(last))
    assert cli("schedule", "trigger", "nightly", "--at", at).out.strip() == run
    site.turn()
    assert site.runs() == [run], "the scheduler takes it for the slot's"
    outcome = cli("schedule", "trigger", "nightly", "--at", "2026-03-29T03:30")
    assert outcome.code == 2
    assert "2026-03-29 03:30:00+02:00 is no slot of" in outcome.err
    assert "beside it are 2026-03-29 03:00:00+02:00 and 2026-03-29 04:00:00+02:00" in outcome.err


def test_a_file_that_is_not_here(cli: Cli, site: Site) -> None:
    (site.root / "etl" / "nightly.yaml").unlink()
    assert "nightly.yaml is not on this machine" in cli("schedule", "trigger", "nightly").err


def test_a_flow_that_does_not_compile(cli: Cli, site: Site) -> None:
    site.write("etl/nightly.yaml", NIGHTLY_YAML.replace("run:", "rum:"))
    outcome = cli("schedule", "trigger", "nightly")
    assert outcome.code == 3
    assert "rum" in outcome.err


# -- backfills -------------------------------------------------------------------------------------------------------------------

JANUARY = ("--from", "2026-01-01", "--to", "2026-01-01T06:00")


def test_a_dry_run(cli: Cli, site: Site) -> None:
    outcome = cli("schedule", "backfill", "nightly", *JANUARY, "--dry-run")
    assert outcome.out.splitlines()[1].startswith("2026-01-01 00:00:00+01:00")
    assert outcome.err == "6 slots, 6 runs would be made\n"
    rows = json.loads(cli("schedule", "backfill", "nightly", *JANUARY, "--dry-run", "--json").out)["slots"]
    assert (len(rows), rows[0]["slot"], rows[0]["run"], rows[0]["runs"]) == (6, "2025-12-31T23:00:00.000Z", None, True)
    assert cli("schedule", "backfills").err.startswith("no backfills")


def test_a_backfill(cli: Cli, site: Site, store: Store) -> None:
    made = cli("schedule", "backfill", "nightly", *JANUARY, "--max", "2")
    backfill = made.out.strip()
    assert f"backfill {backfill} makes 6 runs of {NIGHTLY}" in made.err
    site.turn()
    assert len(site.runs()) == 2
    assert cli("schedule", "backfills", "pause", backfill[:4]).out == f"{backfill} is paused\n"
    driver = Driver(store)
    Drive(store, driver, site.runs()[0]).to_the_end()
    site.turn()
    assert len(site.runs()) == 2
    assert "paused" in cli("schedule", "backfills").out
    cli("schedule", "backfills", "resume", backfill)
    site.turn()
    assert len(site.runs()) == 4
    last = site.pretend(NIGHTLY, 1)
    site.turn()
    history = json.loads(cli("schedule", "history", "nightly", "--json").out)
    assert [item["slot"] for item in history] == [
        iso(last),
        *(f"2026-01-01T0{hour}:00:00.000Z" for hour in (2, 1, 0)),
        "2025-12-31T23:00:00.000Z",
    ]
    assert [(item["outcome"], item["reason"]) for item in history] == [("run", None), *[("run", "backfill")] * 4]
    assert len(json.loads(cli("schedule", "history", "nightly", "--json", "--limit", "3").out)) == 3
    assert "by a backfill" in cli("schedule", "history", "nightly").out
    why = " ".join(cli("why", "nightly", "2026-01-01T03:00").out.split())
    assert f"the slot 2026-01-01 03:00:00+01:00 ran: run {history[1]['run']} was started by a backfill at" in why
    assert listed(cli)[NIGHTLY]["last"]["slot"] == iso(last)
    outcome = cli("schedule", "backfills", "cancel", backfill, "--runs")
    assert outcome.err.count("canceled run") == 2
    found = json.loads(cli("schedule", "backfills", "--json").out)[0]
    assert (found["id"], found["state"], found["created"], found["max"]) == (backfill, "canceled", 4, 2)
    outcome = cli("schedule", "backfills", "resume", backfill)
    assert (outcome.code, outcome.err) == (2, f"error: backfill {backfill} has ended: it is canceled\n")
    driver.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--from", "2026-01-02", "--to", "2026-01-01"), "must be later than --from"),
        (("--from", "x", "--to", "2026-01-01"), "expected 2026-01-31,"),
        (("--from", "2026-01-01T00:10", "--to", "2026-01-01T00:20"), "has no slot from 2026-01-01 00:10:00+01:00"),
        (("--from", "2020-01-01", "--to", "2026-01-01"), "10,000 slots at most"),
        (("--from", "2026-01-01", "--to", "2026-02-01"), "no terminal to ask on: --yes agrees"),
        ((*JANUARY, "--failed", "--again"), "choose one"),
    ],
)
def test_a_wrong_backfill(cli: Cli, site: Site, arguments: tuple[str, ...], message: str) -> None:
    outcome = cli("schedule", "backfill", "nightly", *arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert "Traceback" not in outcome.err


def test_many_slots_with_yes(cli: Cli, site: Site) -> None:
    outcome = cli("schedule", "backfill", "nightly", "--from", "2026-01-01", "--to", "2026-02-01", "--yes", "--json")
    assert json.loads(outcome.out)["runs"] == 31 * 24


def test_nothing_is_missing(cli: Cli, site: Site, store: Store) -> None:
    cli("schedule", "backfill", "nightly", "--from", "2026-01-01", "--to", "2026-01-01T01:00")
    site.turn()
    outcome = cli("schedule", "backfill", "nightly", "--from", "2026-01-01", "--to", "2026-01-01T01:00")
    assert outcome.code == 2
    assert "nothing is missing (1 slot with runs): --failed or --again" in outcome.err


def test_an_unknown_backfill(cli: Cli, site: Site) -> None:
    assert "there is no backfill 'x'" in cli("schedule", "backfills", "pause", "x").err


# -- what is shown of a schedule that is in trouble --------------------------------------------------------------------------------


def test_a_flow_that_is_not_valid_any_more(cli: Cli, site: Site) -> None:
    site.write("etl/nightly.yaml", NIGHTLY_YAML.replace("run:", "rum:"))
    site.pretend(NIGHTLY, 1)
    site.turn()
    assert "rum" in listed(cli)[NIGHTLY]["problem"]
    assert "not valid: " in cli("schedule", "list").out
    assert "refused" in cli("schedule", "history", "nightly").out


def test_a_schedule_that_was_deleted(cli: Cli, site: Site, store: Store) -> None:
    store.client.zadd(store.session.keys("schedules"), {NIGHTLY: store.now_ms() - 2 * HOUR})
    assert NIGHTLY not in listed(cli)
    assert listed(cli, "--all")[NIGHTLY]["gone"]
    assert "not in the files any more" in cli("schedule", "list", "--all").out


def test_a_catch_up_that_waits(cli: Cli, site: Site) -> None:
    site.write("etl/nightly.yaml", NIGHTLY_YAML.replace("timezone: Europe/Berlin", "catch_up: all"))
    site.turn()
    site.pretend(NIGHTLY, 4)
    site.turn()
    item = listed(cli)[NIGHTLY]
    assert (len(item["open"]), item["backlog"]) == (1, 3)


# -- why, and runs ---------------------------------------------------------------------------------------------------------------


def hour(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, ZoneInfo('Europe/Berlin')):%H:%M}"


def test_why_a_slot_ran_or_did_not(cli: Cli, site: Site, store: Store) -> None:
    assert "nightly:default: no slot has been due yet\n" in cli("why", "nightly:default").out
    last = site.pretend(NIGHTLY, 3)
    assert "has not been dealt with yet\n" in cli("why", "nightly", hour(last)).out
    site.turn()
    assert f"ran: run {slot_id(NIGHTLY, str(last))} was started at" in cli("why", "nightly", hour(last)).out.replace(
        "\n    ", " "
    )
    before = json.loads(cli("why", "nightly", hour(last - HOUR), "--json").out)
    assert before["text"].endswith("was left out: 2 slots: missed; the latest one ran (catch_up: latest)")
    site.pretend(NIGHTLY, 1)
    site.turn()
    found = json.loads(cli("why", "nightly", hour(last), "--json").out)
    assert "was skipped: the run before was not over" in found["text"]
    assert found["details"] == [f"run {slot_id(NIGHTLY, str(last))} was open"]


def test_why_nothing_runs_now(cli: Cli, site: Site, store: Store) -> None:
    cli("schedule", "pause", "nightly", "--note", "migration")
    assert "(migration): `flowq schedule resume flows/etl/nightly:default` ends that" in cli("why", "nightly").out.replace(
        "\n    ", " "
    )
    assert "the next slot is" not in cli("why", "nightly").out
    assert "it is paused by its file" in cli("why", "report:us").out
    assert "the next slot is" in cli("why", "report:eu").out


def test_a_pause_of_somebody_else_is_not_lost_in_silence(cli: Cli, site: Site, store: Store) -> None:
    store.schedules.pause(NIGHTLY, "bob", "the disk is full", None)
    outcome = cli("schedule", "pause", "nightly", "--note", "migration", "--until", "2100-01-01")
    assert (outcome.out, outcome.err) == (
        f"paused {NIGHTLY}\n",
        "it was paused by bob: the disk is full; this pause replaces that one\n",
    )
    told = " ".join(cli("why", "nightly").out.split())
    assert re.search(r"it is paused by \S+ until 2100-01-01 00:00:00\+01:00 \(migration\): ", told)
    assert cli("schedule", "pause", "report:eu").err == ""


@pytest.mark.parametrize(
    ("time", "words"),
    [
        ("2020-01-01T06:00", "was before the schedule began"),
        ("2020-01-01T06:10", "is no slot of this schedule; beside it are 2020-01-01 06:00:00+01:00"),
        ("2100-01-01T06:00", "is still to come"),
    ],
)
def test_why_of_other_times(cli: Cli, site: Site, time: str, words: str) -> None:
    assert words in cli("why", "nightly", time).out.replace("\n    ", " ")


def test_why_of_no_time(cli: Cli, site: Site) -> None:
    outcome = cli("why", "nightly", "six")
    assert (outcome.code, outcome.err) == (2, "error: expected a time such as 06:00 or 2026-01-31T06:00, found 'six'\n")
    assert cli("why", "nothing").err.startswith("error: no run")


def test_runs_of_a_schedule(cli: Cli, site: Site, store: Store) -> None:
    site.pretend(NIGHTLY, 1)
    site.turn()
    by_hand = cli("schedule", "trigger", "report:eu").out.strip()
    runs = json.loads(cli("runs", "--schedule", "nightly", "--json").out)
    assert [(run["id"], run["schedule"], run["cause"], run["by"]) for run in runs] == [
        (site.runs()[0], NIGHTLY, "schedule", NIGHTLY)
    ]
    assert [run["id"] for run in json.loads(cli("runs", "--cause", "cli", "--json").out)] == [by_hand]
    assert f":00:00 UTC of {NIGHTLY}\n" in cli("status", site.runs()[0]).out
    document = json.loads(cli("status", site.runs()[0], "--json").out)
    assert (document["schedule"], document["cause"]) == (NIGHTLY, "schedule")
    assert document["scheduled_at"].endswith(":00:00.000Z")


# -- next ------------------------------------------------------------------------------------------------------------------------


def test_the_next_slots_of_a_file(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "flow.yaml").write_text(
        "schedule:\n"
        "  weekdays: {cron: '0 6 * * MON-FRI', timezone: Europe/Berlin, params: {day: '${{ run.date }}'}}\n"
        "  hourly: {every: 1h, paused: true, params: {day: 2026-01-01}}\n"
        "params: {day: {type: date}}\njobs: {a: {run: 'true'}}\n"
    )
    assert cli("schedule", "next", "flow.yaml:weekdays", "-n", "3", "--from", "2026-03-27").out.splitlines() == [
        "ENTRY     SLOT                       DAY",
        "weekdays  2026-03-27 06:00:00+01:00  Fri",
        "weekdays  2026-03-30 06:00:00+02:00  Mon  clocks forward 1 h",
        "weekdays  2026-03-31 06:00:00+02:00  Tue",
    ]
    rows = json.loads(cli("schedule", "next", "flow.yaml", "-n", "1", "--from", "2026-10-25T00:30", "--json").out)
    assert [(row["entry"], row["slot"], row["paused"]) for row in rows] == [
        ("weekdays", "2026-10-26T05:00:00.000Z", False),
        ("hourly", "2026-10-25T01:00:00.000Z", True),
    ]
    assert rows[0]["note"] == "clocks back 1 h"


def test_the_next_slots_of_a_name(cli: Cli, site: Site) -> None:
    assert cli("schedule", "next", "report:*", "-n", "1", "--from", "2026-03-27T06:00").out.splitlines() == [
        "ENTRY            SLOT                       DAY",
        "flows/report:eu  2026-03-27 06:00:00+01:00  Fri",
        "flows/report:us  2026-03-27 06:00:00+01:00  Fri  paused by the file",
    ]
    (row,) = json.loads(cli("schedule", "next", "nightly", "-n", "1", "--json").out)
    assert row["entry"] == NIGHTLY
    assert "did you mean nightly?" in cli("schedule", "next", "nightli").err


@pytest.mark.parametrize(
    ("file", "found"),
    [
        ("flows/etl/nightly.yaml", [NIGHTLY]),
        ("./flows/etl/../etl/nightly.yaml:default", [NIGHTLY]),
        ("{here}/flows/report.yaml:us", ["flows/report:us"]),
        ("elsewhere/flows/etl/nightly.yaml", []),
        ("etl/nightly.yaml", [NIGHTLY]),  # of a scheduler on another machine
        ("report.yaml:de", []),
        ("flows/report.yaml", []),  # has two
    ],
)
def test_a_schedule_by_its_flow_file(cli: Cli, site: Site, tmp_path: Path, file: str, found: list[str]) -> None:
    outcome = cli("schedule", "list", "--json", file.format(here=tmp_path))
    assert outcome.code == (0 if found else 2)
    assert [item["id"] for item in json.loads(outcome.out or "[]")] == found
    if file == "flows/report.yaml":
        assert "fits several schedules: flows/report:eu, flows/report:us" in outcome.err


def test_a_file_is_not_taken_for_one_of_the_same_name(cli: Cli, site: Site, tmp_path: Path) -> None:
    site.write("old/report.yaml", NIGHTLY_YAML)
    site.turn()
    assert cli("schedule", "pause", "flows/old/report.yaml").out == "paused flows/old/report:default\n"
    assert cli("schedule", "history", "flows/report.yaml:eu").code == 0
    assert cli("-C", "flows/old", "schedule", "resume", "report.yaml").out == "resumed flows/old/report:default\n"


@pytest.mark.parametrize(
    ("text", "arguments", "code", "message"),
    [
        ("jobs: {a: {run: x}}\n", (), 2, 'flow.yaml has no schedule: `schedule: "0 6 * * *"`'),
        (
            "schedule: '@daily'\njobs: {a: {run: x}}\n",
            ("flow.yaml:nightly",),
            2,
            "has no entry 'nightly' in its schedule, but default",
        ),
        ("schedule: '@daily'\njobs: {a: {rum: x}}\n", (), 3, "rum"),
        ("schedule: '@daily'\nparams: {_day: {type: date}}\njobs: {a: {run: x}}\n", (), 3, "_day"),
        ("schedule: {at: ['2020-01-01T06:00']}\njobs: {a: {run: x}}\n", (), 0, "flow.yaml: no slots from then on"),
        ("schedule: '@daily'\njobs: {a: {run: x}}\n", ("flow.yaml", "--from", "x"), 2, "expected 2026-01-31,"),
    ],
)
def test_a_file_without_next_slots(
    cli: Cli, tmp_path: Path, text: str, arguments: tuple[str, ...], code: int, message: str
) -> None:
    (tmp_path / "flow.yaml").write_text(text)
    outcome = cli("schedule", "next", *(arguments or ("flow.yaml",)))
    assert outcome.code == code
    assert message in outcome.err
