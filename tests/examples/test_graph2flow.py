"""The converter of workflow graphs."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.graph2flow import GraphError, Options, convert, job_names, legal_name, main, parse, read
from flowq.compiler import compile_text
from tests.examples.corpora import graph_files

CALL = Options()
SMALL = {
    "format": "flowgraph/1",
    "name": "small graph",
    "source": {"repo": "example/graphs", "licence": "CC0"},
    "jobs": [
        {"id": "A:1", "deps": [], "runtime_s": 30.0, "type": "a"},
        {"id": "A.1", "deps": [], "runtime_s": None, "type": "a"},
        {"id": "null", "deps": ["A:1", "A.1", "A:1"], "runtime_s": 9000, "type": "b"},
    ],
}


def flow_of(document: dict[str, Any], options: Options = CALL) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(convert(parse(document), options))
    return loaded


def test_ids_become_legal_and_unique_names() -> None:
    assert job_names(parse(SMALL)) == {"A:1": "A-1", "A.1": "A-1-2", "null": "j-null"}


@pytest.mark.parametrize(
    ("text", "name"),
    [("ok_1-a", "ok_1-a"), ("1000genome", "j-1000genome"), ("a/b c", "a-b-c"), ("True", "j-True"), ("::", "j"), ("_x", "j-_x")],
)
def test_legal_name(text: str, name: str) -> None:
    assert legal_name(text) == name


def test_edges_are_kept_and_named_once() -> None:
    flow = flow_of(SMALL)
    assert flow["jobs"]["j-null"] == {"call": "benchmarks.noop:noop", "depends_on": ["A-1", "A-1-2"]}
    assert "depends_on" not in flow["jobs"]["A-1"]


def test_sleep_is_scaled_and_capped() -> None:
    jobs = flow_of(SMALL, Options(action="sleep", scale=0.01, cap=0.5))["jobs"]
    assert [jobs[name]["args"] for name in ("A-1", "A-1-2", "j-null")] == [[0.3], [0.0], [0.5]]


def test_options_reach_the_file() -> None:
    assert flow_of(SMALL, Options(action="run"))["jobs"]["A-1"] == {"run": ["true"]}
    assert flow_of(SMALL, Options(module="my.jobs", queue="wide"))["defaults"] == {"queue": "wide"}
    assert flow_of(SMALL, Options(module="my.jobs"))["jobs"]["A-1"] == {"call": "my.jobs:noop"}


def test_the_source_and_licence_are_named() -> None:
    assert convert(parse(SMALL)).splitlines()[0] == "# The graph of: repo example/graphs, licence CC0"


def test_packed_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "small.json.gz"
    path.write_bytes(gzip.compress(json.dumps(SMALL).encode()))
    assert len(read(path).jobs) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"jobs": None}, "must be a list"),
        ({"jobs": [{"id": 1}]}, 'must be an object with "id" and "deps"'),
        ({"jobs": [{"id": "a", "deps": ["b"]}]}, "is not before it"),
        ({"jobs": [{"id": "a", "deps": []}, {"id": "a", "deps": []}]}, "duplicate job"),
    ],
)
def test_a_malformed_graph_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        parse({**SMALL, **change})


@pytest.mark.parametrize("text", ["", "[]", '{"format": "other"}', "\x00"])
def test_a_file_that_is_not_a_graph_ends_in_a_sentence(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "graph.json"
    path.write_text(text, encoding="utf-8")
    assert main([str(path)]) == 1
    assert capsys.readouterr().err.startswith(f"graph2flow: {path}: ")


def test_a_missing_file_ends_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.json")]) == 1
    assert "No such file" in capsys.readouterr().err


def test_all_graphs_of_the_corpora_compile() -> None:
    """Jobs and edges of the plan are those of the graph. Graphs with more than 2,500 jobs are for the benchmarks."""
    files = graph_files()
    if not files:
        pytest.skip("the corpora are not there; FLOWQ_CORPORA names their folder")
    small = [graph for graph in map(read, files) if len(graph.jobs) <= 2500]
    assert len(small) >= 25
    for graph in small:
        plan = compile_text(convert(graph), name=graph.name).plan
        assert plan is not None, graph.name
        assert len(plan.cells) == len(graph.jobs)
        assert sum(len(cell.parents) for cell in plan.cells) == sum(len(job.parents) for job in graph.jobs)
