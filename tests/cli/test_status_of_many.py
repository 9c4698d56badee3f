"""`flowq status` of a run with more jobs than a user would read: groups of them, and those that need attention."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flowq.cli import exit_codes
from flowq.cli.render.summary import JOBS
from flowq.compiler import compile_file
from flowq.defaults import LEASE
from flowq.flows.views.run_summary import LARGE, read_summary
from flowq.flows.views.snapshot import read_view
from flowq.flows.views.text import plural
from flowq.plan import Plan
from flowq.states import LETTERS, JobStatus
from flowq.store import Store
from flowq.store.schema.outcomes import Claim
from tests.cli.conftest import Cli
from tests.cli.manual_worker import HandWorker
from tests.support.wait import until

PARTS = LARGE - 2
FLOW = f"""
name: many
stages: [build, test]
jobs:
  first: {{run: "true", stage: build, allow_failure: true}}
  part:
    run: "true"
    stage: test
    matrix: {{n: [{", ".join(map(str, range(PARTS)))}]}}
  list-1: {{call: "json:loads", args: ["[1, 2, 3]"], depends_on: [first]}}
  list-2: {{run: "true", queue: gpu}}
  ask: {{approval: "Go on?", depends_on: [list-2]}}
  each:
    foreach: "${{{{ jobs.list-1.result }}}}"
    run: echo ${{{{ item }}}}
    depends_on: [list-1]
  child: {{flow: child.yaml}}
"""


def submitted(store: Store, directory: Path, submit_plan: Callable[[Plan], str], text: str = FLOW) -> str:
    """Submit the flow; return its run once all that can be queued is."""
    (directory / "child.yaml").write_text("jobs:\n  a: {run: 'true'}\n  b: {run: 'true'}\n")
    path = directory / "many.yaml"
    path.write_text(text)
    plan = compile_file(path).plan
    assert plan is not None
    run = submit_plan(plan)
    while store.workers.sweep(LEASE).more:
        continue
    return run


@pytest.fixture
def many(store: Store, tmp_path: Path, submit_plan: Callable[[Plan], str]) -> str:
    return submitted(store, tmp_path, submit_plan)


@pytest.fixture
def worker(store: Store) -> Iterator[HandWorker]:
    hand = HandWorker(store, "default")
    yield hand
    hand.close()


def groups(text: str) -> list[str]:
    """Return the lines of the groups, without their columns."""
    return [" ".join(line.split()) for line in text.split("\n\n")[1].splitlines()]


def named(store: Store, run: str, name: str) -> str:
    """Return the id of a job."""
    return next(job.id for job in read_view(store, run).jobs if job.name == name)


def claims(worker: HandWorker, store: Store, run: str, *wanted: str) -> list[Claim]:
    """Claim jobs until these are among them; the others stay started."""
    names = {job.ordinal: job.name for job in read_view(store, run).jobs}
    found: dict[str, Claim] = {}
    while not found.keys() >= set(wanted):
        claim = worker.claim()
        found[names[claim.ordinal or 0]] = claim
    return [found[name] for name in wanted]


def test_jobs_are_counted_by_groups(cli: Cli, many: str, store: Store, worker: HandWorker) -> None:
    (first,) = claims(worker, store, many, "first")
    worker.fail(first, "no", allowed=True)
    part, listed = claims(worker, store, many, "part[n=3]", "list-1")
    worker.finish(listed, b"[1, 2, 3]")
    worker.fail(part, "boom", exit_code=4)
    store.jobs.expand(named(store, many, "each"), [b"1", b"2", b"3"])
    view, summary = read_view(store, many), read_summary(store, store.runs.require(many))
    assert summary.counts == Counter(job.status for job in view.jobs)
    every = {(job.id, job.name, job.status, job.reason, job.error, job.place) for job in view.jobs}
    assert {(job.id, job.name, job.status, job.reason, job.error, job.place) for job in summary.run.jobs} <= every

    outcome = cli("status", many)
    assert outcome.code == 0
    lines = groups(outcome.out)
    assert [line.split(f" {jobs} ")[0] for line, jobs in zip(lines, (1, PARTS, 2, 1, 3, 2), strict=True)] == [
        *("stage build", "stage test", "list-*", "ask", "each", "child/")
    ]
    assert f"stage test {PARTS} 1 failed" in lines[1]
    for words in ("part[n=3]", "boom", "no worker on queue gpu", f"flowq status {many} --all"):
        assert words in outcome.out
    assert len(outcome.out.splitlines()) < 40


def test_a_few_cells_are_not_told_as_their_matrix(cli: Cli, many: str, store: Store, worker: HandWorker) -> None:
    worker.fail(claims(worker, store, many, "first")[0], "no", allowed=True)
    for claim in claims(worker, store, many, "part[n=3]", "part[n=5]"):
        worker.fail(claim, "boom", exit_code=4)
    rows = [line.split() for line in cli("status", many).out.split("\n\n")[2].splitlines()]
    assert [row[1] for row in rows if row[2] == "failed"] == ["part[n=3]", "part[n=5]"]
    assert not [row for row in rows if row[1] == "part"]  # "2 of 2", of some thousand


def test_every_job_is_shown_on_request(cli: Cli, many: str) -> None:
    assert "list-2" not in groups(cli("status", many).out)
    assert "list-2 " in cli("status", many, "--all").out
    assert len(json.loads(cli("status", many, "--json").out)["jobs"]) > LARGE


def test_an_approval_is_shown(cli: Cli, many: str, store: Store) -> None:
    gpu = HandWorker(store, "gpu")
    gpu.finish(gpu.claim())
    gpu.close()
    store.jobs.decide(named(store, many, "ask"), "go_on", message="Go on?")
    out = cli("status", many).out
    assert "approval: Go on?" in out
    assert f"flowq approve {many} ask" in out


def test_the_exit_status_is_that_of_the_run(cli: Cli, many: str) -> None:
    outcome = cli("status", many, "--exit-status")
    assert outcome.code == 1
    assert f"run {many} has not ended" in outcome.err


@pytest.fixture
def over(store: Store, tmp_path: Path, submit_plan: Callable[[Plan], str]) -> str:
    """A run whose time is over, so that most of its jobs have failed."""
    run = submitted(store, tmp_path, submit_plan, FLOW.replace("name: many", "name: many\ntimeout: 1s"))
    until(lambda: not store.workers.sweep(LEASE).more and store.runs.require(run).ended)
    return run


def test_the_exit_status_of_a_run_that_timed_out(cli: Cli, over: str) -> None:
    outcome = cli("status", over, "--exit-status")
    assert outcome.code == exit_codes.TIMED_OUT
    assert "stage test" in outcome.out


def test_the_end_of_a_followed_run_is_summed_up(cli: Cli, over: str, store: Store) -> None:
    """As `status` does, with the records of few jobs read; the number of failed jobs is that of all."""
    bad = len(read_view(store, over).bad_jobs)
    assert read_summary(store, store.runs.require(over)).bad == bad > JOBS

    quiet = cli("status", over, "--watch", "--output", "quiet", "--exit-status")
    assert quiet.code == exit_codes.TIMED_OUT
    assert [line.split(f" {jobs} ")[0] for line, jobs in zip(groups(quiet.out)[:2], (1, PARTS), strict=True)] == [
        *("stage build", "stage test")
    ]
    for words in (f"and {plural(bad - JOBS, 'more failed job')}: flowq status {over} --failed", f"flowq status {over} --all"):
        assert words in quiet.out
    assert len(quiet.out.splitlines()) < 40

    lines = cli("status", over, "--watch", "--output", "lines").out
    head = next(line for line in lines.splitlines() if " jobs: " in line)
    assert head in quiet.out
    assert f"and {plural(bad - JOBS, 'more failed job')}" in lines
    assert "stage test" not in lines  # the lines have told it

    documents = [json.loads(line) for line in cli("status", over, "--watch", "--json").out.splitlines()]
    assert len(documents[-1]["jobs"]) > LARGE


def test_each_status_has_a_letter() -> None:
    assert set(LETTERS.values()) == {*JobStatus, None}


def test_handlers_for_another_outcome_are_counted_apart(
    cli: Cli, store: Store, tmp_path: Path, submit_plan: Callable[[Plan], str], worker: HandWorker
) -> None:
    numbers = ", ".join(map(str, range(LARGE)))
    text = f"jobs:\n  first: {{run: x}}\n  part: {{run: x, depends_on: first, matrix: {{n: [{numbers}]}}}}\n"
    run = submitted(store, tmp_path, submit_plan, text + "on_success: {good: {run: x}}\non_failure: {page: {run: x}}\n")
    worker.fail(worker.claim(), "boom")
    worker.finish(worker.claim())
    told = cli("status", run).out
    assert f"{LARGE + 3} jobs: 1 finished, 1 failed, {LARGE} skipped, 1 handler not needed" in told
    assert [" ".join(line.split()) for line in told.splitlines() if line.startswith("  on_")] == [
        "on_success/ 1 1 handler not needed", "on_failure/ 1 1 finished",
    ]  # fmt: skip
    assert cli("runs").out.splitlines()[1].endswith(f"  1/{LARGE + 2}, 1 failed, {LARGE} skipped")
