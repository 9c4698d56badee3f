"""Plans: the stored form, names, params and versions."""

import json

import pytest

from flowq.plan import Action, Cell, Concurrency, Edge, Node, Plan, PlanVersionError, RetryPolicy


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
        Cell(3, "grid[x=2]", 2, (), {"x": 2}),
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


def test_a_plan_of_a_later_version_is_refused() -> None:
    with pytest.raises(PlanVersionError, match="version 99"):
        Plan.from_json('{"version": 99}')
