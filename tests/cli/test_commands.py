"""The commands that read and control runs, on a real server with a manual worker."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flowq.cli.render.vocabulary import clock
from flowq.flows.actions.submit import submit
from flowq.flows.views.snapshot import read_view
from flowq.plan import Plan
from flowq.states import JobStatus
from flowq.store import Store
from tests.cli import samples
from tests.cli.conftest import Cli, Outcome
from tests.cli.manual_worker import HandWorker


def job_named(document: dict[str, list[dict[str, object]]], name: str) -> dict[str, object]:
    """Return a job of a status document."""
    return next(job for job in document["jobs"] if job["name"] == name)


# -- status -------------------------------------------------------------------------------------------------------------------


def test_status_of_a_waiting_run(cli: Cli, report: str) -> None:
    outcome = cli("status", report)
    assert outcome.code == 0
    assert f"run {report}  nightly-report  running" in outcome.out
    assert "no worker on queue default" in outcome.out
    assert "next: flowq worker default" in outcome.out
    assert outcome.err == ""


def test_status_json_follows_the_run(cli: Cli, report: str, worker: HandWorker) -> None:
    first = worker.claim()
    document = json.loads(cli("status", "--json").out)
    assert document["id"] == report
    assert document["counts"] == {"started": 1, "deferred": 8}
    assert job_named(document, "list-files")["status"] == "started"
    worker.finish(first, b'["a.csv"]')
    document = json.loads(cli("status", "--json").out)
    assert job_named(document, "list-files")["status"] == "finished"
    assert job_named(document, "fetch")["status"] == "queued"
    assert job_named(document, "backfill")["reason"] == "no_worker"
    assert job_named(document, "publish")["reason"] == "dependencies"


def test_status_shows_the_error_of_a_failed_job(cli: Cli, report: str, worker: HandWorker) -> None:
    worker.fail(worker.claim(), samples.TRACEBACK)
    outcome = cli("status", report)
    assert "ValueError: no template for de" in outcome.out
    assert "a job before it failed" in outcome.out
    assert f"flowq logs {report} list-files" in outcome.out
    assert f"flowq retry {report} --failed" in outcome.out
    assert cli("status", "--exit-status").code == 1
    failed = cli("status", "--failed").out
    assert "list-files" in failed
    assert "publish" not in failed
    assert json.loads(cli("status", "--json").out)["jobs"][0]["error"] == samples.TRACEBACK


def test_exit_status_of_an_active_run_is_not_success(cli: Cli, report: str) -> None:
    outcome = cli("status", "--exit-status")
    assert outcome.code == 1
    assert f"run {report} has not ended" in outcome.err


# -- which run ----------------------------------------------------------------------------------------------------------------


def test_runs_by_prefix_position_and_directory(cli: Cli, store: Store, report: str, tmp_path: Path) -> None:
    second = submit(store, samples.report_plan(), directory=tmp_path, run_id="7kaaaaaa")
    elsewhere = submit(store, samples.report_plan(), directory="/elsewhere", run_id="zzzzzzzz")

    def chosen(*argument: str) -> str:
        return str(json.loads(cli("status", "--json", *argument).out)["id"])

    assert chosen("7k2") == report
    assert chosen("7K2M9X0D") == report
    assert chosen() == second  # the latest of this directory, not of all
    assert chosen("@latest") == second
    assert chosen("@2") == report
    assert chosen("z") == elsewhere
    assert chosen(f"{report}-3") == report  # the id of one of its jobs


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("7", "fits several runs: `flowq status 7k2m9x0d`, `flowq status 7kaaaaaa`"),
        ("nope", "no run with the id 'nope'"),
        ("@9", "there is no run @9: there are only 2"),
        ("@0", "there is no run @0"),
        ("../x", "'../x' is not a run"),
        ("", "'' is not a run"),
        ("x\x1b[2J", "'x\\x1b[2J' is not a run"),
    ],
)
def test_arguments_that_name_no_run(cli: Cli, store: Store, report: str, tmp_path: Path, argument: str, words: str) -> None:
    submit(store, samples.report_plan(), directory=tmp_path, run_id="7kaaaaaa")
    outcome = cli("status", argument)
    assert outcome.code == 2
    assert outcome.err.startswith("error: ")
    assert words in outcome.err
    assert outcome.err.count("\n") == 1
    assert "\x1b" not in outcome.err
    assert report


def test_without_any_run(cli: Cli, store: Store) -> None:
    assert store.runs.recent() == []
    for name in ("why", "logs", "status", "cancel"):
        said = cli(name, "build").err
        assert said == "error: no run with the id 'build', and there is no run yet at all: `flowq run FILE` starts one\n", said
    for arguments in (["status"], ["logs"], ["retry", "--failed"], ["cancel"]):
        outcome = cli(*arguments)
        assert outcome.code == 2
        assert outcome.err.startswith("error: ")
    assert cli("runs").code == 0


# -- logs and results ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def printed(report: str, worker: HandWorker) -> str:
    """The sample after two jobs have printed; the second one has failed twice."""
    first = worker.claim()
    worker.print(first, "one\ntwo\n")
    worker.print(first, "oops\n", "err")
    worker.finish(first, b'{"path":"out/\xc2\x9b","n":[1,2.5,null]}')
    second = worker.claim()
    worker.print(second, "first try\n")
    worker.fail(second, "exit code 3", exit_code=3)
    third = worker.claim()
    assert third.id == second.id
    worker.print(third, "second try\n\x1b[31mred\x1b[0m\n")
    return report


def test_logs_of_all_jobs_in_order(cli: Cli, printed: str) -> None:
    outcome = cli("logs", printed)
    assert outcome.out.splitlines() == [
        "list-files | one",
        "list-files | two",
        "list-files | oops",
        "fetch | first try",
        "fetch | ── execution 2 ──",
        "fetch | second try",
        "fetch | red",
    ]
    assert cli("logs", printed, "fetch").out == "first try\n── execution 2 ──\nsecond try\nred\n"
    assert cli("logs", printed, "fetch", "--tail", "3").out == "first try\n── execution 2 ──\nsecond try\nred\n"
    assert cli("logs", printed, "fetch", "--tail", "2").out == "second try\nred\n"


def test_logs_of_one_job_are_its_lines(cli: Cli, printed: str) -> None:
    assert cli("logs", printed, "list-files").out == "one\ntwo\noops\n"
    assert cli("logs", printed, f"{printed}-0").out == "one\ntwo\noops\n"
    assert cli("logs", printed, "fetch", "--execution", "1").out == "first try\n"
    assert cli("logs", printed, "publish") == Outcome(0, "", "nothing was printed so far\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fetch"], "job fetch has had 2 executions so far; there is no execution 9"),
        (["publish"], "job publish has not been executed so far; there is no execution 9"),
        ([], "no job of these has had an execution 9; the most are 2, of fetch"),
    ],
)
def test_logs_of_an_attempt_that_there_is_not(cli: Cli, printed: str, arguments: list[str], words: str) -> None:
    outcome = cli("logs", printed, *arguments, "--execution", "9")
    assert (outcome.code, outcome.out, outcome.err) == (2, "", f"error: {words}\n")


def test_logs_tail_is_of_each_job(cli: Cli, printed: str) -> None:
    assert cli("logs", printed, "--tail", "1").out.splitlines() == ["list-files | oops", "fetch | red"]
    assert cli("logs", printed, "--tail", "0").out == ""


def test_logs_with_timestamps(cli: Cli, printed: str) -> None:
    lines = cli("logs", printed, "list-files", "--timestamps").out.splitlines()
    assert all(len(line.split("Z ", 1)[0]) == 23 and line[10] == "T" for line in lines)


def test_logs_as_json(cli: Cli, printed: str) -> None:
    found = [json.loads(line) for line in cli("logs", printed, "fetch", "--json").out.splitlines()]
    assert [(item["execution"], item["stream"], item["line"]) for item in found] == [
        (1, "out", "first try"),
        (2, "out", "second try"),
        (2, "out", "red"),
    ]
    assert {(item["run"], item["job"], item["id"]) for item in found} == {(printed, "fetch", f"{printed}-1")}
    assert all(datetime.fromisoformat(item["at"]).tzinfo == UTC for item in found)


def test_logs_that_contain_a_text(cli: Cli, printed: str) -> None:
    assert cli("logs", printed, "--grep", "try").out.splitlines() == ["fetch | first try", "fetch | second try"]
    assert cli("logs", printed, "--grep", "try", "--tail", "1").out.splitlines() == ["fetch | second try"]
    assert cli("logs", printed, "--grep", ".*").out == "", "it is no pattern"


def test_logs_since_a_time(cli: Cli, printed: str) -> None:
    everything = cli("logs", printed).out
    lines = [json.loads(line) for line in cli("logs", printed, "--json").out.splitlines()]
    assert cli("logs", printed, "--since", "1h").out == everything
    assert cli("logs", printed, "--since", "2020-01-01").out == everything
    assert cli("logs", printed, "--since", "2100-01-01T00:00+01:00").out == ""
    assert cli("logs", printed, "--since", lines[0]["at"]).out == everything
    for wrong in ("yesterday", "2026-13-01", "never", "-5m"):
        outcome = cli("logs", printed, "--since", wrong)
        assert (outcome.code, "--since" in outcome.err) == (2, True), wrong


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "Pacific/Niue", "UTC", "local"])
def test_times_are_shown_in_a_zone(cli: Cli, printed: str, zone: str, store: Store) -> None:
    """The same moments as in UTC, and columns as wide as the times are."""
    created = store.runs.require(printed).created_ms
    shown = clock(created, zone)
    assert zone == "UTC" or datetime.fromisoformat(shown).timestamp() == created // 1000
    table = cli("runs", "--tz", zone).out.splitlines()
    assert table[0].index("TOOK") - table[0].index("STARTED") == len(shown) + 4
    assert shown in table[1]
    assert f"started {shown}" in cli("status", printed, "--tz", zone).out
    first = cli("logs", printed, "list-files", "--timestamps", "--tz", zone).out.splitlines()[0].removesuffix(" one")
    in_json = json.loads(cli("logs", printed, "list-files", "--json", "--tz", zone).out.splitlines()[0])
    assert datetime.fromisoformat(first) == datetime.fromisoformat(in_json["at"])
    assert in_json["at"].endswith("Z"), "documents are in UTC"


def test_a_zone_that_there_is_not(cli: Cli, printed: str) -> None:
    outcome = cli("status", printed, "--tz", "Europe/Atlantis")
    assert outcome.code == 2
    assert "there is no time zone 'Europe/Atlantis' here, expected local, UTC or a name such as Europe/Berlin" in outcome.err


def test_logs_of_failed_jobs(cli: Cli, printed: str, worker: HandWorker) -> None:
    assert f"no job of run {printed} has failed" in cli("logs", "--failed").err
    assert worker.latest is not None
    worker.fail(worker.latest, "exit code 3", exit_code=3)
    last = worker.claim()
    worker.print(last, "third try\n")
    worker.fail(last, "exit code 3", exit_code=3)
    lines = cli("logs", "--failed").out.splitlines()
    assert lines[0] == "fetch | first try"
    assert lines[-1] == "fetch | third try"
    assert not any("list-files" in line for line in lines)


def test_logs_of_an_unknown_job_name_the_nearest(cli: Cli, printed: str) -> None:
    outcome = cli("logs", printed, "list-file")
    assert outcome.code == 2
    assert "did you mean 'list-files'?" in outcome.err


def test_result_of_a_job(cli: Cli, printed: str) -> None:
    outcome = cli("result", printed, "list-files")
    assert outcome.code == 0
    assert json.loads(outcome.out) == {"path": "out/\x9b", "n": [1, 2.5, None]}
    assert "\x9b" not in outcome.out
    refused = cli("result", printed, "publish")
    assert refused.code == 2
    assert "has no result, it is deferred" in refused.err


def test_result_of_a_matrix_is_a_list_in_expansion_order(
    cli: Cli, submit_plan: Callable[[Plan], str], worker: HandWorker
) -> None:
    node = samples.node("build", 1, queue="cpu", matrix=True)
    cells = samples.matrix_cells(0, 0, "build", [{"n": "0"}, {"n": "1"}, {"n": "2"}], ())
    run = submit_plan(Plan(name="cells", nodes=(node,), cells=tuple(cells)))
    for _ in range(2):
        claim = worker.claim()
        worker.finish(claim, json.dumps({"cell": claim.ordinal}).encode())
    assert json.loads(cli("result", run, "build").out) == [{"cell": 0}, {"cell": 1}, None]
    assert json.loads(cli("result", run, "build[n=1]").out) == {"cell": 1}
    assert json.loads(cli("result", run, f"{run}-1").out) == {"cell": 1}


# -- cancel and retry -----------------------------------------------------------------------------------------------------------------


def test_cancel_a_run(cli: Cli, report: str, store: Store) -> None:
    outcome = cli("cancel")
    assert outcome.code == 0
    assert f"canceling run {report}" in outcome.out
    record = store.runs.require(report)
    assert record.status == "canceled"
    assert cli("status", "--exit-status").code == 4
    again = cli("cancel", report)
    assert again.code == 2
    assert "cannot cancel" in again.err


def test_cancel_one_job(cli: Cli, report: str, store: Store) -> None:
    assert "canceling publish" in cli("cancel", report, "--job", "publish").out
    assert "4 jobs" in cli("cancel", report, "--job", "build").out
    statuses = {job.name: job.status for job in read_view(store, report).jobs}
    assert statuses["publish"] is JobStatus.CANCELED
    assert statuses["build[fmt=pdf,lang=en]"] is JobStatus.CANCELED
    assert statuses["list-files"] is JobStatus.QUEUED
    assert "has already ended" in cli("cancel", report, "--job", "publish").err


def test_retry_shows_the_jobs_to_run_again_and_why(cli: Cli, report: str, worker: HandWorker, store: Store) -> None:
    worker.finish(worker.claim())
    assert cli("retry", report, "--failed").code == 2  # it still runs
    store.runs.cancel(report)
    outcome = cli("retry", "--failed", "--dry-run")
    assert outcome.code == 0
    assert f"attempt 2 of run {report} would run again 8 jobs:" in outcome.out
    assert "list-files" not in outcome.out
    document = json.loads(cli("retry", report, "--failed", "--dry-run", "--json").out)
    assert document["attempt"] == 2
    assert document["jobs"][0]["name"] == "fetch"
    assert store.runs.require(report).attempt == 1
    assert cli("retry", report).code == 2


def test_retry_detached_on_a_configured_server(cli: Cli, report: str, store: Store) -> None:
    store.runs.cancel(report)
    outcome = cli("retry", report, "--failed", "--detach")
    assert outcome.code == 0
    assert outcome.out == f"{report}\n"
    assert "no worker listens on queues 'cpu', 'default', 'gpu'" in outcome.err
    assert store.runs.require(report).attempt == 2


# -- history ------------------------------------------------------------------------------------------------------------------


def test_runs_newest_first_with_filters(cli: Cli, store: Store, report: str, tmp_path: Path) -> None:
    second = submit(store, samples.report_plan(), directory=tmp_path, run_id="7kaaaaaa")
    store.runs.cancel(report)
    lines = cli("runs").out.splitlines()
    assert lines[0].split() == ["RUN", "FLOW", "STATUS", "STARTED", "TOOK", "JOBS"]
    assert [line.split()[0] for line in lines[1:]] == [second, report]
    assert [item["id"] for item in json.loads(cli("runs", "--json", "--status", "canceled").out)] == [report]
    assert json.loads(cli("runs", "--json", "--flow", "other").out) == []
    assert len(json.loads(cli("runs", "--json", "--limit", "1").out)) == 1


def test_run_starts_no_worker_on_a_configured_server(cli: Cli, report: str) -> None:
    outcome = cli("run", "--resume", report, "--workers", "2")
    assert outcome.code == 2
    assert "flowq worker -c N" in outcome.err
