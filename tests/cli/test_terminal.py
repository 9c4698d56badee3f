"""The live display on a real terminal: during the run, and after its end."""

import os
import re
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from flowq.cli.follow.live_display import wrapped_rows
from flowq.cli.render.styled_text import Line
from tests.cli.process import Process, on_terminal
from tests.support.wait import until

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
def test_a_run_is_watched_and_the_second_one_has_a_forecast(flow: Path, home: Path) -> None:
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
def test_a_run_that_has_waited_for_its_turn_is_shown_as_the_others(tmp_path: Path, home: Path) -> None:
    text = (
        "concurrency: {group: one}\nparams: {go: {}}\njobs: {a: {run: 'until test -e ${{ params.go }}; do sleep 0.02; done'}}\n"
    )
    (tmp_path / "held.yaml").write_text(text)
    env = {"FLOWQ_HOME": str(home)}
    first = Process("run", "held.yaml", "-p", "go=1", "--run-id", "first", cwd=tmp_path, env=env)
    first.expect("running   a")
    second = on_terminal("run", "held.yaml", "-p", "go=2", "--run-id", "second", cwd=tmp_path, env=env, size=(12, 100))
    second.expect("waits for its turn in the concurrency group one, which run first has")
    status = Process("status", "second", cwd=tmp_path, env=env)
    assert status.wait() == 0
    assert "\nwaits for its turn in the concurrency group one\nsubmitted 20" in status.out
    assert re.search(r"^· a +waiting +the run waits for its turn$", status.out, re.MULTILINE)
    (tmp_path / "1").touch()
    second.expect(r"held[^\n]*running[^\n]* \d+\.\d\ds")
    (tmp_path / "2").touch()
    second.expect("started 20")
    assert "waits for its turn" not in (second.before or "")
    assert (first.wait(), second.wait()) == (0, 0)
    second.close()


@pytest.mark.slow
def test_annotations_switch_the_live_display_off(flow: Path, home: Path) -> None:
    child = on_terminal("run", "watched.yaml", "--annotations", "github", cwd=flow, env={"FLOWQ_HOME": str(home)})
    child.expect("::error file=watched.yaml,line=5,title=cells")
    child.expect("flowq retry")
    assert child.wait() == 1
    assert not re.search(r"\x1b\[\?25l", child.before or "")
    child.close()


def test_a_narrower_terminal_wraps_what_it_shows() -> None:
    lines: list[Line] = [(("x" * 30, ""), ("y" * 10, "dim")), (("x" * 20, ""),), (("", ""),), (("x" * 41, ""),)]
    assert [wrapped_rows(lines, width) for width in (None, 60, 41, 40, 20, 10)] == [0, 0, 0, 1, 3, 8]


def _has_columns(tty: str, count: int) -> bool:
    with open(tty, "rb") as terminal:
        return os.get_terminal_size(terminal.fileno()).columns == count


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux, which rewraps lines when it is resized, is not installed")
def test_a_resize_leaves_no_stray_line(flow: Path, home: Path) -> None:
    (flow / "watched.yaml").write_text(
        "name: watched\njobs:\n  a-job-with-a-rather-long-name: {run: 'while [ ! -e go ]; do sleep 0.05; done'}\n"
    )
    environment = {
        name: value for name, value in os.environ.items() if name not in {"CI", "NO_COLOR", "TMUX", "COLUMNS", "LINES"}
    }
    environment |= {"FLOWQ_HOME": str(home), "TERM": "xterm", "LC_ALL": "C.UTF-8"}

    def tmux(*words: str) -> str:
        command = ("tmux", "-S", str(home / "t"), "-f", "/dev/null", *words)
        return subprocess.run(command, cwd=flow, env=environment, check=True, capture_output=True, text=True, timeout=30).stdout

    def shown() -> list[str]:
        lines = tmux("capture-pane", "-p", "-S", "-").splitlines()
        return [line for line in lines if line.strip() and not line.isdigit()]

    # The lines above: tmux moves as many rows into its history as there are new ones, where a program cannot erase them.
    flowq = str(Path(sys.executable).with_name("flowq"))
    tmux("new-session", "-d", "-x", "100", "-y", "20", f"seq 12; {flowq} run watched.yaml; exec cat")
    try:
        until(lambda: "slot 1" in "".join(shown()), timeout=30, message="the live display")
        tty, shell = tmux("display-message", "-p", "#{pane_tty} #{pane_pid}").split()
        (child,) = Path(f"/proc/{shell}/task/{shell}/children").read_text(encoding="ascii").split()
        for width in (40, 25, 100):
            os.kill(
                int(child), signal.SIGSTOP
            )  # tmux reports the new size to the program some time after it has resized the window
            tmux("resize-window", "-x", str(width), "-y", "20")
            until(partial(_has_columns, tty, width), timeout=30, message=f"the terminal to have {width} columns")
            os.kill(int(child), signal.SIGCONT)
            until(lambda: len(shown()) <= 3, timeout=10, message=f"nothing but head, job and bar at a width of {width}")
        (flow / "go").touch()
        until(lambda: "1 job: 1 finished" in "".join(shown()), timeout=30, message="the end")
        assert [line.split()[0] for line in shown()] == ["run", "1", "started", "✔"]
    except AssertionError as error:
        raise AssertionError(f"the terminal shows\n{tmux('capture-pane', '-p', '-S', '-')}") from error
    finally:
        tmux("kill-server")
