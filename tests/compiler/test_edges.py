"""Groups only save edges: jobs wait for the same jobs as without groups. Random flows are compared with the definitions."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowq.compiler import compile_text, render
from flowq.flows.forecast import graph_rules
from flowq.plan import Cell, Json, Plan
from flowq.states import Condition, JobStatus


def plan_of(flow: Mapping[str, Json]) -> Plan:
    import json

    result = compile_text(json.dumps(flow))
    assert result.plan is not None, "\n".join(map(render, result.diagnostics))
    return result.plan


def awaited(plan: Plan, cell: Cell) -> set[str]:
    """Return the jobs that a cell waits for, through groups and gates."""
    found: set[str] = set()
    waiting = [edge.parent for edge in cell.parents]
    while waiting:
        parent = plan.cells[waiting.pop()]
        if parent.group or parent.hidden:
            waiting += [edge.parent for edge in parent.parents]
        else:
            found.add(parent.name)
    return found


AXES = st.dictionaries(
    st.sampled_from(["x", "y", "z"]), st.lists(st.integers(0, 3), min_size=1, max_size=3, unique=True), min_size=1
)


@settings(max_examples=100, deadline=None)
@given(AXES, AXES, st.data())
def test_match_connects_every_pair_of_equal_cells(
    above: dict[str, list[int]], below: dict[str, list[int]], data: st.DataObject
) -> None:
    shared = sorted(above.keys() & below.keys())
    if not shared:
        return
    match = data.draw(st.lists(st.sampled_from(shared), min_size=1, unique=True))
    plan = plan_of(
        {
            "jobs": {
                "a": {"run": "x", "matrix": above},
                "b": {"run": "x", "matrix": below, "depends_on": {"a": {"match": match}}},
            }
        }
    )
    parents = [cell for cell in plan.jobs() if plan.node_of(cell).name == "a"]
    for cell in plan.jobs():
        if plan.node_of(cell).name == "b":
            assert cell.matrix is not None
            equal = {
                parent.name
                for parent in parents
                if parent.matrix is not None and all(parent.matrix[axis] == cell.matrix[axis] for axis in match)
            }
            assert awaited(plan, cell) == equal
    ordinals = [cell.ordinal for cell in plan.jobs() if plan.node_of(cell).name == "b"]
    assert ordinals == list(range(ordinals[0], ordinals[0] + len(ordinals)))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["one", "two", "three", None]), min_size=1, max_size=10))
def test_a_stage_waits_for_every_job_of_the_nearest_earlier_one(stages: list[str | None]) -> None:
    jobs = {f"j{number}": {"run": "x"} | ({"stage": stage} if stage else {}) for number, stage in enumerate(stages)}
    order = ["one", "two", "three"]
    plan = plan_of({"stages": order, "jobs": jobs})
    for cell in plan.jobs():
        stage = jobs[cell.name].get("stage")
        earlier = [name for name in order[: order.index(stage)] if name in stages] if stage else []
        expected = {name for name, job in jobs.items() if earlier and job.get("stage") == earlier[-1]}
        assert awaited(plan, cell) == expected


CONDITIONS = st.sampled_from([str(condition) for condition in Condition])


@st.composite
def inner_flows(draw: st.DrawFn) -> dict[str, Json]:
    """Draw a flow of a few jobs with edges of all kinds, some of them several cells."""
    jobs: dict[str, Json] = {}
    for number in range(draw(st.integers(1, 6))):
        parents = draw(st.lists(st.sampled_from(sorted(jobs)), unique=True, max_size=3)) if jobs else []
        job: dict[str, Json] = {"run": "x", "depends_on": {parent: draw(CONDITIONS) for parent in parents}}
        kind = draw(st.sampled_from(["", "", "matrix", "foreach"]))
        if kind == "matrix":
            job["matrix"] = {"v": [1, 2]}
        elif kind == "foreach":
            job["foreach"] = "range(2)"
        jobs[f"j{number}"] = job
    return {"jobs": jobs}


def ends(plan: Plan, given: dict[str, JobStatus]) -> dict[str, graph_rules.End]:
    """Return the ends of all cells: some are given, and all others finish if they run."""
    found: list[graph_rules.End] = []
    for cell in plan.cells:
        if cell.group and plan.node_of(cell).foreach is None:
            found.append(graph_rules.group_end(found[edge.parent] for edge in cell.parents))
            continue
        held = all(graph_rules.holds(found[edge.parent], edge.condition) for edge in cell.parents)
        status = given.get(cell.name, JobStatus.FINISHED) if held else JobStatus.SKIPPED
        found.append(graph_rules.End(status))
    return {cell.name: end for cell, end in zip(plan.cells, found, strict=True) if not (cell.hidden and cell.group)}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flow=inner_flows(), nested=st.booleans())
def test_no_job_of_a_skipped_sub_flow_runs(folder: Path, flow: dict[str, Json], nested: bool) -> None:
    import json

    (folder / "inner.yaml").write_text(json.dumps(flow))
    (folder / "middle.yaml").write_text(
        '{"jobs": {"m": {"flow": "inner.yaml"}, "n": {"run": "x", "depends_on": {"m": "done"}}}}'
    )
    plan = plan_of(
        {
            "jobs": {
                "part": {"flow": "middle.yaml" if nested else "inner.yaml"},
                "after": {"run": "x", "depends_on": {"part": "done"}},
            }
        }
    )
    found = ends(plan, {"part/@start": JobStatus.SKIPPED})
    assert {end.status for name, end in found.items() if name.startswith("part")} == {JobStatus.SKIPPED}
    assert found["after"].status is JobStatus.FINISHED
    failed = ends(plan, {"part/@start": JobStatus.FAILED})
    assert failed["part"].status is JobStatus.FAILED


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flow=inner_flows(), data=st.data())
def test_a_sub_flow_ends_as_it_would_alone(folder: Path, flow: dict[str, Json], data: st.DataObject) -> None:
    """A finished gate does not affect the jobs of a sub-flow."""
    import json

    (folder / "inner.yaml").write_text(json.dumps(flow))
    alone = plan_of(flow)
    failing = {cell.name: JobStatus.FAILED for cell in alone.cells if not cell.group and data.draw(st.booleans())}
    part = plan_of({"jobs": {"p": {"flow": "inner.yaml"}}})
    expected = ends(alone, failing)
    found = ends(part, {f"p/{name}": status for name, status in failing.items()})
    assert {name: found[f"p/{name}"].status for name in expected} == {name: end.status for name, end in expected.items()}
