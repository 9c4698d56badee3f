"""Plans: the stored form, names, params and versions."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowq.flows.views.text import safe_line
from flowq.plan import Action, Cell, Concurrency, Edge, Json, Node, Plan, PlanVersionError, RetryPolicy, cell_name
from flowq.plan.cell_names import spellings
from flowq.plan.outline import PlanOutline

_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(0, 2),
    st.text(st.sampled_from('01a,="[]{}\\n\n\u200b'), max_size=4),
    st.sampled_from(["true", "null", "1", '"1"', "a,y=b", '{"a":1}']),
)


def node(name: str, **more: object) -> Node:
    return Node(name=name, line=3, action=Action("join"), queue="default", timeout=60.0, **more)  # type: ignore[arg-type]


EVERYTHING = Plan(
    name="all",
    nodes=(
        node("plain", retry=RetryPolicy(3, (1.0, 2.0), 0.2, ("timeout", "exit:3", "pkg.Error")), allow_failure=(2, 3)),
        node("each", foreach="jobs.plain.result", max_parallel=16, fail_fast=True, reads=("plain",)),
        node("grid", matrix=True, concurrency=Concurrency({"$join": ["db-", {"$": "matrix.x"}]}, 2)),
        node("sub/@start", scope=""),
        node("sub/inner", scope="sub/", file="/flows/sub.yaml"),
        node("sub", outputs={"n": {"$": "jobs.inner.result.n"}}, reads=("sub/inner",), scope="sub/"),
        node("on_exit/clean", scope="on_exit/"),
        Node(
            Action("approval", message={"$join": ["Publish ", {"$": "params.day"}, "?"]}), "default", None, name="ask", line=9
        ),
    ),
    cells=(
        Cell(0, "plain", 0),
        Cell(1, "each", 1, (Edge(0),), group=True),
        Cell(2, "grid[x=1]", 2, (Edge(0, "done"),), {"x": 1}),
        Cell(3, "grid[x=2]", 2, (), {"x": 2}, queue="gpu"),
        Cell(4, "grid", 2, (Edge(2, "done"), Edge(3, "done")), group=True),
        Cell(5, "grid[x=1]", 2, (Edge(2, "done"),), {"x": 1}, group=True, hidden=True),
        Cell(6, "sub/@start", 3, (Edge(4),), hidden=True),
        Cell(7, "sub/inner", 4, (Edge(6),)),
        Cell(8, "sub", 5, (Edge(6, "done"), Edge(7, "done")), group=True),
        Cell(9, "on_exit/clean", 6, phase="exit"),
        Cell(10, "ask", 7, (Edge(5),)),
    ),
    file="/flows/all.yaml",
    params={"day": "2026-01-31"},
    retention=-1.0,
    timeout=7200.0,
    fail_fast=True,
    concurrency=Concurrency("report-eu", 1, "skip"),
    scopes={"sub/": {"n": 3}},
)


def test_the_stored_form_restores_the_plan() -> None:
    assert Plan.from_json(EVERYTHING.to_json()) == EVERYTHING


def test_a_name_is_mapped_to_the_only_cell_or_the_group() -> None:
    targets = EVERYTHING.targets()
    assert {name: targets[name] for name in ("plain", "each", "grid", "sub", "ask")} == {
        "plain": 0, "each": 1, "grid": 4, "sub": 8, "ask": 10,
    }  # fmt: skip


def test_a_node_has_the_params_of_its_own_file() -> None:
    inner = EVERYTHING.nodes[4]
    assert EVERYTHING.params_of(inner) == {"n": 3}
    assert EVERYTHING.file_of(inner) == "/flows/sub.yaml"
    assert EVERYTHING.params_of(EVERYTHING.nodes[6]) == {"day": "2026-01-31"}, "a handler belongs to the flow"
    assert EVERYTHING.file_of(EVERYTHING.nodes[0]) == "/flows/all.yaml"


def test_a_plan_of_version_1_is_read() -> None:
    old = {
        "version": 1, "name": "a", "file": "", "params": {}, "description": "", "labels": {}, "retention": None,
        "nodes": [{"name": "a", "line": 1, "action": {"kind": "join"}, "queue": "default", "timeout": None, "matrix": True}],
        "cells": [[0, [], {"x": 1}], [0, [[0, "done"]], None, 1]],
    }  # fmt: skip
    plan = Plan.from_json(json.dumps(old))
    assert [(cell.name, cell.group, cell.hidden, cell.phase) for cell in plan.cells] == [
        ("a[x=1]", False, False, ""),
        ("a", True, False, ""),
    ]
    assert [plan.queue_of(cell) for cell in plan.cells] == ["default", "default"]


def test_a_cell_has_its_own_queue_or_that_of_its_node() -> None:
    assert [EVERYTHING.queue_of(cell) for cell in EVERYTHING.cells[2:5]] == ["default", "gpu", "default"]
    outline = PlanOutline(EVERYTHING.to_json())
    assert [outline.own_queue(ordinal) for ordinal in (2, 3, 4, 99)] == ["", "gpu", "", ""]
    part = outline.part([3, 2])
    assert [(cell.name, part.queue_of(cell)) for cell in part.cells] == [("grid[x=2]", "gpu"), ("grid[x=1]", "default")]


def test_only_a_plan_with_queues_of_cells_needs_a_flowq_that_knows_them() -> None:
    """The worker of a local run of an older one would serve the queues of nodes alone."""
    without = replace(EVERYTHING, cells=tuple(replace(cell, queue="") for cell in EVERYTHING.cells))
    assert [json.loads(plan.to_json())["version"] for plan in (without, EVERYTHING)] == [2, 6]


OWN = replace(
    EVERYTHING,
    cells=tuple(
        replace(cell, own={"timeout": None, "allow_failure": (2, 3)}) if cell.ordinal == 3 else cell
        for cell in EVERYTHING.cells
    ),
)


def test_a_cell_has_its_own_settings_or_those_of_its_node() -> None:
    plan = Plan.from_json(OWN.to_json())
    assert plan == OWN
    for read in (plan, PlanOutline(OWN.to_json()).part([2, 3])):
        found = {cell.name: (read.node_of(cell).timeout, read.node_of(cell).allow_failure) for cell in read.cells}
        assert found["grid[x=1]"] == (60.0, False)
        assert found["grid[x=2]"] == (None, (2, 3))
    assert [json.loads(some.to_json())["version"] for some in (EVERYTHING, OWN)] == [6, 7], (
        "an older worker must not execute it"
    )


def test_a_plan_has_the_lowest_version_that_knows_its_sources_of_secrets() -> None:
    """A worker that knows no commands says so, in place of an error about a key."""

    def version(reference: dict[str, Json]) -> int:
        node = Node(name="a", line=1, action=Action("argv", args=("true",)), queue="q", timeout=None, secrets={"A": reference})
        plan = Plan(name="p", file="", params={}, description="", labels={}, retention=None, nodes=(node,), cells=())
        assert Plan.from_json(plan.to_json()).nodes[0].secrets == {"A": reference}
        return int(json.loads(plan.to_json())["version"])

    assert version({"command": ["pass", "show"]}) > version({"env": "A"})


def test_a_plan_of_a_later_version_is_refused() -> None:
    with pytest.raises(PlanVersionError, match="version 99"):
        Plan.from_json('{"version": 99}')


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        ([{"x": 1}, {"x": 2}], ["[x=1]", "[x=2]"]),
        ([{"x": 1}, {"x": "1"}, {"x": "a b"}], ["[x=1]", '[x="1"]', "[x=a b]"]),
        ([{"x": True}, {"x": "true"}, {"x": None}, {"x": "null"}], ["[x=true]", '[x="true"]', "[x=null]", '[x="null"]']),
        ([{"x": [1]}, {"x": "[1]"}, {"x": {"a": 1}}, {"x": '{"a":1}'}], ["[x=[1]]", '[x="[1]"]', '[x={"a":1}]', '[x="{\\"a\\":1}"]']),
        ([{"x": "a,y=b", "y": "c"}, {"x": "a", "y": "b,y=c"}], ['[x="a,y=b",y="c"]', '[x="a",y="b,y=c"]']),
        ([{"x": "a,y=b"}, {"x": "a", "y": "b"}, {"x": "c"}], ['[x="a,y=b"]', '[x="a",y="b"]', "[x=c]"]),
        ([{"x": 1}, {"x": "1"}, {"x": '"1"'}], ["[x=1]", '[{"x":"1"}]', '[x="1"]']),
        ([{"x": "a\nb"}, {"x": "a\\nb"}], ['[x="a\\nb"]', '[x="a\\\\nb"]']),
        ([{"x": "a\nb"}, {"x": "c"}], ["[x=a\nb]", "[x=c]"]),
    ],
)  # fmt: skip
def test_names_of_cells_differ_and_change_only_where_they_clash(cells: list[dict[str, Json]], names: list[str]) -> None:
    found = spellings(cells)
    assert [cell_name("", cell, spelling) for cell, spelling in zip(cells, found, strict=True)] == names
    node = Node(Action("shell"), "default", None, name="m", line=1, matrix=True)
    made = tuple(
        Cell(ordinal, f"m{name}", 0, matrix=cell, spelling=spelling)
        for ordinal, (cell, name, spelling) in enumerate(zip(cells, names, found, strict=True))
    )
    assert Plan.from_json(Plan("p", (node,), made).to_json()).cells == made


@given(st.lists(st.dictionaries(st.sampled_from("xy"), _VALUES, min_size=1, max_size=2), min_size=2, max_size=6))
def test_no_two_cells_have_the_same_name(drawn: list[dict[str, Json]]) -> None:
    cells = list({json.dumps(cell, sort_keys=True): cell for cell in drawn}.values())
    names = [cell_name("m", cell, spelling) for cell, spelling in zip(cells, spellings(cells), strict=True)]
    assert len({safe_line(name) for name in names}) == len(cells)
    plain = [safe_line(cell_name("m", cell)) for cell in cells]
    kept = [name for cell, name in zip(cells, plain, strict=True) if plain.count(name) == 1]
    assert set(kept) <= set(map(safe_line, names))
