"""Drawings of graphs: every line connects the jobs of an edge, at every width and for all names."""

import random
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from benchmarks.graph2flow import convert, read
from flowq.cli.commands.graph import graph_lines
from flowq.cli.render.styled_text import columns, cut
from flowq.cli.terminal import Terminal
from flowq.compiler import compile_text
from flowq.flows.render.graph.dot_mermaid import to_dot, to_mermaid
from flowq.flows.render.graph.layout import lay_out, levels, reduced
from flowq.flows.render.graph.model import Drawing, Vertex, graph_json, graph_of
from flowq.flows.render.graph.svg import to_svg
from flowq.flows.render.graph.text import Pen, draw
from flowq.plan import Plan, SourcePlace
from flowq.states import JobStatus, RunStatus
from tests.cli import golden, samples
from tests.examples.corpora import CORPORA

PEN = Pen(columns, cut, lambda vertex: vertex.label)
PARTS = Path(__file__).parents[1] / "language" / "flows"
SVG = "{http://www.w3.org/2000/svg}"

RIGHT, UP, DOWN = "─┬┴┼╭╰├╥╨╫", "│╰╯├┤┴┼╨╫", "│╭╮├┤┬┼╥╫"
TAPS = "╥╨╫"


def random_graph(seed: int, size: int) -> Drawing:
    """Return a graph of jobs j0, j1, … with edges from smaller to larger numbers."""
    rng = random.Random(seed)
    edges = {
        (rng.randrange(max(0, child - 8), child), child, "success") for child in range(1, size) for _ in range(rng.randrange(3))
    }
    return Drawing(
        "random", tuple(Vertex(f"j{index}", "default", SourcePlace("", 1)) for index in range(size)), tuple(sorted(edges))
    )


def reached(lines: list[str], row: int, start: int) -> set[str]:
    """Follow every line that begins right of a name; return the names at its ends."""
    found: set[str] = set()
    todo = [(row, start, "right")]
    seen = set()
    while todo:
        state = todo.pop()
        if state in seen:
            continue
        seen.add(state)
        row, column, way = state
        char = lines[row][column]
        if way == "right" and char == "▶":
            found.add(re.match(r"\S+", lines[row][column + 2 :])[0])  # type: ignore[index]
        elif way == "right":
            assert char in "─┤╮╯┼┬┴╥╨╫", f"a line ends at {row}:{column} with {char!r}"
            if char in RIGHT:
                todo.append((row, column + 1, "right"))
            if char in UP:
                todo.append((row - 1, column, "up"))
            if char in DOWN:
                todo.append((row + 1, column, "down"))
        else:
            assert char in "─│" or char in (DOWN if way == "up" else UP), (
                f"a vertical line is torn at {row}:{column} by {char!r}"
            )
            if char not in {"─", *TAPS} and char in RIGHT:
                todo.append((row, column + 1, "right"))
            if char == "─" or char in (UP if way == "up" else DOWN):  # a horizontal line crosses over the vertical one
                todo.append((row + (-1 if way == "up" else 1), column, way))
    return found


@pytest.mark.parametrize("seed", range(60))
def test_lines_connect_exactly_the_jobs_of_the_edges(seed: int) -> None:
    graph = random_graph(seed, 4 + seed % 20)
    drawn = draw(graph, None, PEN)
    assert drawn is not None
    lines = ["".join(text for text, _vertex in pieces) for pieces in drawn]
    width = max(map(len, lines))
    lines = [line.ljust(width) for line in lines]
    expected: dict[str, set[str]] = {vertex.name: set() for vertex in graph.vertices}
    for child, parents in enumerate(reduced(graph)):
        for parent in parents:
            expected[f"j{parent}"].add(f"j{child}")
    for row, line in enumerate(lines):
        for match in re.finditer(r"j\d+", line):
            after = match.end() + 1
            goes_on = after < width and line[after] == "─"
            assert (reached(lines, row, after) if goes_on else set()) == expected[match[0]], "\n".join(lines)


@pytest.mark.parametrize("seed", range(10))
def test_an_edge_never_goes_back_and_order_is_kept(seed: int) -> None:
    graph = random_graph(seed, 40)
    layout, level = lay_out(graph), levels(graph)
    assert all(level[parent] < level[child] for parent, child, _condition in graph.edges)
    for column in layout.columns:
        rows = [layout.rows[item] for item in column]
        assert rows == sorted(set(rows))


def test_edges_implied_by_others_are_not_drawn() -> None:
    vertices = tuple(Vertex(name, "default", SourcePlace("", 1)) for name in "abc")
    graph = Drawing("g", vertices, ((0, 1, "success"), (1, 2, "success"), (0, 2, "success")))
    assert reduced(graph) == [[], [0], [1]]


@pytest.mark.parametrize("width", [80, 120])
def test_a_run_on_a_terminal(width: int) -> None:
    graph = graph_of(samples.report_plan(), samples.failed_run())
    golden.check(f"graph-failed-{width}", golden.plain(graph_lines(graph, Terminal(width=width), stated=True)))


def test_every_cell_of_a_matrix() -> None:
    graph = graph_of(samples.report_plan(), cells=True)
    golden.check("graph-cells-120", golden.plain(graph_lines(graph, Terminal(width=120), stated=False)))


@pytest.mark.parametrize("width", [80, 120])
def test_fifty_jobs_of_a_real_workflow(width: int) -> None:
    graph = graph_of(corpus("dax-cybershake_50.json"))
    assert len(graph.vertices) == 50
    text = golden.plain(graph_lines(graph, Terminal(width=width), stated=False))
    golden.check(f"graph-cybershake-{width}", text)


def test_ascii_only() -> None:
    graph = graph_of(samples.report_plan(), samples.failed_run())
    text = golden.plain(graph_lines(graph, Terminal(width=120, unicode=False), stated=True))
    assert text.isascii()
    golden.check("graph-ascii-120", text)


@pytest.mark.parametrize("width", [1, 5, 20, 37, 60])
def test_a_graph_too_wide_for_lines_is_a_list_that_fits(width: int) -> None:
    graph = graph_of(samples.report_plan(), samples.failed_run())
    lines = golden.plain(graph_lines(graph, Terminal(width=width), stated=True)).splitlines()
    assert all(columns(line) <= width for line in lines)


def test_json_is_complete_and_by_name() -> None:
    document = graph_json(graph_of(samples.report_plan(), samples.failed_run()))
    assert [node["name"] for node in document["nodes"]] == ["list-files", "fetch", "build", "spellcheck", "backfill", "publish"]
    assert ["backfill", "publish", "ok"] in document["edges"]
    assert document["nodes"][2]["cells"][0] == "build[fmt=pdf,lang=en]"
    assert document["nodes"][2]["status"] == "failed"
    assert len(document["edges"]) == 7


def test_svg_is_well_formed_and_loads_nothing() -> None:
    text = to_svg(graph_of(samples.report_plan(), samples.failed_run()), "nightly & <co>")
    root = ET.fromstring(text)
    boxes = root.findall(f"{SVG}g")
    assert len(boxes) == 6
    fills = {box.find(f"{SVG}text").text: box.find(f"{SVG}rect").get("fill") for box in boxes}  # type: ignore[union-attr]
    assert fills["build ×4"] == "#ffebe9"
    assert fills["fetch"] == "#dafbe1"
    assert fills["publish"] == "#f6f8fa"
    assert fills["spellcheck"] == "#fff8c5"  # an allowed failure
    assert "href" not in text
    assert "<script" not in text
    assert "@import" not in text
    assert text.count("http") == 1  # the XML namespace


def drawn(text: str, *, cells: bool = False) -> dict[str, Any]:
    """Return the JSON drawing of a flow."""
    compilation = compile_text(text, date="2026-01-31", file=str(PARTS / "inline.yaml"))
    assert compilation.plan is not None, compilation.diagnostics
    document: dict[str, Any] = graph_json(graph_of(compilation.plan, cells=cells))
    return document


def test_stages_are_edges_between_their_jobs() -> None:
    document = drawn(
        """
        stages: [build, test, deploy]
        jobs:
          a: {stage: build, run: x}
          b: {stage: build, run: x, depends_on: [a]}
          m: {stage: build, run: x, matrix: {v: [1, 2]}}
          t: {stage: test, run: x}
          u: {stage: test, run: x}
          d: {stage: deploy, run: x}
        """
    )
    assert [node["name"] for node in document["nodes"]] == ["a", "b", "m", "t", "u", "d"]
    assert sorted(document["edges"]) == [
        ["a", "b", "success"], ["b", "t", "success"], ["b", "u", "success"], ["m", "t", "success"], ["m", "u", "success"],
        ["t", "d", "success"], ["u", "d", "success"],
    ]  # fmt: skip


@pytest.mark.parametrize("cells", [False, True])
def test_a_sub_flow_is_drawn_as_its_jobs(cells: bool) -> None:
    document = drawn(
        """
        jobs:
          before: {run: x}
          part: {flow: parts/nested.yaml, depends_on: {before: done}}
          after: {run: x, depends_on: {part: ok}}
          alone: {flow: parts/two.yaml, params: {code: 0}}
        """,
        cells=cells,
    )
    names = [node["name"] for node in document["nodes"]]
    assert not [name for name in names if "@" in name or name in {"part", "part/inner", "alone"}]
    assert ["before", "part/inner/list", "done"] in document["edges"]
    assert ["part/anyway", "after", "ok"] in document["edges"]
    assert ["before", "after", "done"] not in document["edges"], "the way leads through the part"
    assert not [edge for edge in document["edges"] if edge[0].startswith("alone") and not edge[1].startswith("alone")]


def test_a_matrix_of_sub_flows_is_drawn_as_their_jobs() -> None:
    document = drawn(
        """
        jobs:
          part: {matrix: {c: [0, 1]}, flow: parts/two.yaml, params: {code: "${{ matrix.c }}"}}
          after: {run: x, depends_on: part}
        """
    )
    names = [node["name"] for node in document["nodes"]]
    assert names == ["part[c=0]/one", "part[c=0]/two", "part[c=1]/one", "part[c=1]/two", "after"]
    assert ["part[c=1]/two", "after", "success"] in document["edges"]


def test_cells_that_match_are_drawn_as_cells() -> None:
    text = """
        jobs:
          build: {matrix: {lang: [en, de], fmt: [a, b]}, run: x}
          spell: {depends_on: {build: {when: ok, match: [lang]}}, matrix: {lang: [en, de]}, run: x}
        """
    assert drawn(text)["edges"] == [["build", "spell", "ok"]]
    edges = drawn(text, cells=True)["edges"]
    assert ["build[lang=en,fmt=a]", "spell[lang=en]", "ok"] in edges
    assert ["build[lang=en,fmt=b]", "spell[lang=en]", "ok"] in edges
    assert not [edge for edge in edges if edge[0].startswith("build[lang=en") and edge[1] == "spell[lang=de]"]


def test_a_group_with_very_many_edges_is_drawn() -> None:
    jobs = "".join(f"  {stage[0]}{n}: {{stage: {stage}, run: x}}\n" for stage in ("one", "two") for n in range(150))
    document = drawn(f"stages: [one, two]\njobs:\n{jobs}")
    assert len(document["edges"]) == 300
    assert [node["name"] for node in document["nodes"] if node["group"]] == ["stage one"]


HOSTILE = '<script>alert(1)</script>"]; x --> y\n\x1b[2J\u202e&#59;\ufffe'


def test_names_do_not_become_markup() -> None:
    graph = Drawing(
        HOSTILE,
        (Vertex(HOSTILE, HOSTILE, SourcePlace("", 1)), Vertex("b", "default", SourcePlace("", 2))),
        ((0, 1, "success"),),
    )
    root = ET.fromstring(to_svg(graph, HOSTILE))
    assert {element.tag for element in root.iter()} <= {
        f"{SVG}{tag}" for tag in ("svg", "title", "style", "defs", "marker", "path", "rect", "text", "g")
    }
    mermaid, dot = to_mermaid(graph), to_dot(graph)
    assert mermaid.count("\n") == 4
    assert "<" not in mermaid
    assert mermaid.count('"') == 4
    assert dot.count("\n") == 7
    assert re.sub(r"\\.", "", dot).count('"') % 2 == 0
    for text in (mermaid, dot):
        assert "\x1b" not in text
        assert "\u202e" not in text


def test_mermaid_and_dot() -> None:
    graph = graph_of(samples.report_plan(), samples.failed_run())
    golden.check("graph-mermaid", to_mermaid(graph))
    golden.check("graph-dot", to_dot(graph))


@pytest.mark.parametrize("name", ["fan-10000.json", "chain-10000.json", "stencil_1d-100x100.json"])
def test_ten_thousand_jobs(name: str) -> None:
    graph = graph_of(corpus(name, hard=True))
    lines = graph_lines(graph, Terminal(width=80), stated=False)
    assert len(lines) == len(graph.vertices)
    ET.fromstring(to_svg(graph, name))


def corpus(name: str, *, hard: bool = False) -> Plan:
    """Return the plan of a graph of the corpora."""
    path = CORPORA / ("hard" if hard else "graphs") / name
    if not path.exists():
        pytest.skip(f"{path} is not there; FLOWQ_CORPORA names the folder of the corpora")
    compilation = compile_text(convert(read(path)), date="2026-01-31")
    assert compilation.plan is not None
    return compilation.plan


@pytest.mark.parametrize(("other", "word"), [(JobStatus.STARTED, "failing"), (JobStatus.FINISHED, "failed")])
def test_a_matrix_of_which_a_cell_has_failed_is_failing_while_others_go_on(other: JobStatus, word: str) -> None:
    made = compile_text("jobs: {a: {matrix: {n: [1, 2]}, run: x}}").plan
    assert made is not None
    jobs = {0: samples.job(0, JobStatus.FAILED, at=0, took=1, reason="error"), 1: samples.job(1, other, at=0)}
    run = samples.view(made, samples.run_record(RunStatus.RUNNING, 2), jobs, {0: "exit code 1"}, frozenset())
    drawing = graph_of(made, run)
    assert f"<title>a ×2: {word}, " in to_svg(drawing, "a")
    assert graph_json(drawing)["nodes"][0]["status"] == "failed"
