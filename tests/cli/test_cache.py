"""The output of the command line about `cache`."""

import json
from pathlib import Path

import pytest

from tests.examples.running import Ended, flowq

FLOW = """
name: kept
params: {day: {default: mon}}
jobs:
  build:
    cache: {inputs: [src/*.c], key: params.day, outputs: [out]}
    run: cat src/*.c > out
"""


@pytest.fixture
def place(home: Path, tmp_path: Path) -> Path:
    """The directory of a project."""
    project = tmp_path / "project"
    (project / "src").mkdir(parents=True)
    (project / "src" / "a.c").write_text("a")
    (project / "kept.yaml").write_text(FLOW)
    return project


def run(place: Path, *arguments: str) -> tuple[Ended, str, str]:
    """Run the flow; return the ended command, the note of `status` and the text of `why`."""
    ended = flowq("run", "kept.yaml", *arguments, cwd=place)
    assert ended.code == 0, ended.err
    lines = flowq("status", cwd=place).out.splitlines()
    note = next(line for line in lines if line.startswith("✔ build")).split("s  ", 1)[1]
    return ended, note, flowq("why", "build", cwd=place).out


def test_hits_and_misses_are_shown(place: Path) -> None:
    ended, note, why = run(place)
    assert "cache" not in ended.out, "that a first run finds nothing is no news"
    assert note == "ran: no earlier result"
    assert "it ran, although it has a `cache`: no earlier result" in why
    first = ended.out.split()[1]
    ended, note, why = run(place)
    assert f'build | cache hit: key "mon" and 1 input file unchanged since run {first}' in ended.out
    assert "finished  build" in ended.out
    assert "1 job: 1 finished (1 cached)" in ended.out
    assert any(line.endswith("  cached") for line in ended.out.splitlines())
    assert note == 'cached: key "mon" and 1 input file unchanged'
    assert f"build finished: it did not run, it has the result of run {first}" in why
    assert 'since then: key "mon" and 1 input file unchanged' in why
    document = json.loads(flowq("status", "--json", cwd=place).out)
    (job,) = document["jobs"]
    assert job["reason"] == "cached"
    assert job["cache"] == {"hit": True, "reason": 'key "mon" and 1 input file unchanged', "run": first}
    assert run(place, "--no-cache")[1] == "ran: without the cache, as asked"
    assert run(place)[1].startswith("cached: ")
    (place / "src" / "a.c").write_text("b")
    ended, note, _ = run(place)
    assert note == "ran: inputs changed: src/a.c"
    assert "build | cache miss: inputs changed: src/a.c" in ended.out
    assert run(place, "-p", "day=tue")[1] == "ran: key changed"


def test_retry_of_a_cached_job(place: Path) -> None:
    run(place)
    _, note, _ = run(place)
    assert note.startswith("cached: ")
    retried = flowq("retry", "--job", "build", cwd=place)
    assert retried.code == 0
    assert "cache miss: without the cache, as asked" in retried.out


def test_no_cache_is_refused_with_resume(place: Path) -> None:
    ended = flowq("run", "--resume", "@latest", "--no-cache", cwd=place)
    assert ended.code == 2
    assert "--no-cache" in ended.err


def test_cells_that_differ_are_shown_and_others_are_counted(place: Path) -> None:
    (place / "kept.yaml").write_text(
        "params: {list: {type: list, default: [1, 2]}}\n"
        "jobs: {m: {matrix: {n: '${{ params.list }}'}, run: 'true', cache: {key: matrix.n}}}\n"
    )
    flowq("run", "kept.yaml", cwd=place)
    flowq("run", "kept.yaml", cwd=place)
    told = flowq("status", cwd=place).out
    assert "2 jobs: 2 finished (2 cached)" in told
    assert "2 of 2 cached" in told
    assert "[n=1]" not in told
    flowq("run", "kept.yaml", "-p", "list=[2, 3]", cwd=place)
    told = flowq("status", cwd=place).out
    assert "1 of 2 cached" in told
    assert "├ [n=2]  finished" in told
