"""`flowq why`: the chain of causes for every state of a job, on a real server and in golden texts."""

import json
from dataclasses import replace

import pytest

from flowq.cli.commands.why import why_lines
from flowq.cli.render.styled_text import columns, paint
from flowq.cli.terminal import Terminal
from flowq.compiler import compile_text
from flowq.exceptions import ServerError
from flowq.flows.actions.submit import submit
from flowq.flows.explain.failures import error_places
from flowq.flows.explain.queue_state import QueueState
from flowq.flows.explain.why import Cause, explain
from flowq.flows.views.run_view import RunView
from flowq.plan import SourcePlace
from flowq.states import JobStatus, RunStatus
from flowq.store import Store
from flowq.store.schema.records import WorkerRecord
from tests.cli import golden, samples
from tests.cli.conftest import Cli
from tests.cli.manual_worker import HandWorker
from tests.support.graphs import plan

CPU = WorkerRecord("cpu-1", ("cpu", "default"), "host", 1, 2, 1, "0", 0, 0, "busy", 0, 0, 0)
RUNS = {"failed": samples.failed_run(), "running": samples.running_run()}


def chain(run: RunView, ordinal: int, width: int = 80) -> str:
    around = QueueState([CPU], {5: 0})
    cause = explain(samples.report_plan(), run, ordinal, around)
    return golden.plain(why_lines(cause, run, Terminal(width=width)))


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", RUNS)
def test_the_whole_chain(name: str, width: int) -> None:
    golden.check(f"why-{name}-{width}", chain(RUNS[name], 9, width))


@pytest.mark.parametrize("width", [12, 20, 40, 80])
def test_long_facts_and_deep_chains_are_wrapped(width: int) -> None:
    fact = " ".join(f"word{number}" for number in range(150))
    place = SourcePlace("nightly.yaml", 3)
    cause = Cause("leaf", 0, JobStatus.FAILED, "error", fact, place, details=(fact, "/".join("abcdefgh" * 20)))
    for depth in range(20):
        cause = replace(cause, name=f"job{depth}", details=(), causes=(cause,))
    rows = [paint(line, color=False) for line in why_lines(cause, RUNS["failed"], Terminal(width=width))]
    rows = rows[: rows.index("")]  # commands follow, which stay whole
    assert max(map(columns, rows)) <= width
    flat = "".join(row.lstrip(" │└") for row in rows).replace(" ", "")
    assert "…" not in flat
    assert flat.count(fact.replace(" ", "")) == 22


@pytest.mark.parametrize(
    ("run", "ordinal", "words"),
    [
        ("failed", 0, "finished"),
        ("failed", 1, "attempt 2 of 3"),
        ("failed", 3, "raised at /srv/flows/build.py:7 in build"),
        ("failed", 6, "build failed: 1 of 4 cells failed"),
        ("failed", 7, "it is allowed to fail"),
        ("running", 3, "one attempt may take 10m"),
        ("running", 4, "attempt 2 of 2 is queued in 3.7 s"),
        ("running", 5, "waits in queue cpu, next"),
        ("running", 8, "no worker listens on queue gpu"),
        ("running", 8, "workers that are there listen on: cpu, default"),
        ("running", 8, "next: flowq worker gpu"),
        ("running", 6, "3 of 4 cells have not ended"),
    ],
)
def test_each_state(run: str, ordinal: int, words: str) -> None:
    assert words in chain(RUNS[run], ordinal, 200)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("timeout", "it took longer than its timeout of 10m"),
        ("abandoned", "its worker was lost"),
        ("killed", "killed by SIGSEGV"),
        ("expired", "longer than its ttl and was never started"),
        ("invalid_result", "its return value cannot be stored"),
    ],
)
def test_each_reason_of_a_failure(reason: str, words: str) -> None:
    jobs = {0: samples.job(0, JobStatus.FAILED, at=0, took=1, reason=reason)}
    run = samples.view(
        samples.report_plan(),
        samples.run_record(RunStatus.FAILED, 9, ended=1),
        jobs,
        {0: "killed by SIGSEGV" if reason == "killed" else "exit code 1"},
        frozenset(),
    )
    assert words in chain(run, 0, 200)


def test_many_failures_are_told_by_kind() -> None:
    """Three are shown: whether the other thousand have the same cause is what one asks next."""
    made = compile_text(f"jobs: {{a: {{matrix: {{n: {list(range(40))}}}, run: x}}}}").plan
    assert made is not None
    ways = ["RuntimeError: at 0.1", "RuntimeError: at 0.2", "exit code 3", "memory"] + [f"kind{n} is odd" for n in range(5)]
    jobs, errors = {}, {}
    for cell in made.jobs():
        way = ways[cell.ordinal % len(ways)]
        failed = samples.job(cell.ordinal, JobStatus.FAILED, at=0, took=1, reason="memory" if way == "memory" else "error")
        jobs[cell.ordinal], errors[cell.ordinal] = failed, f"the job was killed: {way}" if way == "memory" else way

    def told(count: int) -> str:
        chosen = {ordinal: jobs[ordinal] for ordinal in list(jobs)[:count]}
        run = samples.view(made, samples.run_record(RunStatus.FAILED, 40, ended=1), chosen, errors, frozenset())
        group = next(cell.ordinal for cell in made.cells if cell.group)
        return golden.plain(why_lines(explain(made, run, group, QueueState([CPU], {})), run, Terminal(width=200)))

    assert "by kind: 10 RuntimeError, 5 exit code 3, 5 memory, 4 kind0 is odd, 4 kind1 is odd, 12 others\n" in told(40)
    assert "by kind: 2 RuntimeError, 1 exit code 3, 1 memory\n" in told(4)
    assert "by kind" not in told(3)


def traceback(kind: str, *frames: str) -> str:
    places = (frame.split(":") for frame in frames)
    lines = "".join(f'  File "{file}", line {line}, in {name}\n    …\n' for file, line, name in places)
    return f"Traceback (most recent call last):\n{lines}{kind}: it failed"


LIBRARY = "/usr/lib/python3.11/json/decoder.py:355:raw_decode"
DIRECT = "\n\nThe above exception was the direct cause of the following exception:\n\n"
DURING = "\n\nDuring handling of the above exception, another exception occurred:\n\n"


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("exit code 3", []),
        ("", []),
        (samples.TRACEBACK, ["raised at /srv/flows/build.py:7 in build"]),
        (
            traceback("ValueError", "/srv/load.py:3:load", LIBRARY),
            ["raised at /srv/load.py:3 in load (from /usr/lib/python3.11/json/decoder.py:355 in raw_decode)"],
        ),
        (
            traceback("E", "/srv/.venv/lib/python3.12/site-packages/x/y.py:1:f"),
            ["raised at /srv/.venv/lib/python3.12/site-packages/x/y.py:1 in f"],
        ),
        (
            traceback("KeyError", "/srv/a.py:1:f")
            + DURING
            + traceback("ValueError", "/srv/a.py:2:f")
            + DIRECT
            + traceback("RuntimeError", "/srv/a.py:3:f"),
            [
                "raised at /srv/a.py:3 in f",
                "caused by ValueError: it failed, raised at /srv/a.py:2 in f",
                "while handling KeyError: it failed, raised at /srv/a.py:1 in f",
            ],
        ),
        (
            "ValueError: without frames" + DIRECT + traceback("RuntimeError", "/srv/a.py:3:f"),
            ["raised at /srv/a.py:3 in f", "caused by ValueError: without frames"],
        ),
    ],
)
def test_where_an_error_was_raised(text: str, places: list[str]) -> None:
    assert error_places(text) == places


def test_a_long_chain_skips_to_its_end(cli: Cli, store: Store, worker: HandWorker) -> None:
    shape = {f"j{index}": [f"j{index - 1}"] if index else [] for index in range(3000)}
    run = submit(store, plan(shape), directory="/nowhere")
    worker.fail(worker.claim(), "exit code 9")
    outcome = cli("why", run, "j2999")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert len(lines) < 20
    assert "2990 steps further on:" in outcome.out
    assert "j0 failed: exit code 9" in outcome.out
    assert f"flowq logs {run} j0" in outcome.out


def test_a_wide_graph_names_a_few(cli: Cli, store: Store) -> None:
    shape: dict[str, list[str]] = {f"w{index}": [] for index in range(500)}
    shape["end"] = list(shape)
    run = submit(store, plan(shape), directory="/nowhere")
    outcome = cli("why", run, "end")
    assert "waits for 500 of 500 jobs" in outcome.out
    assert "and 497 more" in outcome.out
    assert "flowq worker default" in outcome.out


def test_from_waiting_to_failed_on_a_server(cli: Cli, report: str, worker: HandWorker, store: Store) -> None:
    waiting = cli("why", report, "publish").out
    assert "publish waiting: waits for 3 of 3 jobs" in waiting
    assert "list-files queued: waits in queue default, next" in waiting
    claim = worker.claim()
    assert "it is running" in cli("why", report, "list-files").out
    worker.fail(claim, samples.TRACEBACK)
    document = json.loads(cli("why", report, "publish", "--json").out)
    assert document["status"] == "skipped"
    assert document["reason"] == "upstream_skipped"
    while document["causes"]:
        document = document["causes"][0]
    assert (document["name"], document["line"], document["text"]) == ("list-files", 12, "ValueError: no template for de")
    store.runs.resolve(report)


def test_a_job_of_the_latest_run_by_its_name_alone(cli: Cli, report: str) -> None:
    assert "backfill waiting" in cli("why", "backfill").out
    assert cli("why", "backfil").code == 2
    assert "did you mean 'backfill'?" in cli("why", "backfil").err
    assert report


def test_suspended_workers(cli: Cli, report: str, worker: HandWorker, store: Store) -> None:
    worker.finish(worker.claim())
    store.queues.suspend(None)
    text = cli("why", report, "fetch").out
    assert "the workers are suspended" in text
    assert "next: flowq resume" in text
    assert "workers are suspended" in cli("status", report).out
    fetch = next(job for job in json.loads(cli("status", report, "--json").out)["jobs"] if job["name"] == "fetch")
    assert fetch["reason"] == "suspended"
    store.queues.resume()


def test_a_canceled_run(cli: Cli, report: str, store: Store) -> None:
    store.runs.cancel(report)
    text = cli("why", report, "publish").out
    assert "publish canceled: the run was canceled" in text
    assert f"flowq retry {report} --failed" in text


def test_a_full_server(cli: Cli, report: str, worker: HandWorker, store: Store) -> None:
    """A job that has ended cannot report it: the commands agree, and say why."""
    claim = worker.claim()
    store.client.config_set("maxmemory", "1")
    try:
        with pytest.raises(ServerError, match="maxmemory"):
            worker.finish(claim)
        why, status, info = cli("why", report, "list-files"), cli("status", report), cli("info")
        document = json.loads(cli("why", report, "list-files", "--json").out)
    finally:
        store.client.config_set("maxmemory", "0")
    words = "the server has reached its maxmemory and refuses new data: no job starts"
    assert words in " ".join(why.out.split())
    assert words in status.err
    assert words in info.err
    assert any(words in detail for detail in document["details"])
    worker.finish(claim)
    assert cli("status", report).err == ""
    assert "maxmemory" not in cli("why", report, "fetch").out


def test_a_matrix_of_which_a_cell_has_failed_says_that_others_go_on() -> None:
    made = compile_text("jobs: {a: {matrix: {n: [1, 2, 3]}, run: x}}").plan
    assert made is not None
    jobs = {
        0: samples.job(0, JobStatus.FAILED, at=0, took=1, reason="error"),
        1: samples.job(1, JobStatus.STARTED, at=0),
        2: samples.job(2, JobStatus.QUEUED),
    }
    group = next(cell.ordinal for cell in made.cells if cell.group)
    told = []
    for now in (jobs, jobs | {1: samples.job(1, JobStatus.FINISHED, at=0, took=1)}):
        run = samples.view(made, samples.run_record(RunStatus.RUNNING, 3), now, {0: "exit code 1"}, frozenset())
        told += golden.plain(why_lines(explain(made, run, group, QueueState([CPU], {})), run, Terminal(width=200))).split("\n")[
            :2
        ]
    assert [line.strip() for line in told] == [
        "✖ a failing: 1 of 3 cells failed",
        "│ 2 have not ended yet",
        "✖ a failing: 1 of 3 cells failed",
        "│ 1 has not ended yet",
    ]
