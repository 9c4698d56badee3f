"""Parts of a flow: selected jobs, refused selections, and their execution."""

import random
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from flowq.compiler import compile_text
from flowq.exceptions import InvalidRunOperation, NoSuchJobError, UsageError
from flowq.flows.actions.retry import plan_rerun, plan_retry
from flowq.flows.actions.selection import select
from flowq.flows.actions.submit import submit
from flowq.flows.flow import Flow
from flowq.flows.forecast.outcomes import predict_ends
from flowq.flows.local_worker.worker import needed_queues
from flowq.flows.render.graph.model import graph_of
from flowq.flows.views.snapshot import read_view
from flowq.plan import Plan, Selection
from flowq.states import JobStatus
from flowq.store import Store
from tests.flows.test_outcomes import predicted, random_plan
from tests.support.graphs import Extra, plan, statuses
from tests.support.slot_driver import Driver

FLOW = """
name: sel
stages: [build, test, ship]
jobs:
  fetch: {run: echo, queue: io}
  build:
    stage: build
    depends_on: [fetch]
    matrix: {fmt: [pdf, html], lang: [en, de]}
    run: echo "${{ jobs.fetch.result.rows }}"
  lint: {stage: build, run: echo}
  test: {stage: test, run: echo}
  deploy: {stage: ship, flow: inner.yaml}
  each: {depends_on: [lint], foreach: "${{ range(3) }}", run: "echo ${{ item }}", queue: fan}
  publish:
    depends_on: {build: success, deploy: success}
    if: ${{ jobs.deploy.status == 'finished' }}
    run: echo
on_exit:
  clean: {run: echo}
"""
INNER = """
jobs:
  up: {run: echo}
  down: {depends_on: [up], matrix: {n: [1, 2]}, run: echo}
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    folder = tmp_path_factory.mktemp("flow")
    (folder / "inner.yaml").write_text(INNER, encoding="utf-8")
    made = compile_text(FLOW, file=str(folder / "sel.yaml"), date="2026-01-31")
    assert made.plan is not None, made.diagnostics
    return made.plan


def names(made: Plan) -> set[str]:
    """Return the names of the selected jobs; a foreach is planned as a group."""
    return {
        cell.name
        for cell in made.cells
        if cell.selected and not cell.phase and not cell.hidden and (not cell.group or made.node_of(cell).foreach is not None)
    }


BUILD = {f"build[fmt={fmt},lang={lang}]" for fmt in ("pdf", "html") for lang in ("en", "de")}
SHAPE = {"a": [], "b": ["a"], "c": ["b"], "d": ["b", "c"], "e": []}
HTML, EN = ({name for name in BUILD if value in name} for value in ("html", "en"))
DOWN = {"deploy/down[n=1]", "deploy/down[n=2]"}
DEPLOY = {"deploy/up", "deploy/down[n=1]", "deploy/down[n=2]"}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Selection(jobs=("lint",)), {"lint"}),
        (Selection(jobs=("fetch", "build")), {"fetch"} | BUILD),
        (Selection(jobs=("fetch", "build[fmt=pdf,lang=de]")), {"fetch", "build[fmt=pdf,lang=de]"}),
        (Selection(jobs=("deploy",)), DEPLOY),
        (Selection(jobs=("deploy/down",)), {"deploy/down[n=1]", "deploy/down[n=2]"}),
        (Selection(jobs=("each",)), {"each"}),
        (Selection(jobs=("fetch",), stages=("build",)), {"fetch", "lint"} | BUILD),
        (Selection(stages=("ship",)), DEPLOY),
        (Selection(until=("build",)), {"fetch"} | BUILD),
        (Selection(until=("build[fmt=html,lang=en]",)), {"fetch", "build[fmt=html,lang=en]"}),
        (Selection(until=("each",)), {"lint", "each"}),
        (Selection(until=("test",)), {"fetch", "lint", "test"} | BUILD),
        (Selection(until=("publish",)), {"fetch", "lint", "test", "publish"} | BUILD | DEPLOY),
        (Selection(jobs=("lint",), until=("fetch",)), {"lint", "fetch"}),
        (Selection(without=("lint",)), {"fetch", "test", "each", "publish"} | BUILD | DEPLOY),
        (Selection(without=("build[fmt=pdf]", "deploy/up", "each")), {"fetch", "lint", "test", "publish"} | HTML | DOWN),
        (Selection(until=("publish",), without=("test", "build")), {"fetch", "lint", "publish"} | DEPLOY),
        (Selection(stages=("build",), jobs=("fetch",), without=("build[lang=de]",)), {"fetch", "lint"} | EN),
    ],
)
def test_selected_jobs(whole: Plan, wanted: Selection, found: set[str]) -> None:
    part = select(whole, wanted)
    assert names(part) == found
    assert {cell.name for cell in part.cells if cell.phase} == {"on_exit/clean"}
    # No job waits for one that is not selected, and the stored form keeps the selection.
    assert all(part.cells[edge.parent].selected for cell in part.cells for edge in cell.parents)
    assert Plan.from_json(part.to_json()) == part
    assert {vertex.name for vertex in graph_of(part).vertices} >= {name.partition("[")[0] for name in found}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Selection(jobs=("fan",)), {f"fan[n={n}]/{name}" for n in (1, 2) for name in ("up", "down[n=1]", "down[n=2]")}),
        (Selection(jobs=("fan[n=2]",)), {"fan[n=2]/up", "fan[n=2]/down[n=1]", "fan[n=2]/down[n=2]"}),
        (Selection(until=("fan[n=1]/up",)), {"first", "fan[n=1]/up"}),
        (
            Selection(until=("last",)),
            {"first", "last"} | {f"fan[n={n}]/{x}" for n in (1, 2) for x in ("up", "down[n=1]", "down[n=2]")},
        ),
    ],
)
def test_parts_of_a_matrix_of_flows(tmp_path: Path, wanted: Selection, found: set[str]) -> None:
    (tmp_path / "inner.yaml").write_text(INNER, encoding="utf-8")
    text = """
    jobs:
      first: {run: echo}
      fan: {depends_on: [first], matrix: {n: [1, 2]}, flow: inner.yaml}
      last: {depends_on: [fan], run: echo}
    """
    made = compile_text(text, file=str(tmp_path / "fan.yaml"), date="2026-01-31").plan
    assert made is not None
    assert names(select(made, wanted)) == found


def test_an_empty_selection_is_the_whole_flow(whole: Plan) -> None:
    assert select(whole, Selection()) is whole
    assert "selection" not in whole.to_json()


@pytest.mark.parametrize(
    ("wanted", "error", "text"),
    [
        (Selection(jobs=("lnt",)), NoSuchJobError, "did you mean 'lint'"),
        (Selection(until=("zzzzzz",)), NoSuchJobError, "its jobs: fetch, build"),
        (Selection(stages=("shp",)), NoSuchJobError, "did you mean 'ship'"),
        (Selection(stages=("zzzzzz",)), NoSuchJobError, "its stages: build, test, ship"),
        (Selection(jobs=("on_exit/clean",)), UsageError, "is a handler"),
        (Selection(jobs=("build",)), UsageError, "'build' (sel.yaml:6) uses the result or status of 'fetch'"),
        (Selection(jobs=("publish", "build", "fetch")), UsageError, "--until publish"),
        (Selection(without=("fetch",)), UsageError, "'fetch', which is not selected: leave it out, too: --without build"),
        (Selection(without=("on_exit/clean",)), UsageError, "is a handler"),
        (Selection(without=("lnt",)), NoSuchJobError, "did you mean 'lint'"),
    ],
)
def test_refused_selections(
    whole: Plan, wanted: Selection, error: type[Exception], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(whole.file).parent)
    with pytest.raises(error, match=re.escape(text)):
        select(whole, wanted)


def test_what_waits_for_a_job_that_is_left_out_waits_for_what_that_waited_for(store: Store) -> None:
    made = select(plan(SHAPE | {"f": ["d", "e"]}, cells={"b": 2}), Selection(without=("b", "d")))
    waits = {
        cell.name: {made.cells[edge.parent].name for edge in cell.parents}
        for cell in made.cells
        if cell.selected and not cell.group
    }
    assert waits == {"a": set(), "c": {"a"}, "e": set(), "f": {"a", "c", "e"}}
    run = submit(store, made, directory="/nowhere")
    driver = Driver(store)
    try:
        finish_all(driver, failing=[0])
    finally:
        driver.close()
    failed = {"a": "failed/error", "c": "skipped/upstream_failed", "f": "skipped/upstream_failed", "e": "finished"}
    assert statuses(store, run) == failed | dict.fromkeys(("b[n=0]", "b[n=1]", "d"), "skipped/not_selected")


def test_cells_that_are_left_out_are_not_waited_for_and_the_others_are() -> None:
    made = select(plan(SHAPE, cells={"b": 2}), Selection(without=("b[n=0]",)))
    by_name = {cell.name: cell for cell in made.cells}
    assert {made.cells[edge.parent].name for edge in by_name["b"].parents} == {"b[n=1]"}, "the matrix counts its cells alone"
    assert {made.cells[edge.parent].name for edge in by_name["c"].parents} == {"b"}


def test_only_the_queues_of_selected_jobs_are_needed(whole: Plan) -> None:
    assert needed_queues(whole) == ["default", "fan", "io"]
    assert needed_queues(select(whole, Selection(jobs=("each",)))) == ["default", "fan"]  # the handler's, and the foreach's


def finish_all(driver: Driver, failing: Iterable[int] = ()) -> list[int]:
    done: list[int] = []
    while claim := driver.claim():
        assert claim.ordinal is not None
        done.append(claim.ordinal)
        driver.end(claim, "failed" if claim.ordinal in failing else "finished")
        driver.settle()
    return done


def test_the_engine_runs_the_part_and_skips_the_rest(store: Store) -> None:
    made = select(plan(SHAPE, cells={"b": 2}), Selection(jobs=("b[n=1]", "d")))
    run = submit(store, made, directory="/nowhere")
    driver = Driver(store)
    try:
        finish_all(driver)
    finally:
        driver.close()
    out = "skipped/not_selected"
    assert statuses(store, run) == {"a": out, "b[n=0]": out, "b[n=1]": "finished", "c": out, "d": "finished", "e": out}
    view = read_view(store, run)
    assert str(view.status) == "finished"
    assert [job.name for job in view.selected_jobs] == ["b[n=1]", "d"]


def test_a_failure_and_its_retry_stay_inside_the_part(store: Store) -> None:
    made = select(plan(SHAPE, extra=Extra(handlers={"exit": {"clean": []}})), Selection(jobs=("b", "c")))
    run = submit(store, made, directory="/nowhere")
    driver = Driver(store)
    try:
        finish_all(driver, failing=[1])
        assert statuses(store, run)["c"] == "skipped/upstream_failed"
        retry = plan_retry(store, run)
        assert [name for name, _why in retry.jobs] == ["b", "c", "exit/clean"]
        retry.apply(store)
        finish_all(driver)
        assert {name: text for name, text in statuses(store, run).items() if text == "finished"}.keys() == {
            "b",
            "c",
            "exit/clean",
        }
        assert [name for name, _why in plan_rerun(store, run, {1}, only=False).jobs] == ["b", "c", "exit/clean"]
        with pytest.raises(InvalidRunOperation, match="'d' was not selected"):
            plan_rerun(store, run, {3}, only=False)
    finally:
        driver.close()


@pytest.mark.parametrize("without", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_random_parts_of_random_graphs(store: Store, seed: int, without: bool) -> None:
    """Jobs end as predicted, and no job is executed that was not selected."""
    rng = random.Random(seed)
    made, failing = random_plan(seed)
    nodes = [node.name for node in made.nodes]
    wanted = Selection(
        jobs=tuple(rng.sample(nodes, rng.randrange(3))), until=tuple(rng.sample(nodes, 1)) if rng.random() < 0.7 else ()
    )
    if without:
        wanted = replace(wanted if rng.random() < 0.5 else Selection(), without=tuple(rng.sample(nodes, 2)))
    part = select(made, wanted)
    run = submit(store, part, directory="/nowhere")
    driver = Driver(store)
    try:
        executed = finish_all(driver, failing)
    finally:
        driver.close()
    assert all(part.cells[ordinal].selected for ordinal in executed)
    told = {name: text.split("/")[0] for name, text in predicted(part, failing).items()}
    assert {name: text.split("/")[0] for name, text in statuses(store, run).items()} == told
    assert store.runs.require(run).ended


def test_from_python(tmp_path: Path) -> None:
    (tmp_path / "inner.yaml").write_text(INNER, encoding="utf-8")
    (tmp_path / "sel.yaml").write_text(FLOW, encoding="utf-8")
    part = Flow.load(tmp_path / "sel.yaml").select(without=["lint", "publish"])
    assert names(part.plan) == {"fetch", "test", "each"} | BUILD | DEPLOY
    part = Flow.load(tmp_path / "sel.yaml").select(stages=["build"], until=["build"])
    assert names(part.plan) == {"fetch", "lint"} | BUILD
    fates = predict_ends(part.plan)
    assert {fates[cell.ordinal].end.status for cell in part.plan.selected_jobs()} == {JobStatus.FINISHED}
