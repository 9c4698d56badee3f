"""Views: the JSON of `status`, the reasons of waiting jobs, exit codes."""

import json
from dataclasses import replace
from typing import Any

import pytest

from flowq.cli import exit_codes
from flowq.cli.render.run_table import run_lines
from flowq.cli.render.runs_table import runs_table
from flowq.cli.render.vocabulary import clock
from flowq.cli.terminal import Terminal
from flowq.flows.views.json_documents import event_json, run_json
from flowq.flows.views.run_view import RunView, Snapshot, elapsed, error_line, ordinal_of, run_view
from flowq.states import JobStatus, RunStatus
from flowq.store.schema.documents import iso
from flowq.store.schema.records import Event, RunRecord
from tests.cli import samples

RUN_KEYS = {
    "id", "flow", "status", "attempt", "params", "labels", "warnings", "created_at", "started_at", "ended_at", "duration", "counts", "jobs",
}  # fmt: skip
JOB_KEYS = {
    "name", "job", "id", "status", "reason", "allowed", "attempts", "queue", "worker", "depends_on", "started_at", "ended_at", "duration",
    "error", "file", "line",
}  # fmt: skip


def test_json_has_the_documented_keys() -> None:
    document = run_json(samples.failed_run())
    assert set(document) >= RUN_KEYS
    assert all(set(job) >= JOB_KEYS for job in document["jobs"])


def test_json_of_a_failed_run() -> None:
    document = run_json(samples.failed_run())
    assert document["status"] == "failed"
    assert document["attempt"] == 2
    assert document["params"] == {"day": "2026-01-31", "full": False}
    assert document["created_at"] == "2026-01-31T06:00:00.083Z"
    assert document["started_at"] == "2026-01-31T06:00:00.123Z"
    assert document["duration"] == 65.4
    assert document["counts"] == {"finished": 5, "failed": 2, "skipped": 2}
    cell = next(job for job in document["jobs"] if job["name"] == "build[fmt=pdf,lang=de]")
    assert cell == {
        "name": "build[fmt=pdf,lang=de]",
        "job": "build",
        "id": f"{samples.RUN}-3",
        "status": "failed",
        "reason": "error",
        "allowed": False,
        "attempts": 2,
        "queue": "cpu",
        "worker": "host-1.4711",
        "depends_on": ["fetch"],
        "started_at": "2026-01-31T06:00:03.723Z",
        "ended_at": "2026-01-31T06:00:04.333Z",
        "duration": 0.61,
        "error": samples.TRACEBACK,
        "file": samples.file(),
        "line": 24,
    }


def test_groups_are_not_jobs_but_dependencies_name_them() -> None:
    document = run_json(samples.failed_run())
    assert [job["name"] for job in document["jobs"] if job["job"] == "build"] == [
        "build[fmt=pdf,lang=en]",
        "build[fmt=pdf,lang=de]",
        "build[fmt=html,lang=en]",
        "build[fmt=html,lang=de]",
    ]
    assert document["jobs"][-1]["depends_on"] == ["build", "spellcheck", "backfill"]


def test_reasons_of_waiting_jobs() -> None:
    view = samples.running_run()
    reasons = {job.name: job.reason for job in view.jobs}
    assert reasons["build[fmt=html,lang=en]"] == "retry"
    assert reasons["build[fmt=html,lang=de]"] is None  # a worker listens, but other jobs are first
    assert reasons["backfill"] == "no_worker"
    assert reasons["publish"] == "dependencies"
    publish = view.jobs[-1]
    assert publish.waits_for == ("build", "spellcheck", "backfill")


def test_a_running_job_has_its_duration_so_far_and_a_waiting_one_none() -> None:
    jobs = {job.name: job for job in samples.running_run().jobs}
    assert jobs["spellcheck"].duration == pytest.approx(8.7)
    assert jobs["build[fmt=html,lang=en]"].duration is None


def test_a_job_with_an_expired_record_is_shown_as_such() -> None:
    plan = samples.report_plan()
    run = samples.run_record(RunStatus.FINISHED, 9, ended=3.0)
    view = run_view(plan, Snapshot(run, [None] * len(plan.cells), now_ms=samples.NOW))
    assert {job.status for job in view.jobs} == {None}
    assert run_json(view)["jobs"][0]["status"] is None
    assert view.counts == {}


@pytest.mark.parametrize(
    ("status", "reason", "timed_out", "code"),
    [
        (RunStatus.FINISHED, "", False, 0),
        (RunStatus.FAILED, "error", False, 1),
        (RunStatus.FAILED, "timeout", False, 1),
        (RunStatus.FAILED, "run_timeout", True, 5),
        (RunStatus.CANCELED, "run_canceled", False, 4),
        (RunStatus.RUNNING, "", False, 1),
        (RunStatus.RUNNING, "run_timeout", True, 1),
    ],
)
def test_exit_code(status: RunStatus, reason: str, timed_out: bool, code: int) -> None:
    job = samples.job(0, JobStatus.FAILED if reason else JobStatus.FINISHED, at=0.0, took=1.0, reason=reason)
    run = samples.run_record(status, 1, ended=None if status is RunStatus.RUNNING else 1.0, timed_out=timed_out)
    assert exit_codes.of_run(samples.view(samples.report_plan(), run, {0: job}, {}, frozenset())) == code


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("exit code 3", "exit code 3"),
        ("", ""),
        (samples.TRACEBACK, "ValueError: no template for de"),
        (samples.TRACEBACK + "\nDuring handling of the above exception, another exception occurred:\n\n" + samples.TRACEBACK.replace(
            "no template for de", "second"), "ValueError: second"),
        ("Traceback (most recent call last):\n  File \"x\", line 1\nKeyError: 'a'\n  more\nof it", "KeyError: 'a'"),
        ("first\nsecond", "first"),
        ("\x1b[1;31mError:\x1b[0m no such option\x1b[K", "Error: no such option"),
        ("safe\rroot", "safe"),
    ],
)  # fmt: skip
def test_the_most_important_line_of_an_error(text: str, line: str) -> None:
    assert error_line(text) == line


def test_times() -> None:
    assert iso(0) == "1970-01-01T00:00:00.000Z"
    assert iso(None) is None
    assert elapsed(None, None, 5) is None
    assert elapsed(1000, None, 3500) == 2.5
    assert elapsed(4000, 3000, 0) == 0  # a clock that was set back


@pytest.mark.parametrize(("job", "ordinal"), [("7k2m9x0d-12", 12), (None, None), ("", None), ("some-uuid-f", None)])
def test_ordinal_of(job: str | None, ordinal: int | None) -> None:
    assert ordinal_of(job) == ordinal


def test_an_event_as_json() -> None:
    event = Event("1769839200123-4", 1_769_839_200_123, samples.RUN, f"{samples.RUN}-3", "started", "failed", "error", 2, 2)
    assert event_json(event, samples.report_plan()) == {
        "v": 1,
        "seq": "1769839200123-4",
        "at": "2026-01-31T06:00:00.123Z",
        "run": samples.RUN,
        "job": f"{samples.RUN}-3",
        "name": "build[fmt=pdf,lang=de]",
        "from": "started",
        "to": "failed",
        "reason": "error",
        "execution": 2,
        "attempt": 2,
    }


def test_the_columns_of_runs_are_aligned() -> None:
    """This holds also if every flow's name is shorter than the header."""
    told: dict[str, Any] = {
        "created_ms": 0,
        "started_ms": 0,
        "ended_ms": 1000,
        "retention": 0.0,
        "directory": "/",
        "file": "/f",
    }
    told |= {
        "params": "{}",
        "labels": "{}",
        "attempt": 1,
        "total": 1,
        "open": 0,
        "warnings": 0,
        "local": False,
        "canceling": False,
    }
    run = RunRecord("ab12cd34", "ci", RunStatus.FINISHED, counts={JobStatus.FINISHED: 1}, **told)
    head, line = ("".join(text for text, _style in row) for row in runs_table([run], Terminal(width=120)))
    assert head.index("STATUS") == line.index("finished")
    assert head.endswith("  JOBS")
    assert line.endswith("  1/1")


def test_runs_of_a_flow_are_told_apart() -> None:
    """By their params, as those of a backfill; without params by their slots."""
    of_a_day = samples.run_record(RunStatus.FINISHED, 2, ended=1.0)
    of_a_slot = replace(of_a_day, params="{}", slot=samples.START)
    by_hand = replace(of_a_slot, slot=None, counts={JobStatus.FINISHED: 1, JobStatus.FAILED: 1})
    runs = [of_a_day, of_a_slot, by_hand, replace(of_a_day, params=json.dumps({"rates": list(range(500))}))]
    head, *rows = ("".join(text for text, _style in row) for row in runs_table(runs, Terminal(width=None)))
    at = head.index("PARAMS")
    assert [row[at:] for row in rows[:3]] == ["day=2026-01-31, full=false", f"slot {clock(samples.START)}", ""]
    assert rows[2].endswith("  1/2, 1 failed")
    assert len(rows[3]) == at + 100
    narrow = ["".join(text for text, _style in row) for row in runs_table(runs, Terminal(width=80))]
    assert max(map(len, narrow)) <= 80


def shown(run: RunView, width: int | None, *, failed_only: bool = False) -> list[str]:
    return ["".join(text for text, _style in line) for line in run_lines(run, Terminal(width=width), failed_only=failed_only)]


def test_a_run_that_is_being_canceled_is_shown_as_such_in_the_list() -> None:
    open_run = replace(samples.run_record(RunStatus.RUNNING, 2), canceling=True)
    runs = [open_run, replace(open_run, status=RunStatus.CANCELED, ended_ms=samples.NOW)]
    rows = ["".join(text for text, _style in row).split()[2] for row in runs_table(runs, Terminal(width=120))]
    assert rows == ["STATUS", "canceling", "canceled"]


def test_the_place_of_a_job_is_told_once() -> None:
    run = samples.failed_run()
    jobs = tuple(replace(job, error=f"{job.place.file}:{job.place.line}: job {job.job}: no such name") for job in run.jobs)
    for lines in (shown(replace(run, jobs=jobs), None), shown(replace(run, jobs=jobs), None, failed_only=True)):
        (line,) = (line for line in lines if "no such name" in line and "allowed" not in line)
        assert "  no such name (attempt 2 of 2)" in line
        assert "job build:" not in line


def test_names_have_the_room_that_no_note_needs() -> None:
    long = "a-name-of-a-job-that-takes-forty-columns"
    run = samples.failed_run()
    quiet = replace(run.jobs[0], name=long, job=long)
    assert any(line.startswith(f"✔ {long}  finished") for line in shown(replace(run, jobs=(quiet,)), 60))
    noted = replace(run, jobs=(quiet, replace(run.jobs[3], error="x" * 50)))
    assert not any(long in line for line in shown(noted, 60)), "beside a long note it is cut"


def test_the_failed_jobs_alone_are_aligned() -> None:
    run = samples.failed_run()
    bad = [replace(run.jobs[3], name=name, job=name) for name in ("a", "a-longer-name")]
    lines = [line for line in shown(replace(run, jobs=tuple(bad)), None, failed_only=True) if line.startswith("✖")]
    assert len({line.index("failed") for line in lines}) == 1


def test_the_time_of_a_matrix_has_no_gap_in_it() -> None:
    run = samples.failed_run()
    times = [(0, 2_000), (1_000, 2_500), (86_400_000, 86_401_000)]  # the last one was retried a day later
    cells = tuple(
        replace(run.jobs[2], name=f"build[{n}]", started_ms=begin + 1, duration=(end - begin) / 1000)
        for n, (begin, end) in enumerate(times)
    )
    assert any(line.split()[:4] == ["✔", "build", "finished", "3.50s"] for line in shown(replace(run, jobs=cells), None))


@pytest.mark.parametrize(("other", "word"), [("started", "failing"), ("queued", "failing"), ("finished", "failed")])
def test_a_matrix_of_which_a_cell_has_failed_is_failing_until_the_others_have_ended(other: str, word: str) -> None:
    run = samples.failed_run()
    cells = tuple(
        replace(run.jobs[2], name=f"build[{n}]", ordinal=n, status=JobStatus(status), ended_ms=None, allowed=False)
        for n, status in enumerate(("failed", other, "finished"))
    )
    (line,) = (line for line in shown(replace(run, jobs=cells), None) if line.startswith("✖ build"))
    assert line.split()[2] == word
    assert [job["status"] for job in run_json(replace(run, jobs=cells))["jobs"]] == ["failed", other, "finished"]
