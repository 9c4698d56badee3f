"""The live display on a real terminal: what a person sees while a run goes on, and what is left when it has ended."""

import re
from pathlib import Path

import pytest

from tests.cli.process import on_terminal

FLOW = """
name: watched
jobs:
  first: {run: "sleep 0.3"}
  cells:
    depends_on: [first]
    matrix: {n: [1, 2, 3, 4]}
    run: "sleep 0.4; echo cell; test ${{ matrix.n }} != 3"
  last: {depends_on: [cells], run: "true"}
"""


@pytest.fixture
def flow(tmp_path: Path, home: Path) -> Path:
    (tmp_path / "watched.yaml").write_text(FLOW)
    return tmp_path


@pytest.mark.slow
def test_a_run_is_watched_and_the_second_one_knows_how_long_it_takes(flow: Path, home: Path) -> None:
    env = {"FLOWQ_HOME": str(home)}
    first = on_terminal("run", "watched.yaml", "--workers", "2", cwd=flow, env=env, size=(16, 80))
    first.expect("first  .*?running.*?slot 1")
    first.expect("cells .*?running")
    first.expect_exact("\x1b[?25h")
    first.expect(r"\[n=3\] .*?failed")
    first.expect("next: ")
    assert first.wait() == 1
    first.close()
    second = on_terminal("run", "watched.yaml", "--workers", "2", cwd=flow, env=env, size=(16, 80))
    second.expect(r"/6.*?about \d+s left")
    second.expect("flowq retry")
    assert second.wait() == 1
    second.close()


@pytest.mark.slow
def test_status_watch_from_another_terminal(flow: Path, home: Path) -> None:
    (flow / "watched.yaml").write_text(FLOW.replace("sleep 0.3", "while [ ! -e go ]; do sleep 0.05; done"))
    env = {"FLOWQ_HOME": str(home)}
    running = on_terminal("run", "watched.yaml", cwd=flow, env=env)
    running.expect("first  .*?running")
    watching = on_terminal("status", "--watch", "--exit-status", cwd=flow, env=env, size=(10, 60))
    watching.expect("first .*?running")
    (flow / "go").touch()
    watching.expect("next: ")
    assert watching.wait() == 1
    running.expect("next: ")
    assert running.wait() == 1
    for child in (watching, running):
        child.close()


@pytest.mark.slow
def test_annotations_switch_the_live_display_off(flow: Path, home: Path) -> None:
    child = on_terminal("run", "watched.yaml", "--annotations", "github", cwd=flow, env={"FLOWQ_HOME": str(home)})
    child.expect("::error file=watched.yaml,line=5,title=cells")
    child.expect("flowq retry")
    assert child.wait() == 1
    assert not re.search(r"\x1b\[\?25l", child.before or "")
    child.close()
