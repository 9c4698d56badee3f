"""Real workflow graphs with no-op jobs: every job starts after its parents have ended."""

from pathlib import Path

import pytest

from benchmarks.graph2flow import Options, convert, read
from flowq.connections.clients import open_store
from tests.examples.corpora import graph_file
from tests.examples.running import check_order, run_flow

GRAPHS = {
    "montage-chameleon-2mass-015d-001.json": 310,
    "1000genome-chameleon-22ch-250k-001.json": 902,
    "rnaseq-dirt02-001.json": 197,
    "dbt-spellbook-2023.json": 1156,
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "jobs"), GRAPHS.items())
def test_every_job_starts_after_its_parents_ended(name: str, jobs: int, home: Path, tmp_path: Path) -> None:
    flow = tmp_path / "graph.yaml"
    flow.write_text(convert(read(graph_file(name))), encoding="utf-8")
    run = run_flow(flow, "--workers", "4")
    assert run["counts"] == {"finished": jobs}
    assert check_order(open_store(), run["id"]) == jobs


def test_jobs_that_sleep_for_scaled_real_times(home: Path, tmp_path: Path) -> None:
    """With run times, ready jobs overtake each other, which no-op jobs rarely do."""
    flow = tmp_path / "graph.yaml"
    graph = read(graph_file("montage-chameleon-2mass-005d-001.json"))
    flow.write_text(convert(graph, Options(action="sleep", scale=0.002, cap=0.05)), encoding="utf-8")
    run = run_flow(flow, "--workers", "4")
    assert check_order(open_store(), run["id"]) == len(graph.jobs)


def test_jobs_that_are_commands(home: Path, tmp_path: Path) -> None:
    flow = tmp_path / "graph.yaml"
    graph = read(graph_file("helloworld-forkjoin-10-chameleon.json"))
    flow.write_text(convert(graph, Options(action="run")), encoding="utf-8")
    run = run_flow(flow, "--workers", "2")
    assert check_order(open_store(), run["id"]) == len(graph.jobs)
