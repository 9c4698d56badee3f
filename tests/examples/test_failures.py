"""Real workflow graphs with random failures: every end, every reason and the retry agree with the reference rules.

The command line runs the flow on the embedded server. Each job does one of four things by a seeded choice: it succeeds, fails, fails
and is allowed to, or fails once and then succeeds; some edges have a condition other than success. Then the run is retried, and most
failed jobs succeed.
"""

from pathlib import Path
from typing import Any

import pytest

from flowq.compiler import compile_file
from flowq.flows.forecast.outcomes import predict_ends, run_status
from flowq.plan import Plan
from tests.examples.corpora import CORPORA, graph_files
from tests.examples.failing import Chosen, write
from tests.examples.running import ROOT, flowq
from tests.support.expected_ends import differences, expected, reset_names

LARGEST = 2500  # jobs
QUICK = [
    ("graphs/bacass-dirt02-001.json", 1),
    ("graphs/sarek-dirt02-001.json", 2),
    ("graphs/dax-cybershake_50.json", 3),
    ("graphs/montage-chameleon-2mass-005d-001.json", 4),
    ("ci-graphs/containerd.ci.json", 5),
    ("ci-graphs/numpy.linux.json", 6),
]


@pytest.mark.parametrize(("name", "seed"), QUICK)
def test_some_graphs(name: str, seed: int, home: Path, tmp_path: Path) -> None:
    path = CORPORA / name
    if not path.exists():
        pytest.skip(f"{path} is not there; FLOWQ_CORPORA names the folder of the corpora")
    check(path, seed, tmp_path)


@pytest.mark.chaos
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("path", graph_files(), ids=lambda path: path.name)
def test_every_graph(path: Path, seed: int, home: Path, tmp_path: Path) -> None:
    check(path, seed, tmp_path)


def check(path: Path, seed: int, directory: Path) -> None:
    """Run a graph, retry failed jobs, and compare every end with the rules."""
    flow, chosen = write(path, seed, directory)
    plan = compile_file(flow).plan
    assert plan is not None
    if len(plan.cells) > LARGEST:
        pytest.skip(f"{len(plan.cells)} jobs")
    known = chosen.outcomes(1)
    run = _run("run", str(flow), "--json", cwd=directory)
    _compare(plan, run, known)
    _check_prediction(plan, run, chosen)
    if run["status"] == "finished" and not run["warnings"]:
        return
    ends = _ends(run)
    wanted = reset_names(plan, plan, ends, [job["name"] for job in run["jobs"] if job["allowed"]])
    preview = flowq("retry", run["id"], "--failed", "--dry-run", "--json", cwd=directory)
    if not wanted:
        assert "nothing to retry" in preview.err
        return
    (document,) = preview.documents()
    skipped = {job["name"] for job in document["skipped"]}
    assert {job["name"] for job in document["jobs"]} | skipped == wanted
    again = _run("retry", run["id"], "--failed", "--json", cwd=directory)
    assert (again["id"], again["attempt"]) == (run["id"], 2)
    _compare(plan, again, known | chosen.outcomes(2, wanted))
    assert skipped <= {job["name"] for job in again["jobs"] if job["status"] == "skipped"}
    kept = {job["name"]: job for job in again["jobs"] if job["name"] not in wanted}
    for job in run["jobs"]:
        if job["name"] in kept:
            assert kept[job["name"]]["ended_at"] == job["ended_at"], "what is not reset is left alone"


def _run(*arguments: str, cwd: Path) -> dict[str, Any]:
    done = flowq(*arguments, "--workers", "4", cwd=cwd, timeout=600)
    assert done.code in {0, 1}, f"exit code {done.code}: {done.err}"
    run = done.run()
    assert done.code == (0 if run["status"] == "finished" else 1)
    return run


def _ends(run: dict[str, Any]) -> dict[str, str]:
    return {
        job["name"]: job["status"] if job["status"] == "finished" or not job["reason"] else f"{job['status']}/{job['reason']}"
        for job in run["jobs"]
    }


def _compare(plan: Plan, run: dict[str, Any], outcomes: dict[str, str]) -> None:
    wanted = expected(plan, outcomes)
    actual = _ends(run)
    assert differences(actual, wanted) == {}
    assert actual.keys() == wanted.keys()
    executed = {name for name, end in wanted.items() if not end.startswith("skipped")}
    allowed = {name for name in executed if outcomes[name] == "failed!"}
    assert {job["name"] for job in run["jobs"] if job["allowed"]} == allowed
    assert run["warnings"] == len(allowed)
    assert run["status"] == ("failed" if any(outcomes[name] == "failed" for name in executed) else "finished")


def _check_prediction(plan: Plan, run: dict[str, Any], chosen: Chosen) -> None:
    """Assert that `flowq plan --fail` predicts the first attempt."""
    failing = {cell.ordinal for cell in plan.cells if chosen.ends[cell.name][0] in {"fails", "allowed"}}
    fates = predict_ends(plan, failing)
    actual = _ends(run)
    for cell, fate in zip(plan.cells, fates, strict=True):
        assert str(fate.end.status) == actual[cell.name].partition("/")[0], cell.name
        if fate.because is not None:
            assert fate.reason is not None
    assert str(run_status(plan, fates)) == run["status"]


def test_the_flows_are_the_same_every_time(tmp_path: Path) -> None:
    """The choice depends only on the graph and the seed, so that failures can be reproduced."""
    graph = tmp_path / "g.json"
    graph.write_text(
        '{"format": "flowgraph/1", "name": "g", "source": "", "jobs": ['
        + ", ".join(
            f'{{"id": "j{n}", "deps": {["j" + str(n - 1)] if n else []}, "runtime_s": 1}}'.replace("'", '"') for n in range(40)
        )
        + "]}"
    )
    first = write(graph, 7, tmp_path)[0].read_text()
    assert write(graph, 7, tmp_path)[0].read_text() == first
    assert write(graph, 8, tmp_path)[0].read_text() != first
    assert str(ROOT) not in first
