"""`flowq graph` of a flow whose params have no value: what is known is drawn."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli

FLOW = """
params:
  day: {type: date}
  formats: {type: list}
  queue: {}
  days: {type: integer}
  file: {default: "of-${{ params.day }}"}
labels: {day: "${{ params.day }}"}
jobs:
  fetch: {run: "echo ${{ params.day }} ${{ params.file }}", queue: "${{ params.queue }}", timeout: "${{ params.days }}"}
  build: {run: "echo ${{ matrix.format }}", depends_on: fetch, matrix: {format: "${{ params.formats }}", lang: [en, de]}}
  test: {run: "echo ${{ matrix.lang }}", depends_on: {build: {match: [lang]}}, matrix: {lang: [en, de]}}
  more: {run: "echo ${{ matrix.lang }}", depends_on: {test: {match: [lang]}}, matrix: {lang: [en], include: [{lang: "${{ params.queue }}"}]}}
  each: {run: "echo ${{ item }}", depends_on: more, foreach: "${{ params.formats }}"}
  part: {flow: part.yaml, depends_on: each, params: {formats: "${{ params.formats }}"}}
  parts: {flow: part.yaml, depends_on: each, matrix: {one: "${{ params.formats }}"}, params: {formats: ["${{ matrix.one }}"]}}
  last: {run: "true", if: "${{ params.days > 3 }}", depends_on: [part, parts]}
on_exit:
  tell: {run: "echo ${{ params.day }}"}
"""
PART = """
params: {formats: {type: list}}
jobs:
  one: {run: "true"}
  two: {run: "echo ${{ matrix.format }}", depends_on: one, matrix: {format: "${{ params.formats }}"}}
"""
VALUES = ("-p", "day=2026-01-31", "-p", "queue=de", "-p", "days=4", "-p", 'formats=["pdf"]')


@pytest.fixture
def flow(cli: Cli, tmp_path: Path) -> str:
    (tmp_path / "flow.yaml").write_text(FLOW)
    (tmp_path / "part.yaml").write_text(PART)
    return "flow.yaml"


def drawn(cli: Cli, *arguments: str) -> tuple[dict[str, int | None], set[tuple[str, str]]]:
    """Return the number of cells of each box, None where it is open, and the edges."""
    document = json.loads(cli("graph", "flow.yaml", "--format", "json", *arguments).out)
    boxes = {node["name"]: None if node.get("open") else len(node["cells"]) for node in document["nodes"]}
    return boxes, {(parent, child) for parent, child, _ in document["edges"]}


def test_what_is_known_is_drawn(cli: Cli, flow: str) -> None:
    boxes, edges = drawn(cli)
    assert boxes == {
        "fetch": 0, "build": None, "test": 2, "more": None, "each": 0, "part/one": 0, "part/two": None, "parts": None, "last": 0,
        "on_exit/tell": 0,
    }  # fmt: skip
    assert edges == {
        ("fetch", "build"), ("build", "test"), ("test", "more"), ("more", "each"), ("each", "part/one"), ("part/one", "part/two"),
        ("each", "parts"), ("part/two", "last"), ("parts", "last"),
    }  # fmt: skip
    boxes, _ = drawn(cli, *VALUES)
    assert None not in boxes.values(), "with values nothing is open"


def test_what_is_not_known_is_told(cli: Cli, flow: str) -> None:
    outcome = cli("graph", flow)
    assert outcome.code == 0
    assert "build ×?" in outcome.out
    assert outcome.err.splitlines()[-1] == (
        "the cells of build, more, part/two, parts depend on params that have no value (-p NAME=VALUE): each is drawn as one job, ×?"
    )
    assert cli("graph", flow, *VALUES).err == ""
    assert "×?" in cli("graph", flow, "--cells").out
    for form in ("mermaid", "dot", "svg"):
        assert cli("graph", flow, "--format", form).code == 0


def test_a_queue_that_depends_on_a_missing_value_is_not_named(cli: Cli, flow: str) -> None:
    def queues(*arguments: str) -> dict[str, str | None]:
        return {
            node["name"]: node["queue"] for node in json.loads(cli("graph", flow, "--format", "json", *arguments).out)["nodes"]
        }

    assert queues()["fetch"] is None
    assert queues("--cells")["fetch"] is None
    assert queues()["last"] == "default"
    assert queues(*VALUES)["fetch"] == "de"
    picture = cli("graph", flow, "--format", "svg").out
    assert "<title>fetch, flow.yaml:" in picture
    assert "<title>last, queue default, flow.yaml:" in picture


def test_the_queues_of_cells_are_named(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "cells.yaml").write_text("""
params: {day: {}, kinds: {type: list}}
jobs:
  build: {run: make, matrix: {os: [linux, macos], n: [1, 2]}, queue: "${{ matrix.os }}"}
  same: {run: make, matrix: {os: [linux]}, queue: "${{ matrix.os }}"}
  some: {run: make, matrix: {os: [linux, macos]}, queue: "${{ matrix.os }}-${{ params.day }}"}
  open: {run: make, matrix: {os: "${{ params.kinds }}"}, queue: "${{ matrix.os }}"}
""")

    def queues(*arguments: str) -> dict[str, tuple[str | None, list[str] | None]]:
        nodes = json.loads(cli("graph", "cells.yaml", "--format", "json", *arguments).out)["nodes"]
        return {node["name"]: (node["queue"], node.get("queues")) for node in nodes}

    assert queues() == {
        "build": (None, ["linux", "macos"]), "same": ("linux", None), "some": (None, None), "open": (None, None),
    }  # fmt: skip
    cells = queues("--cells")
    assert [cells[f"build[os={name},n=2]"] for name in ("linux", "macos")] == [("linux", None), ("macos", None)]
    picture = cli("graph", "cells.yaml", "--format", "svg").out
    assert "<title>build ×4, queues linux, macos, cells.yaml:4" in picture
    assert "<title>some ×2, cells.yaml:6" in picture
    values = ("cells.yaml", "-p", "day=1", "-p", 'kinds=["a","b"]', "--json")
    for command in (("plan",), ("run", "--dry-run")):
        jobs = {job["name"]: job["queue"] for job in json.loads(cli(*command, *values).out)["jobs"]}
        assert [jobs[name] for name in ("build[os=macos,n=1]", "some[os=macos]", "open[os=a]", "open[os=b]")] == [
            "macos", "macos-1", "a", "b",
        ]  # fmt: skip
    table = cli("run", "--dry-run", *values[:-1]).out.splitlines()
    assert [line.split() for line in table if "open" in line] == [["open[os=a]", "a"], ["open[os=b]", "b"]]
    table = cli("plan", *values[:-1]).out.splitlines()
    assert [line.split()[1:3] for line in table if "open" in line] == [["open[os=a]", "a"], ["open[os=b]", "b"]]


def test_a_match_with_an_open_matrix_is_no_mistake(cli: Cli, flow: str) -> None:
    outcome = cli("validate", flow)
    assert outcome.out == "flow.yaml: valid; a run needs -p day=… -p formats=… -p queue=… -p days=…\n"


def test_mistakes_are_told_as_before(cli: Cli, flow: str) -> None:
    outcome = cli("graph", flow, "-p", "days=x")
    assert outcome.code == 3
    assert "error[FQ203]: param `days`: expected a whole number, found the text x" in outcome.err
    assert "flow.yaml cannot run: 1 error" in outcome.err
    (Path("part.yaml")).write_text(PART.replace("{formats:", "{lacking: {}, formats:"))
    assert "the param `lacking` needs a value: part.yaml has no default for it" in cli("graph", flow).err


def test_a_plan_needs_the_values(cli: Cli, flow: str) -> None:
    outcome = cli("plan", flow)
    assert outcome.code == 3
    assert "the param `day` needs a value" in outcome.err
    assert "`flowq graph` draws it without values" in outcome.err
