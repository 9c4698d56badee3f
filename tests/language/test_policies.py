"""Retries with filters, delays, limits of time and number, approvals."""

import json
from itertools import pairwise

import pytest

from flowq.flows.actions.retry import plan_retry
from tests.language.lab import Lab, Started
from tests.support.wait import until


def attempts(run: Started, job: str = "a") -> tuple[str, int]:
    view = run.job(job)
    return str(view.status), view.attempts


@pytest.mark.parametrize(
    ("on", "kind", "expected"),
    [
        ("failure", "temporary", ("finished", 2)),
        ("timeout", "temporary", ("failed", 1)),
        ("TemporaryError", "temporary", ("finished", 2)),
        ("OSError", "temporary", ("finished", 2)),
        ("language_jobs.TemporaryError", "temporary", ("finished", 2)),
        ("TemporaryError", "value", ("failed", 1)),
        ("[timeout, ValueError]", "value", ("finished", 2)),
        ("abandoned", "value", ("failed", 1)),
    ],
)
def test_retry_on_exceptions(lab: Lab, on: str, kind: str, expected: tuple[str, int]) -> None:
    run = lab.run(f"jobs:\n  a: {{retry: {{max: 3, on: {on}}}, call: 'language_jobs:fail_until', args: [count, 1, {kind}]}}")
    assert attempts(run) == expected


@pytest.mark.parametrize(("on", "expected"), [("3", ("failed", 3)), ("[2, 3]", ("failed", 3)), ("4", ("failed", 1))])
def test_retry_on_exit_codes(lab: Lab, on: str, expected: tuple[str, int]) -> None:
    assert attempts(lab.run(f"jobs:\n  a: {{retry: {{max: 2, on: {on}}}, run: exit 3}}")) == expected


@pytest.mark.parametrize(("on", "expected"), [("timeout", ("failed", 2)), ("failure", ("failed", 1))])
def test_retry_on_timeout(lab: Lab, on: str, expected: tuple[str, int]) -> None:
    assert attempts(lab.run(f"jobs:\n  a: {{timeout: 0.2, retry: {{max: 1, on: {on}}}, run: sleep 20}}")) == expected


def test_backoff_grows_up_to_its_limit(lab: Lab) -> None:
    run = lab.run(
        "jobs:\n  a: {retry: {max: 3, interval: 0.1, backoff: 2, max_interval: 0.3}, call: 'language_jobs:fail_at', args: [times]}"
    )
    times = [int(line) / 1e9 for line in (lab.directory / "times").read_text().split()]
    waits = [later - earlier for earlier, later in pairwise(times)]
    assert len(waits) == 3
    assert all(wait >= least for wait, least in zip(waits, (0.1, 0.2, 0.3), strict=True))
    assert attempts(run) == ("failed", 4)


def test_retries_have_jitter(lab: Lab) -> None:
    run = lab.start(
        "jobs:\n  a: {matrix: {n: [1, 2, 3, 4, 5, 6, 7, 8]}, run: exit 3, retry: {max: 1, interval: 1h, jitter: 0.25}}"
    )
    records = [lab.store.jobs.get(run.until_job(f"a[n={number}]", "scheduled").id) for number in range(1, 9)]
    waits = [
        (record.due_ms - record.ended_ms) / 3_600_000 for record in records if record and record.due_ms and record.ended_ms
    ]
    lab.store.runs.cancel(run.id)
    run.ended()
    assert len(waits) == 8
    assert all(0.75 <= wait <= 1.25 for wait in waits), waits
    assert len({round(wait, 4) for wait in waits}) > 1, "not all at once"


def test_delay_and_ttl(lab: Lab) -> None:
    run = lab.start(
        """
        jobs:
          delayed: {delay: 0.3, run: 'true'}
          expired: {ttl: 0.2, queue: unserved, run: 'true'}
          below: {depends_on: {expired: failure}, run: 'true'}
        """
    )
    assert run.until_job("delayed", "scheduled").due_ms is not None
    run.ended()
    assert run.states() == {"delayed": "finished", "expired": "failed/expired", "below": "finished"}


def test_priority_and_at_front(lab: Lab) -> None:
    """All slots are held until all jobs wait; then one job runs at a time, in the order of the queue."""
    run = lab.start(
        """
        jobs:
          hold: {priority: 100, matrix: {n: [1, 2, 3, 4, 5]}, call: 'language_jobs:wait_for', args: [never]}
          last: {priority: 50, call: 'language_jobs:wait_for', args: [go]}
          low: {priority: -1, run: echo low >> order}
          normal: {run: echo normal >> order}
          front: {at_front: true, run: echo front >> order}
          high: {priority: 5, run: echo high >> order}
        """
    )
    for name in (*(f"hold[n={number}]" for number in range(1, 6)), "last"):
        run.until_job(name, "started")
    for name in ("low", "normal", "front", "high"):
        run.until_job(name, "queued")
    (lab.directory / "go").touch()
    for name in ("low", "normal", "front", "high"):
        run.until_job(name, "finished")
    assert (lab.directory / "order").read_text().split() == ["high", "front", "normal", "low"]
    lab.store.runs.cancel(run.id)
    run.ended()


def test_concurrency_of_jobs_over_runs(lab: Lab) -> None:
    text = """
        params: {source: {}}
        jobs:
          a: {matrix: {n: [1, 2, 3, 4]}, concurrency: {group: "db-${{ params.source }}", max: 2}, call: 'language_jobs:concurrent', args: [here]}
        """
    runs = [lab.start(text, {"source": "x"}), lab.start(text, {"source": "x"})]
    found = [number for run in runs for number in run.ended().result("a")]
    assert len(found) == 8
    assert max(found) <= 2


def test_concurrency_with_a_value_of_the_run(lab: Lab) -> None:
    run = lab.run(
        """
        jobs:
          list: {call: 'language_jobs:give', args: [[{db: x}, {db: y}, {db: x}, {db: y}]]}
          each: {depends_on: list, foreach: jobs.list.result, concurrency: {group: "db-${{ item.db }}"}, call: 'language_jobs:concurrent', args: ["${{ item.db }}"]}
        """
    )
    assert run.result("each") == [1, 1, 1, 1]


HELD = """
params: {{file: {{}}}}
concurrency: {{group: g-{name}, max: 1, on_conflict: {conflict}}}
jobs: {{a: {{call: 'language_jobs:wait_for', args: ["${{{{ params.file }}}}"]}}}}
"""


def conflict(lab: Lab, how: str) -> tuple[Started, Started]:
    text = HELD.format(name=how, conflict=how)
    first = lab.start(text, {"file": "one"})
    first.until_job("a", "started")
    (lab.directory / "two").touch()
    return first, lab.start(text, {"file": "two"})


def test_runs_queue(lab: Lab) -> None:
    first, second = conflict(lab, "queue")
    assert second.status == "queued"
    (lab.directory / "one").touch()
    assert first.ended().status == "finished"
    assert second.ended().status == "finished"


def test_runs_skip(lab: Lab) -> None:
    first, second = conflict(lab, "skip")
    assert second.ended().status == "skipped"
    assert second.states() == {"a": "skipped/concurrency"}
    (lab.directory / "one").touch()
    assert first.ended().status == "finished"


def test_runs_fail(lab: Lab) -> None:
    first, second = conflict(lab, "fail")
    assert second.ended().status == "failed"
    (lab.directory / "one").touch()
    assert first.ended().status == "finished"


def test_runs_cancel_running_ones(lab: Lab) -> None:
    first, second = conflict(lab, "cancel_running")
    assert first.ended().status == "canceled"
    assert second.ended().status == "finished"


APPROVAL = """
params: {day: {default: friday}}
jobs:
  build: {run: 'true'}
  ask: {depends_on: build, approval: {message: "Publish ${{ params.day }}?", timeout: TIMEOUT}}
  publish: {depends_on: ask, call: 'language_jobs:give', args: ["${{ jobs.ask.status }}"]}
  excuse: {depends_on: {ask: failure}, run: 'true'}
"""


def waiting(lab: Lab, timeout: str = "1d") -> Started:
    run = lab.start(APPROVAL.replace("TIMEOUT", timeout))
    run.until_job("ask", "deferred/approval")
    return run


def test_an_approval_waits_and_records_who_decided(lab: Lab) -> None:
    run = waiting(lab)
    asked = run.job("ask")
    assert asked.approval is not None
    assert asked.approval.message == "Publish friday?"
    lab.store.jobs.approve(asked.id, json.dumps({"by": "ann"}).encode(), by="ann", comment="fine")
    run.ended()
    decided = run.job("ask").approval
    assert decided is not None
    assert (decided.by, decided.comment) == ("ann", "fine")
    assert decided.at_ms is not None
    assert run.states() == {
        "build": "finished", "ask": "finished", "publish": "finished", "excuse": "skipped/upstream_finished",
    }  # fmt: skip


def test_a_rejected_approval(lab: Lab) -> None:
    run = waiting(lab)
    lab.store.jobs.reject(run.job("ask").id, b"not today", by="ann")
    run.ended()
    states = run.states()
    assert states["ask"].startswith("failed/")
    assert states["publish"] == "skipped/upstream_failed"
    assert states["excuse"] == "finished"


def test_an_approval_without_a_decision(lab: Lab) -> None:
    run = waiting(lab, "0.3")
    run.ended()
    assert run.states()["ask"].startswith("failed/")
    assert run.status == "failed"


def test_an_approval_holds_no_slot(lab: Lab) -> None:
    run = lab.start(
        """
        jobs:
          ask: {matrix: {n: [1, 2, 3, 4, 5, 6, 7, 8]}, approval: "Number ${{ matrix.n }}?"}
          work: {run: 'true'}
        """
    )
    for number in range(1, 9):
        run.until_job(f"ask[n={number}]", "deferred/approval")
    run.until_job("work", "finished")
    lab.store.runs.cancel(run.id)
    assert run.ended().status == "canceled"


def test_a_canceled_run_does_not_wait_for_decisions(lab: Lab) -> None:
    run = waiting(lab)
    lab.store.runs.cancel(run.id)
    assert run.ended().status == "canceled"
    assert run.states()["ask"].startswith("canceled")


KEPT = """
retention: RETENTION
jobs:
  short: {result_ttl: 0.3, call: 'language_jobs:give', args: [1]}
  long: {result_ttl: 1h, call: 'language_jobs:give', args: [2]}
  bad: {result_ttl: 0.3, failure_ttl: 1h, run: exit 1}
  short-bad: {failure_ttl: 0.6, allow_failure: true, run: exit 1}
  each: {foreach: range(150), result_ttl: 0.3, if: 1 == 1, call: 'language_jobs:give', args: ["${{ item }}"]}
  after: {depends_on: [short, long], call: 'language_jobs:give', args: [["${{ jobs.short.result }}", "${{ jobs.long.result }}"]]}
  slow: {depends_on: [after], run: sleep 0.5}
"""


def gone(run: Started) -> set[str]:
    return {job.name for job in run.view.jobs if job.status is None}


def test_results_are_kept_for_their_ttl_after_the_end_of_the_run(lab: Lab) -> None:
    run = lab.run(KEPT.replace("RETENTION", "1d"))
    assert run.status == "failed"
    assert run.states()["after"] == "finished", "the ttl begins at the end of the run, so that jobs that need a result have it"
    cells = {f"each[{n}]" for n in range(150)}
    until(lambda: gone(run) == {"short", "short-bad"} | cells, timeout=20)
    assert run.result("short") is None
    assert run.result("long") == 2
    assert run.job("bad").error_line == "exit code 1"
    assert (run.status, run.warnings) == ("failed", 1)
    assert sum(lab.store.runs.require(run.id).counts.values()) == 156, "the run still counts all that it had"
    assert [name for name, _ in plan_retry(lab.store, run.id).jobs] == ["bad"]
    run.retry().ended()
    assert gone(run) == {"short", "short-bad"} | cells, "a retry brings nothing back that is gone"
    assert run.job("bad").status == "failed"


def test_a_retry_in_time_keeps_the_results_it_needs(lab: Lab) -> None:
    text = KEPT.replace("RETENTION", "1d").replace("0.3", "2").replace("0.6", "2").replace("range(150)", "range(2)")
    run = lab.run(text.replace("sleep 0.5", "'if [ ${{ run.attempt }} = 1 ]; then exit 1; fi'"))
    run.retry().ended()
    assert gone(run) == set()
    assert run.result("after") == [1, 2]
    until(lambda: "short" in gone(run), timeout=20)


def test_the_record_of_a_run_expires_with_its_retention(lab: Lab) -> None:
    run = lab.run(KEPT.replace("RETENTION", "0.2").replace("range(150)", "range(3)"))
    until(lambda: lab.store.runs.get(run.id) is None, timeout=20)
    until(lambda: not [key for key in lab.store.client.scan_iter(count=5000) if run.id.encode() in key], timeout=20)


def test_only_listed_exit_codes_are_allowed(lab: Lab) -> None:
    run = lab.run(
        """
        defaults: {allow_failure: {exit_codes: [2, 3]}}
        jobs:
          two: {run: exit 2}
          three: {run: ["sh", "-c", "exit 3"]}
          retried: {retry: 1, run: exit 2}
          four: {run: exit 4}
          killed: {run: kill -9 $$}
          slow: {timeout: 0.2, run: sleep 20}
          raised: {call: 'language_jobs:fail'}
          below: {depends_on: [two, three, retried], run: 'true'}
        """
    )
    assert run.states() == {
        "two": "allowed/error", "three": "allowed/error", "retried": "allowed/error", "four": "failed/error",
        "killed": "failed/killed", "slow": "failed/timeout", "raised": "failed/error", "below": "finished",
    }  # fmt: skip
    assert attempts(run, "retried") == ("failed", 2), "what is allowed is tried again all the same"
    assert (run.status, run.warnings) == ("failed", 3)


def test_two_runs_of_a_group_at_once(lab: Lab) -> None:
    text = HELD.format(name="two", conflict="queue").replace("max: 1", "max: 2")
    runs = [lab.start(text, {"file": f"go-{number}"}) for number in range(4)]
    for run in runs[:2]:
        run.until_job("a", "started")
    assert [run.status for run in runs] == ["running", "running", "queued", "queued"]
    (lab.directory / "go-1").touch()
    runs[2].until_job("a", "started")
    assert [run.status for run in runs] == ["running", "finished", "running", "queued"]
    for number in (0, 2, 3):
        (lab.directory / f"go-{number}").touch()
    assert {run.ended().status for run in runs} == {"finished"}
    assert lab.store.semaphores.holders("run/g-two") == []


def test_failed_canceled_and_timed_out_runs_leave_their_group(lab: Lab) -> None:
    for number, jobs in enumerate(("{run: exit 1}", "{run: sleep 20}", "{run: sleep 20}")):
        limit = "timeout: 0.3\n" if number == 1 else ""
        run = lab.start(f"{limit}concurrency: {{group: g-left}}\njobs: {{a: {jobs}}}")
        if number == 2:
            run.until_job("a", "started")
            lab.store.runs.cancel(run.id)
        assert run.ended().status == ("canceled" if number == 2 else "failed")
        assert lab.store.semaphores.holders("run/g-left") == []


def test_jobs_that_wait_for_a_place_are_canceled_with_their_run(lab: Lab) -> None:
    text = "jobs:\n  a: {concurrency: {group: g-waits}, call: 'language_jobs:wait_for', args: [never]}"
    first = lab.start(text)
    first.until_job("a", "started")
    second = lab.start(text)
    second.until_job("a", "deferred/concurrency")
    lab.store.runs.cancel(second.id)
    assert second.ended().states() == {"a": "canceled/run_canceled"}
    assert lab.store.semaphores.waiters("job/g-waits") == []
    lab.store.runs.cancel(first.id)
    first.ended()
    assert lab.store.semaphores.holders("job/g-waits") == []


CLEANING = "trap 'sleep 0.3 & wait; touch DIRECTORY/clean; exit 1' TERM; while :; do sleep 0.05; done"


@pytest.mark.parametrize(("text", "cleaned"), [("", True), ("stop_grace: 20", True), ("stop_grace: 0.05", False)])
def test_a_job_over_its_timeout_may_clean_up(lab: Lab, text: str, cleaned: bool) -> None:
    script = json.dumps(CLEANING.replace("DIRECTORY", str(lab.directory)))
    run = lab.run(f"defaults: {{{text}}}\njobs:\n  a: {{timeout: 1.5, run: {script}}}")
    assert (run.job("a").reason, (lab.directory / "clean").exists()) == ("timeout", cleaned)


def test_a_canceled_job_that_ignores_the_signal_is_killed_after_its_grace(lab: Lab) -> None:
    run = lab.start("jobs:\n  a: {stop_grace: 100ms, run: \"trap '' TERM; touch begun; while :; do sleep 0.05; done\"}")
    until((lab.directory / "begun").exists)
    lab.store.runs.cancel(run.id)
    assert run.ended().job("a").reason == "run_canceled"
