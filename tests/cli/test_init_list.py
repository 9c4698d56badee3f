"""`flowq init` and `flowq list`."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from flowq.compiler import compile_file
from flowq.flows.actions.submit import submit
from flowq.flows.views import flow_list
from flowq.flows.views.flow_list import MAX_CHECKED
from flowq.store import Store
from tests.cli import process, samples
from tests.cli.conftest import Cli
from tests.support.nesting import nested
from tests.support.wait import until


def test_the_written_flow_runs_at_once(home: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "FLOWQ_HOME": str(home)}

    def flowq(*arguments: str) -> str:
        done = process.flowq(*arguments, cwd=tmp_path, env=environment)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        return done.stdout

    written = flowq("init", "my project")
    assert "wrote my project/flow.yaml\n" in written
    assert written.endswith("next: flowq -C 'my project' run\n")
    assert "report | words: 2, 3, 1" in flowq("-C", "my project", "run")
    assert (tmp_path / "my project" / "out" / "report.txt").read_text() == "Hello\nwords: 2, 3, 1\n"
    assert "flow.yaml: valid" in flowq("-C", "my project", "validate")
    assert "my project/flow.yaml  finished  " in flowq("list")


def test_the_written_files(cli: Cli, tmp_path: Path) -> None:
    outcome = cli("init")
    assert outcome.code == 0
    assert outcome.out.endswith("next: flowq run\n")
    text = (tmp_path / "flow.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=.flowq/flow.schema.json\n")
    assert max(map(len, text.splitlines())) < 130
    assert (tmp_path / ".flowq" / "flow.schema.json").read_text() == cli("schema").out
    assert (tmp_path / ".gitignore").read_text() == "/out/\n.env\n__pycache__/\n"


def test_nothing_is_overwritten(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "flow.yaml").write_text("mine")
    outcome = cli("init")
    assert outcome.code == 2
    assert "flow.yaml is a flow already: nothing was written" in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["flow.yaml"]
    (tmp_path / "flow.yaml").rename(tmp_path / "flow.yml")
    assert "flow.yml is a flow already" in cli("init").err
    (tmp_path / "flow.yml").rename(tmp_path / "flow.yaml")
    (tmp_path / "flow.yaml").unlink()
    (tmp_path / ".gitignore").write_text("*.o\n.env")
    (tmp_path / ".flowq").mkdir()
    (tmp_path / ".flowq" / "flow.schema.json").write_text("mine")
    outcome = cli("init")
    assert "kept .flowq/flow.schema.json\nadded to .gitignore: /out/, __pycache__/\n" in outcome.out
    assert (tmp_path / ".gitignore").read_text() == "*.o\n.env\n/out/\n__pycache__/\n"
    assert (tmp_path / ".flowq" / "flow.schema.json").read_text() == "mine"
    (tmp_path / "flow.yaml").rename(tmp_path / ".flowq" / "main.yaml")
    assert ".flowq/main.yaml is a flow already" in cli("init").err
    (tmp_path / ".flowq" / "main.yaml").rename(tmp_path / "flow.yaml")
    (tmp_path / "flow.yaml").unlink()
    assert "kept .gitignore\n" in cli("init").out


def test_a_directory_that_cannot_be_written(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    outcome = cli("init", "file/below")
    assert outcome.code == 2
    assert "cannot write a flow into 'file/below': Not a directory" in outcome.err


@pytest.mark.parametrize("name", ["data", "true", "1.5", "my project", 'a"b', "ünï", "x: y", "# no", "{{}}", "a\nb"])
def test_the_name_of_any_directory_is_a_name(cli: Cli, tmp_path: Path, name: str) -> None:
    assert cli("init", name).code == 0
    assert compile_file(tmp_path / name / "flow.yaml").ok


# -- list ----------------------------------------------------------------------------------------------------------------------

FLOW = "description: {}\njobs: {{a: {{run: 'true'}}}}\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with flows, files that are none, and directories that are left out."""
    for name in ("b.yaml", "a.yml", "deep/down/c.yaml", ".flowq/d.yaml", ".git/no.yaml", "node_modules/no.yaml", "env/no.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(FLOW.format(f"flow {name}"))
    (tmp_path / "env" / "pyvenv.cfg").write_text("")
    (tmp_path / "values.yaml").write_text("jobs: 3\n")
    (tmp_path / "compose.yaml").write_text("services: {}\n")
    (tmp_path / "actions.yaml").write_text("on: push\njobs: {a: {runs-on: x, steps: []}}\n")
    (tmp_path / "broken.yaml").write_text("jobs:\n  a: [\n")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "nothing.yaml").symlink_to(tmp_path / "absent.yaml")
    return tmp_path


def test_flows_at_and_below(cli: Cli, tree: Path) -> None:
    outcome = cli("list")
    assert (outcome.code, outcome.err) == (0, "")
    assert [line.split("  ")[0] for line in outcome.out.splitlines()] == [
        "FLOW",
        "a.yml",
        "b.yaml",
        "broken.yaml",
        ".flowq/d.yaml",
        "deep/down/c.yaml",
    ]
    assert "a.yml             -         flow a.yml\n" in outcome.out
    assert "not valid: " in outcome.out
    assert cli("list", "deep").out.splitlines()[1].startswith("deep/down/c.yaml  ")
    assert cli("-C", "deep", "list").out.splitlines()[1].startswith("down/c.yaml  ")
    assert tree.exists()


def test_a_flow_that_does_not_compile_is_marked(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("description: d\njobs:\n  a: {run: x, depends_on: b}\n")
    (tmp_path / "asks.yaml").write_text("params: {day: {type: date}}\njobs:\n  a: {run: x}\n")
    lines = cli("list").out.splitlines()
    assert [line.split("  ")[0] for line in lines if "not valid: " in line] == ["bad.yaml"]
    assert "`a` depends on `b`" in lines[2]
    problems = {item["file"]: item["problem"] for item in json.loads(cli("list", "--json").out)}
    assert problems["asks.yaml"] is None
    assert "`a` depends on `b`" in problems["bad.yaml"]
    for number in range(MAX_CHECKED):
        (tmp_path / f"a{number}.yaml").write_text("jobs: {a: {run: x}}\n")
    many = cli("list")
    assert "not valid: " not in many.out, "it is the last one"
    assert many.err == "only the first 100 flows were compiled: `flowq validate DIR` checks all of a directory\n"


def test_the_last_run_is_shown(cli: Cli, store: Store, tree: Path) -> None:
    plan = replace(samples.report_plan(), file=str(tree / "b.yaml"))
    first = submit(store, plan, directory=tree)
    submitted = store.now_ms()
    until(lambda: store.now_ms() > submitted)  # of two runs of one millisecond neither is the last
    second = submit(store, plan, directory=tree / "deep")
    row = next(line for line in cli("list").out.splitlines() if line.startswith("b.yaml"))
    assert row.split()[1] == "running"
    assert row.endswith(" UTC  flow b.yaml")
    listed = {item["file"]: item for item in json.loads(cli("list", "--json").out)}
    assert listed["b.yaml"]["last_run"]["id"] == second != first
    assert listed["b.yaml"]["description"] == "flow b.yaml"
    assert listed["a.yml"]["last_run"] is None
    assert listed["broken.yaml"]["problem"]
    assert listed["deep/down/c.yaml"]["name"] == "c"


def test_an_empty_directory(cli: Cli) -> None:
    outcome = cli("list")
    assert (outcome.code, outcome.out) == (0, "")
    assert "no flows here and below: `flowq init` writes one; `flowq runs` lists runs" in outcome.err
    assert json.loads(cli("list", "--json").out) == []


def test_a_search_has_an_end(cli: Cli, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow_list, "MAX_ENTRIES", 3)
    outcome = cli("list")
    assert "files were looked at: `flowq list DIR` searches a smaller directory" in outcome.err
    assert outcome.out.count("\n") == 3
    assert tree.exists()


def test_directories_that_are_nested_without_end(cli: Cli, tree: Path) -> None:
    with nested(tree / "far"):
        outcome = cli("list")
    assert (outcome.code, outcome.err) == (0, "")
    assert "b.yaml" in outcome.out


def test_without_a_server_the_flows_are_listed(cli: Cli, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWQ_REDIS_URL", "redis://127.0.0.1:1")
    outcome = cli("list")
    assert outcome.code == 0
    assert outcome.err.startswith("no runs: ")
    assert "b.yaml" in outcome.out
    assert tree.exists()
