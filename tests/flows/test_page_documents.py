"""Documents for drawings: positions of a graph, and the timeline of a run."""

from pathlib import Path

from flowq.compiler import compile_text
from flowq.flows.actions.submit import submit
from flowq.flows.render.graph.positions import graph_layout_json
from flowq.flows.render.timeline_document import timeline_json
from flowq.flows.views.snapshot import read_events, read_plan, read_view
from flowq.plan import Plan
from flowq.store import Store
from tests.support.slot_driver import Driver

TEXT = """
jobs:
  load:
    matrix: {part: [a, b]}
    run: echo ${{ matrix.part }}
  check: {depends_on: [load], run: "true"}
  ask: {depends_on: [check], approval: {message: "Go on?"}}
  end: {depends_on: {ask: success, load: success, check: failure}, run: "true"}
"""


def plan_of(text: str, tmp_path: Path) -> Plan:
    plan = compile_text(text, file=str(tmp_path / "flow.yaml")).plan
    assert plan is not None
    return plan


def test_boxes_of_a_folded_graph_name_the_jobs_whose_states_they_show(tmp_path: Path) -> None:
    plan = plan_of(TEXT, tmp_path)
    document = graph_layout_json(plan)
    assert [(box["label"], box["kind"], box["column"]) for box in document["boxes"]] == [
        ("load ×2", "matrix", 0),
        ("check", "job", 1),
        ("ask", "approval", 2),
        ("end", "job", 3),
    ]
    names = [[plan.cells[ordinal].name for ordinal in box["ordinals"]] for box in document["boxes"]]
    assert names == [["load[part=a]", "load[part=b]"], ["check"], ["ask"], ["end"]]
    assert document["edges"] == [[0, 1, "success"], [1, 2, "success"], [2, 3, "success"]]
    assert (document["columns"], document["rows"]) == (4, 1)


def test_every_cell_has_a_box_and_edges_join_neighbouring_columns(tmp_path: Path) -> None:
    text = TEXT + "  late: {depends_on: {load: failure}, run: 'true'}\n  last: {depends_on: [end, late], run: 'true'}\n"
    document = graph_layout_json(plan_of(text, tmp_path), cells=True)
    places = [(box["column"], box["row"]) for box in document["boxes"]] + [tuple(place) for place in document["passes"]]
    assert len(set(places)) == len(places)
    assert document["passes"], "an edge to `last` crosses columns"
    assert all(places[end][0] == places[begin][0] + 1 for begin, end, _condition in document["edges"])
    assert {condition for _begin, _end, condition in document["edges"]} == {"success", "failure", "done"}
    assert [box["label"] for box in document["boxes"]][:2] == ["load[part=a]", "load[part=b]"]


def test_the_condition_of_an_edge_that_crosses_columns_stands_on_its_last_piece(tmp_path: Path) -> None:
    text = "jobs: {a: {run: 'true'}, b: {depends_on: [a], run: 'true'}, c: {run: 'true'}, d: {depends_on: {b: success, c: failure}, run: 'true'}}"
    document = graph_layout_json(plan_of(text, tmp_path))
    labels = {box["id"]: box["label"] for box in document["boxes"]}
    pieces = [(labels.get(begin, "pass"), labels.get(end, "pass"), condition) for begin, end, condition in document["edges"]]
    assert ("c", "pass", "success") in pieces
    assert ("pass", "d", "failure") in pieces


def test_a_timeline_has_phases_since_the_first_start(store: Store, tmp_path: Path) -> None:
    run = submit(store, plan_of("jobs: {a: {run: 'true'}, b: {depends_on: [a], run: 'true'}}", tmp_path), directory=tmp_path)
    driver = Driver(store)
    driver.settle()
    claim = driver.claim()
    assert claim is not None
    driver.let_time_pass()
    driver.end(claim, "finished")
    driver.settle()
    assert driver.claim() is not None
    document = timeline_json(read_plan(store, run), read_view(store, run), read_events(store, run))
    assert document["end"] is None
    first, second = document["bars"]
    assert (first["name"], first["status"], second["status"]) == ("a", "finished", "started")
    kind, begin, end = first["phases"][-1]
    assert (kind, begin) == ("execution", 0)
    assert end >= 0
    assert second["phases"][-1][0] == "execution"
    assert second["phases"][-1][2] is None, "it goes on"
    assert first["critical"] or second["critical"]
