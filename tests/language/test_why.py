"""`flowq why RUN JOB` for every reason: a real flow causes each, and the text is the command's output."""

import json
import re
from collections.abc import Callable, Iterator

import pytest

from flowq.cli.main import run as flowq
from flowq.cli.render.vocabulary import note
from flowq.compiler import compile_text
from flowq.flows.actions.retry import plan_retry
from flowq.flows.actions.submit import submit
from flowq.states import Reason
from tests.language.conftest import NAMESPACE
from tests.language.lab import DATE, FLOWS, Lab, Started, plan_of
from tests.support.wait import until

Why = Callable[[Started, str], str]

TOLD: set[str] = set()  # reasons found in the command's JSON by the tests of this module


def timeless(text: str) -> str:
    """Return a text without seconds, which differ between two commands."""
    return re.sub(r"\d+\.\d s\b", "… s", text)


@pytest.fixture
def why(lab: Lab, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Why:
    """A function that returns the command's text for a job, after checking that its JSON agrees."""
    monkeypatch.setenv("FLOWQ_REDIS_URL", f"unix://{lab.store.client.connection_pool.connection_kwargs['path']}")
    monkeypatch.setenv("FLOWQ_NAMESPACE", NAMESPACE)
    monkeypatch.delenv("COLUMNS", raising=False)

    def command(*arguments: str) -> str:
        capfd.readouterr()
        assert flowq(arguments) == 0
        return capfd.readouterr().out

    def told(run: Started, job: str) -> str:
        text = command("why", run.id, job)
        document = json.loads(command("why", run.id, job, "--json"))
        TOLD.add(str(document["reason"]))
        assert document["name"] == job
        assert timeless(document["text"]) in timeless(text)
        return text

    return told


@pytest.fixture
def held(lab: Lab) -> Iterator[Callable[[str], Started]]:
    """A function that starts flows that do not end by themselves; they are canceled at the end of the test."""
    started: list[Started] = []

    def start(text: str) -> Started:
        run = lab.start(text)
        started.append(run)
        return run

    yield start
    lab.store.queues.resume()
    for run in started:
        lab.store.runs.cancel(run.id)
        run.ended()


BLOCK = "{call: 'language_jobs:wait_for', args: [never]"

# -- skipped -------------------------------------------------------------------------------------------------------------------


def test_skipped(lab: Lab, why: Why) -> None:
    run = lab.run(
        """
        params: {full: {type: boolean, default: false}}
        jobs:
          bad: {run: echo no template >&2; exit 3}
          fine: {run: 'true'}
          optional: {if: params.full, run: 'true'}
          after-bad: {depends_on: bad, run: 'true'}
          after-skipped: {depends_on: {optional: success}, run: 'true'}
          repair: {depends_on: {fine: failure}, run: 'true'}
        on_success:
          tell: {run: 'true'}
        """
    )
    text = why(run, "optional")
    assert "optional skipped: its `if: params.full` was false" in text
    assert "params.full = false" in text
    text = why(run, "after-bad")
    assert "after-bad skipped: it needs bad to succeed, but it failed" in text
    assert "bad failed: exit code 3" in text
    assert f"flowq logs {run.id} bad" in text
    assert f"flowq retry {run.id} --failed" in text
    text = why(run, "after-skipped")
    assert "it needs optional to succeed, but it was skipped" in text
    assert "optional skipped: its `if: params.full` was false" in text
    text = why(run, "repair")
    assert "it needs fine to fail, but it finished" in text
    text = why(run, "on_success/tell")
    assert "the run's outcome is not the one that this handler is for" in text


def test_canceled_by_a_user_and_skipped_because_of_that(lab: Lab, why: Why) -> None:
    run = lab.start("jobs:\n  slow: {delay: 1h, run: 'true'}\n  after: {depends_on: slow, run: 'true'}")
    lab.store.jobs.cancel(run.until_job("slow", "scheduled").id)
    run.ended()
    text = why(run, "after")
    assert "it needs slow to succeed, but it was canceled" in text
    assert "slow canceled: this job was canceled" in text
    assert "it had not been started" in why(run, "slow")
    assert f"flowq retry {run.id} --failed" in text


def test_a_canceled_run(lab: Lab, why: Why) -> None:
    run = lab.start(f"jobs:\n  slow: {BLOCK}}}\n  after: {{depends_on: slow, run: 'true'}}")
    run.until_job("slow", "started")
    lab.store.runs.cancel(run.id)
    run.ended()
    assert "slow canceled: the run was canceled" in why(run, "slow")
    assert "it was running" in why(run, "slow")
    assert "after canceled: the run was canceled" in why(run, "after")


def test_fail_fast(lab: Lab, why: Why) -> None:
    run = lab.start(
        f"""
        fail_fast: true
        jobs:
          gate: {{call: 'language_jobs:wait_for', args: [gate]}}
          bad: {{depends_on: gate, run: exit 4}}
          running: {BLOCK}}}
          late: {{delay: 1h, run: 'true'}}
        """
    )
    run.until_job("running", "started")
    (lab.directory / "gate").touch()
    run.ended()
    text = why(run, "running")
    assert "running canceled: another job failed, and `fail_fast` ends the others" in text
    assert "it was running" in text
    assert "bad failed: exit code 4" in text, "the job that failed is named"
    text = why(run, "late")
    assert "late skipped: another job failed before it was started, and `fail_fast` ends the others" in text
    assert "bad failed: exit code 4" in text


def test_fail_fast_of_a_matrix_names_the_cell(lab: Lab, why: Why) -> None:
    run = lab.start(
        """
        jobs:
          elsewhere: {run: exit 1}
          cells:
            matrix: {n: [0, 1]}
            fail_fast: true
            run: 'if [ ${{ matrix.n }} = 0 ]; then until test -e go; do sleep 0.01; done; exit 5; fi; sleep 60'
        """
    )
    for name in ("cells[n=0]", "cells[n=1]"):
        run.until_job(name, "started")
    (lab.directory / "go").touch()
    run.ended()
    text = why(run, "cells[n=1]")
    assert "cells[n=0] failed: exit code 5" in text
    assert "elsewhere" not in text, "another job's failure has nothing to do with it"


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("skip", "a skipped: the run's concurrency group was taken by run {holder}, and its `on_conflict` is `skip`"),
        ("fail", "a canceled: the run's concurrency group was taken by run {holder}, and its `on_conflict` is `fail`"),
    ],
)
def test_a_run_refused_by_its_group(lab: Lab, why: Why, held: Callable[[str], Started], how: str, words: str) -> None:
    text = f"concurrency: {{group: why-{how}, on_conflict: {how}}}\njobs:\n  a: {BLOCK}}}"
    holder = held(text)
    holder.until_job("a", "started")
    assert words.format(holder=holder.id) in why(lab.start(text).ended(), "a")


# -- failed --------------------------------------------------------------------------------------------------------------------


def test_failed(lab: Lab, why: Why) -> None:
    run = lab.run(
        """
        jobs:
          error: {call: 'language_jobs:fail', args: [no rows], retry: {max: 1, interval: 0}}
          code: {run: exit 7}
          timeout: {timeout: 0.2, run: sleep 60}
          expired: {ttl: 0.2, queue: unserved, run: 'true'}
          killed: {run: kill -9 $$}
          large: {resources: {memory: 100M}, run: 'exec python3 -c "import time; x = bytes(200 << 20).replace(bytes(1), b''x''); time.sleep(60)"'}
          invalid: {call: 'language_jobs:unkeepable'}
          allowed: {allow_failure: true, run: exit 1}
        """
    )
    text = why(run, "error")
    assert "error failed: RuntimeError: no rows" in text
    assert "language_jobs.py:" in text, "where it was raised"
    assert "attempt 2 of 2" in text
    assert "exit code 7" in why(run, "code")
    assert "it took longer than its timeout of 200ms" in why(run, "timeout")
    assert "it waited in queue unserved longer than its ttl of 200ms and was never started" in why(run, "expired")
    assert "killed" in why(run, "killed")
    assert "its processes had more than it asks for (`resources`: memory 100M)" in why(run, "large")
    assert "its return value cannot be stored as a result" in why(run, "invalid")
    assert "it is allowed to fail: its dependents continue" in why(run, "allowed")


def test_a_run_that_timed_out(lab: Lab, why: Why) -> None:
    run = lab.run(f"timeout: 0.5\njobs:\n  slow: {BLOCK}}}\n  late: {{delay: 1h, run: 'true'}}")
    assert "slow failed: the run took longer than its timeout of 500ms" in why(run, "slow")
    assert "it had not been started" in why(run, "late")


def test_a_lost_worker(lab: Lab, why: Why) -> None:
    run = lab.start(f"jobs:\n  a: {BLOCK}}}")
    job = run.until_job("a", "started")
    lab.store.client.zadd(lab.store.session.keys("leases"), {job.id: 1}, xx=True)  # its lease expires now
    run.ended()
    text = why(run, "a")
    assert run.job("a").reason == "abandoned"
    assert "its worker was lost: no heartbeat within the lease" in text


def test_a_rejected_approval(lab: Lab, why: Why) -> None:
    run = lab.start("jobs:\n  ask: {approval: sure?}")
    lab.store.jobs.reject(run.until_job("ask", "deferred/approval").id, b"rejected by ann: not today", by="ann")
    assert "ask failed: rejected by ann: not today" in why(run.ended(), "ask")
    run = lab.run("jobs:\n  ask: {approval: {message: sure?, timeout: 0.1}}")
    assert "the approval timed out after" in why(run, "ask")


def test_a_stopped_job(lab: Lab, why: Why) -> None:
    run = lab.start(f"jobs:\n  a: {BLOCK}}}")
    lab.store.jobs.stop(run.until_job("a", "started").id)
    assert "a stopped: it was stopped" in why(run.ended(), "a")


# -- waiting -------------------------------------------------------------------------------------------------------------------


def test_waiting_for_jobs_times_and_approvals(why: Why, held: Callable[[str], Started]) -> None:
    run = held(
        f"""
        jobs:
          slow: {BLOCK}}}
          after: {{depends_on: {{slow: done}}, run: 'true'}}
          late: {{delay: 1h, run: 'true'}}
          again: {{run: exit 6, retry: {{max: 3, interval: 1h}}}}
          ask: {{approval: "Publish?"}}
        on_exit:
          clean: {{run: 'true'}}
        """
    )
    run.until_job("slow", "started")
    run.until_job("again", "scheduled")
    run.until_job("ask", "deferred/approval")
    text = why(run, "after")
    assert "after waiting: waits for slow" in text
    assert "it needs slow to end" in text
    assert "slow running: it is running" in text
    text = why(run, "late")
    assert "its delay has not passed: it is queued in 3" in text
    text = why(run, "again")
    assert "waits to be tried again: attempt 2 of 4 is queued in 3" in text
    assert "attempt 1 failed: exit code 6" in text
    text = why(run, "ask")
    assert "waits for an approval: Publish?" in text
    assert f"flowq approve {run.id} ask" in text
    assert "a handler: it waits for the end of the run's other jobs" in why(run, "on_exit/clean")
    assert note(run.job("on_exit/clean"), 0) == "for the end of the jobs", "what `flowq status` says"


def test_waiting_for_a_place(why: Why, held: Callable[[str], Started]) -> None:
    run = held(
        f"""
        jobs:
          cells: {{matrix: {{n: [1, 2]}}, max_parallel: 1, call: 'language_jobs:wait_for', args: [never]}}
          first: {BLOCK}, concurrency: {{group: why-db}}}}
          second: {{depends_on: {{gate: done}}, concurrency: {{group: why-db}}, run: 'true'}}
          gate: {{depends_on: {{hold: done}}}}
          hold: {{run: 'until test -e hold; do sleep 0.01; done'}}
        """
    )
    run.until_job("first", "started")
    run.until_job("cells[n=1]", "started")
    text = why(run, "cells[n=2]")
    assert "waits: 1 cell of cells is running, which is the most that may" in text
    assert "now it is cells[n=1]" in text
    other = held("jobs:\n  b: {concurrency: {group: why-db}, run: 'true'}")
    other.until_job("b", "deferred/concurrency")
    text = why(other, "b")
    assert "waits: its concurrency group is full" in text
    assert f"why-db is held by job {run.job('first').id}" in text


def test_a_run_that_waits_for_its_turn(why: Why, held: Callable[[str], Started]) -> None:
    text = f"concurrency: {{group: why-turn}}\njobs:\n  a: {BLOCK}}}\n  b: {{depends_on: a, run: 'true'}}\non_exit: {{c: {{run: 'true'}}}}"
    first = held(text)
    first.until_job("a", "started")
    second = held(text)
    told = why(second, "a")
    assert "the run waits for its turn in the concurrency group why-turn" in told
    assert f"why-turn is held by run {first.id}" in told
    reasons = {name: second.job(name).reason for name in ("a", "b", "on_exit/c")}
    assert reasons == {"a": "concurrency", "b": "dependencies", "on_exit/c": "dependencies"}
    assert first.job("b").reason == "dependencies"
    assert "has no worker now" not in told


def test_a_place_held_by_an_orphaned_run(lab: Lab, why: Why, held: Callable[[str], Started]) -> None:
    """The command and the worker of the first run were killed, but it keeps its place."""
    text = "concurrency: {group: why-stranded}\njobs:\n  a: {run: 'true'}"
    plan = plan_of(compile_text(text, date=DATE, file=str(FLOWS / "inline.yaml")))
    gone = submit(lab.store, plan, directory=lab.directory, local=True)
    second = held(text)
    assert f"why-stranded is held by run {gone}" in why(second, "a")
    until(lambda: f"run {gone} has no worker now" in why(second, "a"), 10, "the time in which its worker may begin to be over")
    told = why(second, "a")
    assert f"flowq run --resume {gone}" in told
    assert f"flowq cancel {gone}" in told
    lab.store.runs.cancel(gone)
    assert second.ended().status == "finished", "canceled, it lets go"


def test_waiting_for_workers(lab: Lab, why: Why, held: Callable[[str], Started]) -> None:
    until(lab.store.workers.live, message="the worker to be there")
    run = held("jobs:\n  a: {queue: unserved, run: 'true'}")
    run.until_job("a", "queued")
    text = why(run, "a")
    assert "no worker listens on queue unserved" in text
    listening = text.partition("workers that are there listen on: ")[2].partition("\n")[0].split(", ")
    assert {"cpu", "default", "work"} <= set(listening)
    assert "flowq worker unserved" in text
    lab.store.queues.suspend(None)
    run = held("jobs:\n  a: {run: 'true'}")
    run.until_job("a", "queued")
    text = why(run, "a")
    assert "the workers are suspended: none of them starts a job" in text
    assert "flowq resume" in text


def test_a_queue_with_earlier_jobs(lab: Lab, why: Why, held: Callable[[str], Started]) -> None:
    run = held(
        "jobs:\n  hold: {matrix: {n: [1, 2, 3, 4, 5, 6]}, call: 'language_jobs:wait_for', args: [never]}\n"
        "  next: {priority: -1, run: 'true'}\n  later: {priority: -2, run: 'true'}"
    )
    for number in range(1, 7):
        run.until_job(f"hold[n={number}]", "started")
    until(lambda: {run.job("next").status, run.job("later").status} == {"queued"})
    assert "waits in queue default, next" in why(run, "next")
    assert "waits in queue default, behind 1 other" in why(run, "later")


# -- through hidden cells -----------------------------------------------------------------------------------


def test_through_a_stage(lab: Lab, why: Why, held: Callable[[str], Started]) -> None:
    text = f"""
        stages: [build, test]
        jobs:
          one: {BLOCK}, stage: build}}
          two: {{run: 'true', stage: build}}
          check: {{stage: test, run: 'true'}}
        """
    run = held(text)
    run.until_job("one", "started")
    run.until_job("two", "finished")
    told = why(run, "check")
    assert "check waiting: waits for stage build" in told
    assert "1 of 2 jobs have not ended" in told
    assert "one running: it is running" in told
    ended = lab.run(text.replace(BLOCK, "{run: exit 9"))
    told = why(ended, "check")
    assert "it needs stage build to succeed, but it failed" in told
    assert "one failed: exit code 9" in told


def test_through_a_sub_flow(lab: Lab, why: Why, held: Callable[[str], Started]) -> None:
    (lab.directory / "part.yaml").write_text(
        "params: {go: {type: boolean, default: true}}\n"
        "jobs:\n  one: {run: 'true', if: params.go}\n  two: {depends_on: one, run: 'true'}\n"
    )
    part = lab.directory / "part.yaml"
    run = held(f"jobs:\n  slow: {BLOCK}}}\n  part: {{depends_on: slow, flow: '{part}'}}\n  after: {{depends_on: part}}")
    run.until_job("slow", "started")
    told = why(run, "part/two")
    assert "part/two waiting: waits for part/one" in told
    assert "part/one waiting: waits for part" in told
    assert "part waiting: waits for slow" in told
    assert "slow running" in told
    assert "part waiting: has not begun" in why(run, "after")
    assert "@" not in told

    skipped = lab.run(
        "params: {full: {type: boolean, default: false}}\n"
        f"jobs:\n  part: {{if: params.full, flow: '{part}'}}\n  other: {{flow: '{part}', params: {{go: false}}}}\n"
        "  after: {depends_on: part, run: 'true'}"
    )
    told = why(skipped, "part/one")
    assert "it needs part to succeed, but it was skipped" in told
    assert "part skipped: its `if: params.full` was false" in told
    assert "params.full = false" in told
    assert "part skipped: was never begun" in why(skipped, "after")
    assert "params.go = false" in why(skipped, "other/one"), "the param of its own file"


def test_through_a_matrix_of_sub_flows(lab: Lab, why: Why, held: Callable[[str], Started]) -> None:
    (lab.directory / "part.yaml").write_text("params: {n: {type: integer}}\njobs:\n  one: {run: 'exit ${{ params.n }}'}\n")
    part = f"matrix: {{n: [0, 1, 2]}}, if: matrix.n < 2, flow: '{lab.directory / 'part.yaml'}', params: {{n: '${{{{ matrix.n }}}}'}}"
    run = held(f"jobs:\n  slow: {BLOCK}}}\n  part: {{depends_on: slow, {part}}}\n  after: {{depends_on: part}}")
    run.until_job("slow", "started")
    told = why(run, "after")
    assert "part waiting: 3 of 3 flows have not ended" in told
    assert "part[n=1] waiting: has not begun" in told
    assert "slow running" in told
    ended = lab.run(f"jobs:\n  part: {{{part}}}\n  after: {{depends_on: part}}")
    told = why(ended, "after")
    assert "part failed: 1 of 3 flows failed" in told
    assert "part[n=1] failed: 1 of 1 jobs failed" in told
    assert "part[n=1]/one failed: exit code 1" in told
    told = why(ended, "part[n=2]/one")
    assert "it needs part[n=2] to succeed, but it was skipped" in told
    assert "part[n=2] skipped: its `if: matrix.n < 2` was false" in told
    assert "matrix.n = 2" in told
    assert "@" not in told


def test_a_sub_flow_whose_if_cannot_be_evaluated_has_failed(lab: Lab, why: Why) -> None:
    (lab.directory / "part.yaml").write_text("jobs:\n  one: {run: 'true'}\n")
    part = lab.directory / "part.yaml"
    run = lab.run(
        "jobs:\n  list: {call: 'language_jobs:give', args: [{n: 1}]}\n"
        f"  part: {{depends_on: list, if: jobs.list.result.m == 1, flow: '{part}'}}\n"
        "on_failure:\n  tell: {call: 'language_jobs:give', args: ['${{ run.failed_jobs }}']}"
    )
    assert run.status == "failed"
    assert run.states() == {
        "list": "finished", "part/one": "skipped/upstream_failed", "part": "failed/error", "on_failure/tell": "finished",
    }  # fmt: skip
    assert run.result("on_failure/tell") == ["part"]
    told = why(run, "part/one")
    assert "it needs part to succeed, but it failed" in told
    assert "failed: if: " in told
    assert [name for name, _ in plan_retry(lab.store, run.id).jobs] == ["part", "part/one", "on_failure/tell"]


def test_a_cached_result(lab: Lab, why: Why) -> None:
    text = "jobs:\n  a: {cache: {key: \"'why'\"}, run: 'true'}"
    first, second = lab.run(text), lab.run(text)
    assert "it ran, although it has a `cache`: no earlier result" in why(first, "a")
    assert f"it did not run, it has the result of run {first.id}" in why(second, "a")


def test_every_reason_is_covered() -> None:
    """A new reason needs a sentence, and a test above that causes it."""
    if len(TOLD) < 5:
        pytest.skip("the other tests of this module were not run")
    elsewhere = {Reason.REPEAT}  # for plain jobs only
    assert {str(reason) for reason in Reason} - {str(reason) for reason in elsewhere} <= TOLD


@pytest.mark.parametrize(
    ("on", "job", "words"),
    [
        ("[ConectionError]", "call: 'builtins:int', args: [x]", "not retried: ValueError is not in `on: [ConectionError]`"),
        ("[3, timeout]", "run: exit 4", "not retried: exit code 4 is not in `on: [3, timeout]`"),
        ("[failure]", "run: sleep 9, timeout: 0.1", "not retried: timeout is not in `on: [failure]`"),
    ],
)
def test_a_failure_that_is_no_cause_for_a_retry(lab: Lab, why: Why, on: str, job: str, words: str) -> None:
    run = lab.run(f"jobs:\n  a: {{{job}, retry: {{max: 3, on: {on}}}}}")
    assert words in why(run, "a")
