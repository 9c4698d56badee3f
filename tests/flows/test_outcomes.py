"""The predictions of `plan --fail`, compared with executions of the same random graphs."""

import random
from collections.abc import Mapping

import pytest

from flowq.compiler import compile_text
from flowq.flows.actions.submit import submit
from flowq.flows.forecast.outcomes import predict_ends, run_status
from flowq.plan import Plan
from flowq.states import JobStatus, RunStatus
from flowq.store import Store
from tests.support import expected_ends
from tests.support.graphs import Extra, plan, statuses
from tests.support.slot_driver import Driver

CONDITIONS = ("success", "success", "success", "ok", "failure", "skipped", "done")


def random_plan(seed: int) -> tuple[Plan, frozenset[int]]:
    """Return a graph with all kinds of edges and some matrices, and the jobs that fail."""
    rng = random.Random(seed)
    names = [f"j{index}" for index in range(rng.randrange(4, 14))]
    shape: dict[str, Mapping[str, str]] = {}
    for index, name in enumerate(names):
        parents = rng.sample(names[:index], min(index, rng.randrange(4)))
        shape[name] = {parent: rng.choice(CONDITIONS) for parent in parents}
    made = plan(shape, cells={name: rng.randrange(1, 4) for name in names if rng.random() < 0.25})
    return made, frozenset(cell.ordinal for cell in made.jobs() if rng.random() < 0.3)


def predicted(made: Plan, failing: frozenset[int]) -> dict[str, str]:
    fates = predict_ends(made, failing)
    return {
        cell.name: f"{fates[cell.ordinal].end.status}"
        + (f"/{fates[cell.ordinal].reason}" if fates[cell.ordinal].reason else "")
        for cell in made.jobs()
    }


@pytest.mark.parametrize("seed", range(25))
def test_the_engine_ends_jobs_as_predicted(store: Store, seed: int) -> None:
    made, failing = random_plan(seed)
    run = submit(store, made, directory="/nowhere")
    driver = Driver(store)
    try:
        while claim := driver.claim():
            driver.end(claim, "failed" if claim.ordinal in failing else "finished")
            driver.settle()
    finally:
        driver.close()
    told = predicted(made, failing)
    actual = statuses(store, run)
    # If several edges break, the first to be decided gives the reason, which depends on timing.
    assert {name: text.split("/")[0] for name, text in actual.items()} == {
        name: text.split("/")[0] for name, text in told.items()
    }
    wanted = expected_ends.expected(made, {made.cells[ordinal].name: "failed" for ordinal in failing})
    assert not expected_ends.differences(told, wanted)
    assert store.runs.require(run).status == run_status(made, predict_ends(made, failing))


def compiled(text: str, **params: str) -> Plan:
    compilation = compile_text(text, params=params, date="2026-01-31")
    assert compilation.plan is not None, compilation.diagnostics
    return compilation.plan


CONDITIONAL = """
params: {full: {type: boolean, default: false}}
jobs:
  first: {run: "true", allow_failure: true}
  only-full: {if: params.full, run: "true"}
  cells: {matrix: {n: [1, 2]}, if: matrix.n == 1, run: "true"}
  after: {depends_on: {first: done}, if: "jobs.first.status == 'failed'", run: "true"}
  late: {depends_on: [first], if: "(jobs.first.result.x ?? 'z') == 'y'", run: "true"}
  later: {depends_on: [late], run: "true"}
"""


def test_an_if_is_decided_if_possible() -> None:
    made = compiled(CONDITIONAL)
    fates = {cell.name: fate for cell, fate in zip(made.cells, predict_ends(made), strict=True) if not cell.group}
    assert fates["only-full"].reason == "if_false"
    assert fates["cells[n=1]"].runs
    assert fates["cells[n=2]"].reason == "if_false"
    assert fates["after"].reason == "if_false"
    assert fates["late"].runs
    assert fates["late"].open
    assert fates["later"].open
    assert not fates["first"].open


def test_a_failure_that_is_allowed() -> None:
    made = compiled(CONDITIONAL, full="true")
    failing = frozenset({made.targets()["first"]})
    fates = predict_ends(made, failing)
    assert fates[made.targets()["first"]].end.status is JobStatus.FAILED
    assert fates[made.targets()["after"]].runs
    assert fates[made.targets()["late"]].runs
    assert run_status(made, fates) is RunStatus.FINISHED


@pytest.mark.parametrize("failing", [frozenset(), frozenset({0})])
def test_handlers_run_as_predicted(store: Store, failing: frozenset[int]) -> None:
    handlers: dict[str, dict[str, list[str]]] = {"success": {"tell": []}, "failure": {"page": []}, "exit": {"clean": []}}
    made = plan({"a": []}, extra=Extra(handlers=handlers))
    run = submit(store, made, directory="/nowhere")
    driver = Driver(store)
    try:
        while claim := driver.claim():
            driver.end(claim, "failed" if claim.ordinal in failing else "finished")
            driver.settle()
    finally:
        driver.close()
    told = predicted(made, failing)
    assert {name: text.split("/")[0] for name, text in statuses(store, run).items()} == {
        name: text.split("/")[0] for name, text in told.items()
    }
    assert told["success/tell" if failing else "failure/page"] == "skipped/not_selected"
