"""A matrix without cells and a foreach over an empty list: a job that succeeds with an empty list, shown like others."""

import json
from xml.etree import ElementTree as ET

import pytest

from flowq.flows.actions.retry import plan_rerun
from flowq.flows.actions.selection import find_jobs
from flowq.flows.explain.queue_state import read_queue_state
from flowq.flows.explain.why import explain
from flowq.flows.render.graph.model import graph_of
from flowq.flows.render.junit import junit_xml
from flowq.flows.views.snapshot import read_plan
from flowq.states import JobStatus
from tests.language.lab import Lab

EMPTY = """
    params: {list: {type: list, default: []}}
    jobs:
      first: {run: 'test ! -e broken'}
      grid: {depends_on: first, matrix: {v: "${{ params.list }}"}, if: matrix.v == 1, concurrency: {group: "${{ matrix.v }}"}, run: exit 1}
      each: {depends_on: first, foreach: params.list, run: exit 1}
      part: {depends_on: first, matrix: {v: "${{ params.list }}"}, flow: parts/backfill.yaml, params: {days: ["${{ matrix.v }}"]}}
      next:
        depends_on: [grid, each, part]
        call: 'language_jobs:give'
        args: [["${{ jobs.grid.result }}", "${{ jobs.each.result }}", "${{ jobs.part.result }}", "${{ jobs.each.status }}"]]
    on_exit:
      after: {matrix: {v: "${{ params.list }}"}, run: exit 1}
      again: {foreach: params.list, run: exit 1}
"""


def test_a_job_without_cells_is_shown_as_a_job(lab: Lab) -> None:
    run = lab.run(EMPTY)
    names = ["first", "grid", "each", "part", "next", "on_exit/after", "on_exit/again"]
    assert run.states() == dict.fromkeys(names, "finished")
    assert run.result("next") == [[], [], [], "finished"]
    assert [run.result(name) for name in ("grid", "each", "part")] == [[], [], []]
    assert run.view.counts == run.store.runs.require(run.id).counts == {JobStatus.FINISHED: 7}
    assert run.store.runs.require(run.id).total == 7
    cases = ET.fromstring(junit_xml(run.view, {})).iter("testcase")
    assert [case.get("name") for case in cases] == names
    plan = read_plan(run.store, run.id)
    for drawing in (graph_of(plan, run.view), graph_of(plan, run.view, cells=True)):
        assert {vertex.name: vertex.status for vertex in drawing.vertices} == dict.fromkeys(names, JobStatus.FINISHED)
    around = read_queue_state(run.store, run.view)
    texts = [explain(plan, run.view, plan.targets()[name], around).text for name in ("grid", "each", "part")]
    assert texts == ["it has no cells: there was nothing to do"] * 3


def test_a_job_without_cells_waits_and_is_skipped(lab: Lab) -> None:
    (lab.directory / "broken").touch()
    run = lab.run(EMPTY)
    skipped = dict.fromkeys(["grid", "each", "part"], "skipped/upstream_failed") | {"next": "skipped/upstream_skipped"}
    assert run.states() == {"first": "failed/error", **skipped, "on_exit/after": "finished", "on_exit/again": "finished"}
    (lab.directory / "broken").unlink()
    run.retry().ended()
    assert set(run.states().values()) == {"finished"}
    assert run.store.runs.require(run.id).counts == {JobStatus.FINISHED: 7}


@pytest.mark.parametrize("name", ["grid", "each", "part"])
def test_a_job_without_cells_is_retried_by_its_name(lab: Lab, name: str) -> None:
    run = lab.run(EMPTY)
    plan = read_plan(run.store, run.id)
    retry = plan_rerun(run.store, run.id, find_jobs(plan, name, "the run"), only=False)
    assert [job for job, _reason in retry.jobs] == [name, "next", "on_exit/after", "on_exit/again"]
    retry.apply(run.store)
    assert set(run.ended().states().values()) == {"finished"}
    assert run.view.counts == run.store.runs.require(run.id).counts == {JobStatus.FINISHED: 7}


def test_a_list_that_was_empty_is_evaluated_again(lab: Lab) -> None:
    (lab.directory / "items.json").write_text('{"items": []}')
    run = lab.run(
        """
        jobs:
          list: {run: cat items.json >> $FLOWQ_OUTPUT}
          each: {depends_on: list, foreach: jobs.list.result.items, call: 'language_jobs:give', args: ["${{ item }}"]}
          next: {depends_on: each, call: 'language_jobs:give', args: ["${{ jobs.each.result }}"]}
        """
    )
    for items in ([], [1, 2], []):
        (lab.directory / "items.json").write_text(json.dumps({"items": items}))
        plan = read_plan(run.store, run.id)
        plan_rerun(run.store, run.id, find_jobs(plan, "list", "the run"), only=False).apply(run.store)
        run.ended()
        assert run.result("next") == items
        cells = [f"each[{index}]" for index in range(len(items))] or ["each"]
        assert list(run.states()) == ["list", *cells, "next"]
        assert run.store.runs.require(run.id).counts == {JobStatus.FINISHED: 2 + len(cells)}
