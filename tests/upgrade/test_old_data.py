"""A data directory of f5782f9 is read, executed, approved, retried, explained and drawn by today's flowq."""

import copy
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import flowq
from flowq.cron import get_cron_job_ids
from flowq.exceptions import NoSuchRunError
from flowq.rate_limit import RateLimitRegistry
from flowq.store import Store
from tests.support.wait import until
from tests.upgrade.conftest import ENDS, SEALED, After, Reads, still_open
from tests.upgrade.old_home import EXPECTED, OldHome, contained
from tests.upgrade.picture import describe_job, describe_queues, lasting
from tests.upgrade.place import KEY, SIGNED

pytestmark = pytest.mark.slow

META = "{flowq}:meta"


# -- read ---------------------------------------------------------------------------------------------------------------------


def test_all_attributes_of_all_jobs_are_unchanged(opened: OldHome) -> None:
    jobs = flowq.Job.fetch_many(EXPECTED["jobs"], opened.client)
    found = {job.id: describe_job(job) for job in jobs if job is not None}
    assert contained(_told_today(EXPECTED["jobs"]), found) == []
    assert {job["status"] for job in found.values()} == {
        *("created", "queued", "started", "deferred", "scheduled", "rate_limited"),
        *("finished", "failed", "stopped", "canceled", "skipped"),
    }


def _told_today(jobs: dict[str, Any]) -> dict[str, Any]:
    """Return what f5782f9 told of its jobs as it is told now, closer to RQ.

    Errors end with a line break, a planned retry is counted, and the interval before a repetition is used up.
    """
    told = {name: {**job, "exc_info": job["exc_info"] and job["exc_info"] + "\n"} for name, job in jobs.items()}
    told["retrying"] |= {"number_of_retries": 1, "retries_left": 2}
    told["repeated"] |= {"repeat_intervals": told["repeated"]["repeat_intervals"][1:]}
    return told


def test_times_are_datetimes_in_utc(opened: OldHome) -> None:
    job = flowq.Job.fetch("finished", opened.client)
    times = [job.created_at, job.enqueued_at, job.started_at, job.ended_at]
    assert all(isinstance(time, datetime) and time.utcoffset() == timedelta(0) for time in times)
    scheduled = flowq.Queue("later", opened.client).scheduled_job_registry
    assert scheduled.get_scheduled_time("scheduled") == datetime(2100, 1, 1, tzinfo=UTC)


def test_every_job_is_in_its_registry(opened: OldHome) -> None:
    later = EXPECTED["queues"]["later"]
    as_in_rq = {
        "deferred": sorted([*later["deferred"], "skipped"]),
        "counts": later["counts"] | {"deferred": len(later["deferred"]) + 1},
    }
    expected = EXPECTED["queues"] | {"later": later | as_in_rq}
    assert contained(expected, describe_queues(flowq.Queue.all(opened.client))) == []


def test_groups_limits_and_cron_entries_exist(opened: OldHome) -> None:
    assert flowq.Group.fetch("album", opened.client).counts == {"finished": 1, "queued": 1}
    (limit,) = RateLimitRegistry.all(connection=opened.client)
    assert (limit.key, sorted(limit.get_rate_limited_job_ids())) == ("narrow", ["limited-1", "limited-2"])
    assert get_cron_job_ids("work.add", connection=opened.client) == flowq.Queue("cron", opened.client).job_ids


def test_runs_and_their_jobs_are_unchanged(opened: OldHome, reads: Reads) -> None:
    assert {run["id"] for run in json.loads(reads(opened, "runs", "--json"))} == set(EXPECTED["runs"])
    # What f5782f9 told of a run that waits for its group is told now as the pages said: its first job waits for that, too.
    waits = copy.deepcopy(EXPECTED["runs"]["secondly"])
    waits["jobs"][0]["reason"] = "concurrency"
    for run, expected in (EXPECTED["runs"] | {"secondly": waits}).items():
        assert contained(expected, lasting(json.loads(reads(opened, "status", run, "--json"))), run) == []


def test_logs_and_results_are_unchanged(opened: OldHome, reads: Reads) -> None:
    for run, text in EXPECTED["logs"].items():
        assert reads(opened, "logs", run) == text
    for job, value in EXPECTED["results"].items():
        assert json.loads(reads(opened, "result", "finished", job)) == value


@pytest.mark.parametrize("run", EXPECTED["runs"])
def test_each_run_is_listed_explained_and_drawn(opened: OldHome, reads: Reads, run: str) -> None:
    assert run in reads(opened, "runs")
    names = [job["name"] for job in EXPECTED["runs"][run]["jobs"]]
    assert names[0] in reads(opened, "status", run)
    for name in names:
        assert name in reads(opened, "why", run, name)
    assert names[0].partition("[")[0] in reads(opened, "graph", run)
    assert "<svg" in reads(opened, "graph", run, "--format", "svg")
    jobs = EXPECTED["runs"][run]["jobs"]
    barred = [job["name"] for job in jobs if job["started_at"] is not None or job.get("reason") == "approval"]
    drawn = reads(opened, "graph", run, "--gantt")
    assert all(name in drawn for name in barred)
    assert barred or "nothing of this run has been executed yet" in drawn


def test_queues_and_the_suspension_are_shown(opened: OldHome, reads: Reads) -> None:
    text = reads(opened, "info")
    assert "later" in text
    assert "halfdone" in text
    assert json.loads(reads(opened, "info", "--json"))
    assert "suspended" in reads(opened, "why", "retrying", "second")
    assert "suspended" in reads(opened, "doctor")


def test_the_invariants_of_the_store_hold(opened: OldHome) -> None:
    opened.check()


# -- changed by commands -----------------------------------------------------------------------------------------------------------


def test_gc_and_delete_remove_ended_runs(fresh: OldHome) -> None:
    assert "removed 1 run (retention has passed): shortest" in fresh.call("gc")
    fresh.call("delete", "canceled")
    assert "finished" in fresh.call("gc", "--keep", "0")
    left = {run["id"] for run in json.loads(fresh.call("runs", "--json"))}
    assert left == set(EXPECTED["runs"]) - {"shortest", "canceled", "finished"}


def test_waiting_runs_and_jobs_can_be_canceled_and_deleted(fresh: OldHome) -> None:
    for run in ("secondly", "firstone", "approval", "halfdone"):
        fresh.call("cancel", run)
    statuses = {run["id"]: run["status"] for run in json.loads(fresh.call("runs", "--json"))}
    assert {statuses[run] for run in ("secondly", "approval")} == {"canceled"}
    flowq.Job.fetch("scheduled", fresh.client).cancel()
    flowq.Job.fetch("limited-0", fresh.client).delete()
    assert flowq.Job.fetch("limited-1", fresh.client).get_status() == "queued"
    flowq.Queue("later", fresh.client).empty()
    assert flowq.Job.fetch("deferred", fresh.client).is_skipped


def test_a_newer_schema_is_refused_with_a_sentence(fresh: OldHome) -> None:
    fresh.call("runs")
    schema = int(fresh.client.hget(META, "schema") or 0)
    fresh.client.hset(META, "schema", schema + 1)
    for code, *command in ((6, "worker", "later"), (6, "runs"), (6, "enqueue", "work.add")):
        said = fresh.call(*command, code=code)
        assert f"has schema {schema + 1}, this flowq works with schema {schema}: a newer flowq wrote it" in said
        assert "Traceback" not in said
    fresh.client.hset(META, "schema", schema)


def test_a_worker_ends_when_the_data_is_taken_over_by_a_newer_schema(fresh: OldHome) -> None:
    """A version that raises the schema renews the incarnation in the same step: running workers compare that."""
    worker = fresh.start("worker", "nothing", "--name", "surprised")
    until(lambda: fresh.client.zscore("{flowq}:workers", "surprised"), message="the worker")
    schema = fresh.client.hget(META, "schema") or b""
    fresh.client.hset(META, mapping={"schema": "1000000", "incarnation": "of a newer flowq"})
    assert worker.wait() == 6
    fresh.client.hset(META, "schema", schema)
    assert "the data of namespace 'flowq' was taken over by a newer flowq: it has schema 1000000 now" in worker.err
    assert "Traceback" not in worker.err


# -- executed ------------------------------------------------------------------------------------------------------------------


def test_every_job_ends(after: After) -> None:
    assert still_open(after.home) == {}


def test_the_values_of_plain_jobs(after: After) -> None:
    jobs = {job.id: job for job in flowq.Job.fetch_many(ENDS, after.home.client) if job is not None}
    values = {name: jobs[name].result for name in ("queued", "deferred", "due", "json", "created", "member-2", "limited-2")}
    assert values == {"queued": 4, "deferred": 7, "due": 8, "json": 16, "created": 12, "member-2": 9, "limited-2": 2}
    assert (jobs["retrying"].result, jobs["restarted"].result) == ("mended", "restarted by flowq-f5782f9")
    assert [result.return_value for result in jobs["repeated"].results()] == [2, 2, 2]
    assert [result.type.name for result in jobs["failed"].results()] == ["FAILED", "FAILED"]
    assert (jobs["started"].exc_info or "").startswith(
        "AbandonedJobError: the worker old-worker that executed this job was lost"
    )
    assert flowq.Group.fetch("album", after.home.client).status == "finished"
    assert {flowq.Job.fetch(job, after.home.client).result for job in get_cron_job_ids("work.add", after.home.client)} == {23}


def test_callbacks_and_webhooks_are_called(after: After, place: Path) -> None:
    assert (place / "success-queued").read_text("utf-8") == "4"
    assert (place / "failure-started").read_text("utf-8") == "AbandonedJobError"
    (request,) = after.asked
    assert (request.method, request.path) == ("POST", "http://receiver.invalid/done")
    assert (request.headers["X-Fixture"], request.document["job_id"]) == ("f5782f9", "announced")


def test_the_approved_run_continues(after: After, reads: Reads) -> None:
    assert reads(after.home, "logs", "approval", "publish") == "published by reader\n"
    assert after.statuses("lapsing1") == {"sign-off": "failed", "publish": "skipped", "forget": "finished"}


def test_the_foreach_goes_on_and_finishes(after: After, reads: Reads) -> None:
    assert json.loads(reads(after.home, "result", "halfdone", "word")) == "abcdef"
    attempts = {job.name: job.attempts for job in after.run("halfdone").view().jobs}
    assert [attempts[f"each[{index}]"] for index in range(6)] == [1, 1, 2, 2, 1, 1]
    assert "each[5]" in reads(after.home, "graph", "halfdone", "--gantt")


def test_limits_let_the_others_in(after: After, reads: Reads) -> None:
    assert set(after.statuses("firstone").values()) == {"finished"}
    assert reads(after.home, "logs", "secondly", "turn") == "it is the turn of secondly\n"


def test_the_retry_that_was_on_its_way_goes_on(after: After) -> None:
    assert after.run("retrying").view().attempt == 2
    assert list(after.statuses("retrying").values()) == ["finished", "finished", "finished", "skipped"]


def test_handlers_run_and_the_time_of_a_run_ends(after: After, reads: Reads) -> None:
    assert after.statuses("handlers") == {"work": "failed", "on_failure/page": "finished", "on_exit/clean": "finished"}
    assert reads(after.home, "logs", "handlers", "on_failure/page") == "failed work\n"
    assert [(job.name, job.reason) for job in after.run("timedout").view().bad_jobs] == [("slow", "run_timeout")]
    assert reads(after.home, "logs", "timedout", "on_exit/clean") == "clean after failed\n"


def test_the_signed_run_is_retried_and_the_signed_job_executed(after: After, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWQ_SECRET_KEY", KEY)
    signed = Store(after.home.client, namespace=SIGNED)
    run = flowq.Run.fetch("signedno", connection=signed).view()
    assert [str(job.status) for job in run.jobs] == ["finished", "finished", "finished", "skipped"]
    job = flowq.Job.fetch("sealed", signed)
    assert (job.kwargs, job.result) == ({"left": 20, "right": 22}, 42)


def test_the_signed_run_is_refused_with_another_key(fresh: OldHome) -> None:
    said = fresh.call("retry", "signedno", "--failed", code=1, env={**SEALED, "FLOWQ_SECRET_KEY": "a key of another user"})
    assert "the signature of the plan of run signedno is wrong" in said


def test_the_earlier_result_is_taken_over(after: After) -> None:
    assert 'cache hit: key "2026-01-31" unchanged since run finished' in after.again


def test_runs_whose_retention_has_passed_are_gone(after: After) -> None:
    with pytest.raises(NoSuchRunError):
        after.run("shortest")


def test_the_canceled_run_is_retried(after: After) -> None:
    assert "2 finished" in after.home.call("retry", "canceled", "--failed")
    assert after.statuses("canceled") == {"turn": "finished", "after": "finished"}


def test_each_run_is_explained_and_drawn_at_its_end(after: After, reads: Reads) -> None:
    for run in ("halfdone", "firstone", "timedout"):
        name, status = next(iter(after.statuses(run).items()))
        assert f"{name} {status}" in reads(after.home, "why", run, name)
        assert "critical path" in reads(after.home, "graph", run, "--gantt")


def test_the_invariants_of_the_store_hold_at_the_end(after: After) -> None:
    after.home.check()
