"""`flowq plan`: the table at common widths, the JSON document, and forecasts from history."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from flowq.cli.render.plan_table import plan_json, plan_lines, step_numbers
from flowq.cli.render.styled_text import columns
from flowq.cli.terminal import Terminal
from flowq.compiler import compile_text
from flowq.flows.forecast.history import NOTHING, History
from flowq.flows.forecast.outcomes import predict_ends
from flowq.plan import Plan
from flowq.store import Store
from tests.cli import golden, samples
from tests.cli.conftest import Cli
from tests.support.slot_driver import Driver

PLAN = samples.report_plan()
TIMES = {"list-files": 0.12, "fetch": 3.4, "build": 12.5, "spellcheck": 0.2, "publish": 1.0}
HISTORY = History(3, {cell.name: TIMES.get(PLAN.node_of(cell).name, 0.5) for cell in PLAN.jobs() if cell.ordinal != 8}, TIMES)


def text(history: History, width: int | None, failing: tuple[int, ...] = ()) -> str:
    names = [PLAN.cells[ordinal].name for ordinal in failing]
    fates = predict_ends(PLAN, frozenset(failing))
    return golden.plain(plan_lines(PLAN, fates, history, Terminal(width=width), workers=2, failing=names))


@pytest.mark.parametrize("width", [80, 120])
def test_a_plan_with_history(width: int) -> None:
    golden.check(f"plan-history-{width}", text(HISTORY, width))


@pytest.mark.parametrize("width", [80, 120])
def test_a_plan_with_a_failure(width: int) -> None:
    golden.check(f"plan-fail-{width}", text(NOTHING, width, (3,)))


@pytest.mark.parametrize("width", [10, 20, 40])
def test_a_plan_fits(width: int) -> None:
    assert all(columns(line) <= width for line in text(HISTORY, width, (1,)).splitlines())


def test_steps_count_jobs_not_groups() -> None:
    steps = step_numbers(PLAN)
    assert [steps[ordinal] for ordinal in (0, 1, 2, 7, 8, 9)] == [1, 2, 3, 3, 2, 4]


def test_the_cells_of_a_large_matrix_that_are_alike_are_counted() -> None:
    """One that fails is not; nor are those of a small matrix."""
    made = compile_text(
        f"jobs: {{small: {{matrix: {{n: {list(range(12))}}}, run: x}}, large: {{depends_on: small, matrix: {{n: {list(range(30))}}}, run: x}}}}"
    ).plan
    assert made is not None
    failing = next(cell.ordinal for cell in made.cells if cell.name == "large[n=20]")
    fates = predict_ends(made, frozenset([failing]))
    told = golden.plain(plan_lines(made, fates, NOTHING, Terminal(width=80), workers=2, failing=["large[n=20]"]))
    lines = told.splitlines()[3:-2]
    assert [" ".join(line.split()[1:3]) for line in lines] == [
        *[f"small[n={n}] runs" for n in range(12)],
        *[f"large[n={n}] runs" for n in range(3)],
        "17 more",
        "large[n=20] fails",
        *[f"large[n={n}] runs" for n in range(21, 30)],
    ]  # fmt: skip


FLOW = """
name: planned
params: {full: {type: boolean, default: false}}
jobs:
  a: {run: "true", retry: 2, timeout: 5m}
  b: {matrix: {n: [1, 2]}, depends_on: [a], run: "true"}
  c: {if: params.full, depends_on: {b: done}, run: "true"}
"""


@pytest.fixture
def flow(tmp_path: Path) -> str:
    (tmp_path / "planned.yaml").write_text(FLOW)
    return "planned.yaml"


def test_the_document(cli: Cli, flow: str) -> None:
    document = json.loads(cli("plan", flow, "--fail", "b", "-p", "full=true", "--json").out)
    jobs = {job["name"]: job for job in document["jobs"]}
    assert document["status"] == "failed"
    assert document["expected"] is None
    assert (jobs["a"]["retries"], jobs["a"]["timeout"], jobs["a"]["step"]) == (2, 300.0, 1)
    assert jobs["b[n=1]"]["status"] == "failed"
    assert (jobs["c"]["status"], jobs["c"]["if"], jobs["c"]["conditions"]) == ("finished", "params.full", ["done"])
    assert json.loads(cli("plan", flow, "--json").out)["jobs"][3]["reason"] == "if_false"


def test_an_unknown_job(cli: Cli, flow: str) -> None:
    outcome = cli("plan", flow, "--fail", "bb")
    assert outcome.code == 2
    assert "the flow planned has no job 'bb'" in outcome.err


def test_history_of_earlier_runs(cli: Cli, store: Store, flow: str, submit_plan: Callable[[Plan], str]) -> None:
    assert "expected" not in cli("plan", flow).out
    assert cli("run", flow, "--detach").code == 0
    driver = Driver(store)
    driver.settle()
    while claim := driver.claim():
        driver.end(claim)
        driver.settle()
    driver.close()
    shown = cli("plan", flow, "--workers", "2").out
    assert "with 2 workers  (from 1 earlier run" in shown
    assert "critical path" in shown
    assert "expected" not in cli("plan", flow, "--no-history").out


def test_a_plan_without_a_server(cli: Cli, flow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWQ_REDIS_URL", "redis://127.0.0.1:1")
    outcome = cli("plan", flow)
    assert outcome.code == 0
    assert outcome.err.startswith("no history: ")
    assert "3  c" in outcome.out


PARTS = """
name: parts
stages: [check, ship]
jobs:
  unit: {stage: check, run: "true", queue: cpu}
  lint: {stage: check, run: "true", allow_failure: true}
  ship: {stage: ship, run: "true", timeout: 5m, retry: 2}
  note: {depends_on: {ship: done}, run: "true"}
on_failure:
  page: {run: "true"}
"""


def test_a_part_of_a_flow(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "parts.yaml").write_text(PARTS, encoding="utf-8")
    golden.check("plan-whole", cli("plan", "parts.yaml", "--no-history").out)
    golden.check("plan-part", cli("plan", "parts.yaml", "--no-history", "--until", "ship", "--fail", "unit").out)
    document = json.loads(cli("plan", "parts.yaml", "--no-history", "--json", "--stage", "check").out)
    assert {job["name"]: job["reason"] for job in document["jobs"] if job["reason"]} == {
        "ship": "not_selected",
        "note": "not_selected",
        "on_failure/page": "not_selected",  # no job fails
    }
    preview = json.loads(cli("run", "parts.yaml", "--dry-run", "--json", "--job", "note").out)
    assert [job["name"] for job in preview["jobs"]] == ["note", "on_failure/page"]
    drawn = json.loads(cli("graph", "parts.yaml", "--format", "json", "--stage", "check").out)
    assert [node["name"] for node in drawn["nodes"]] == ["unit", "lint", "on_failure/page"]
    wrong = cli("plan", "parts.yaml", "--stage", "chek")
    assert (wrong.code, wrong.out) == (2, "")
    assert wrong.err == "error: the flow parts has no stage 'chek'; did you mean 'check'?\n"


def test_a_run_of_a_part_counts_selected_jobs(cli: Cli, store: Store, tmp_path: Path) -> None:
    (tmp_path / "parts.yaml").write_text(PARTS, encoding="utf-8")
    run = cli("run", "parts.yaml", "--until", "ship", "--detach").out.split()[0]
    driver = Driver(store, "default", "cpu")
    while claim := driver.claim():
        driver.end(claim)
        driver.settle()
    driver.close()
    assert cli("runs").out.splitlines()[1].endswith("  3/3")  # the handler is for failures
    (document,) = json.loads(cli("runs", "--json").out)
    assert (document["id"], document["total"], document["selected"], document["not_needed"]) == (run, 5, 4, 2)
    assert json.loads(cli("status", run, "--json").out)["not_needed"] == 2
    assert cli("graph", run, "--job", "ship").code == 2


def test_gates_and_stages_are_not_shown(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "part.yaml").write_text("jobs:\n  one: {run: x}\n  two: {run: x, depends_on: one}\n")
    (tmp_path / "flow.yaml").write_text(
        "stages: [build, ship]\njobs:\n  a: {run: x, stage: build}\n  b: {run: x, stage: build}\n"
        "  part: {flow: part.yaml, stage: ship}\n  cells: {matrix: {n: [1, 2]}, flow: part.yaml, depends_on: {part: done}}\n"
    )
    for command in (("plan", "--no-history"), ("plan", "--no-history", "--fail", "a"), ("run", "--dry-run"), ("validate",)):
        text = cli(command[0], "flow.yaml", *command[1:]).out
        assert "8 jobs" in text
        assert "@" not in text
        assert "stage:" not in text
    document = json.loads(cli("plan", "flow.yaml", "--no-history", "--json").out)
    jobs = {job["name"]: job for job in document["jobs"]}
    assert jobs["part/one"]["depends_on"] == ["stage build"]
    assert [jobs[name]["step"] for name in ("a", "part/one", "part/two", "cells[n=1]/one")] == [1, 2, 3, 4]


def test_a_plan_says_what_jobs_ask_for_with_the_values_of_each_cell() -> None:
    made = compile_text(
        """
        params: {size: {type: integer, default: 2}}
        jobs:
          cell: {matrix: {n: [1, 2]}, run: x, resources: {cpus: "${{ matrix.n }}", memory: 512M, time: 10m}}
          more: {run: x, resources: {memory: "${{ run.attempt > 1 ? '8G' : '2G' }}", gpus: "${{ params.size }}"}}
          late: {run: x, resources: {memory: "${{ run.id }}"}}
        """
    ).plan
    assert made is not None
    told = golden.plain(plan_lines(made, predict_ends(made), NOTHING, Terminal(width=None), workers=2, failing=[]))
    assert [line.split("default  1h, ")[1].split("  ")[0] for line in told.splitlines() if "default" in line] == [
        "cpus 1, memory 512M, time 10m",
        "cpus 2, memory 512M, time 10m",
        "memory 2G, gpus 2",
        "memory ${{ run.id }}",
    ]
    asked = {job["name"]: job["resources"] for job in plan_json(made, predict_ends(made), NOTHING, 2)["jobs"]}
    assert asked["cell[n=2]"] == {"cpus": 2, "memory": 512 * 1024**2, "time": 600}
    assert asked["late"] == {"memory": "${{ run.id }}"}
