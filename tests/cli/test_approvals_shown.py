"""Approvals on the real command: the question and its command in a pipe, the live view, `status`, `why`; `flowq approve` alone."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.process import Process, on_terminal
from tests.support.wait import until

FLOW = """
name: release
params: {pages: {type: integer, default: 2}}
jobs:
  build: {run: 'true'}
  sign-off: {depends_on: build, approval: "Publish ${{ params.pages }} pages?"}
  publish: {depends_on: sign-off, run: 'true'}
"""
TWO = """
name: two
jobs:
  sign: {matrix: {who: [legal, the sales]}, approval: "Does ${{ matrix.who }} agree?"}
"""
QUESTION = "Publish 2 pages?"

Start = Callable[..., Process]


@pytest.fixture
def project(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    assert home.is_dir()
    (tmp_path / "release.yaml").write_text(FLOW)
    (tmp_path / "two.yaml").write_text(TWO)
    return tmp_path


@pytest.fixture
def start(project: Path) -> Iterator[Start]:
    """Return a function that starts `flowq`; all processes are killed after the test."""
    running: list[Process] = []

    def begin(*arguments: str, cwd: Path = project) -> Process:
        running.append(Process(*arguments, cwd=cwd))
        return running[-1]

    yield begin
    for process in running:
        process.end()


def call(start: Start, *arguments: str) -> Process:
    process = start(*arguments)
    process.wait()
    return process


def test_in_a_pipe(start: Start, project: Path) -> None:
    run = start("run", "release.yaml")
    run.expect(QUESTION)
    run_id = run.out.split()[1]
    until(lambda: f"next: flowq approve {run_id} sign-off  # in another terminal\n" in run.out)
    assert re.search(r"· waiting +sign-off  approval: Publish 2 pages\?\n", run.out)
    assert f"next: flowq approve {run_id} sign-off  # {QUESTION}" in call(start, "status").out
    assert f"next: flowq approve {run_id} sign-off  # decides it" in call(start, "why", "publish").out
    watch = start("status", "--watch")
    watch.expect(f"next: flowq approve {run_id} sign-off")

    alone = call(start, "approve")
    assert alone.code == 2
    assert alone.out == f"flowq approve {run_id} sign-off  release  {QUESTION}\n"
    assert f"there is no terminal to ask on: flowq approve {run_id} sign-off" in alone.err
    rejection = call(start, "approve", run_id, "--reject")
    assert rejection.code == 2
    assert f"flowq approve {run_id} sign-off --reject" in rejection.err
    (project / "elsewhere").mkdir()
    other = start("approve", cwd=project / "elsewhere")
    assert other.wait() == 2
    assert "nothing waits for approval in this directory" in other.err

    assert call(start, "approve", "sign-off").code == 0
    assert run.wait() == 0
    assert run.out.count("next: flowq approve") == 1
    assert "nothing waits for approval in this directory" in call(start, "approve").err
    assert f"nothing waits for approval in run {run_id}" in call(start, "approve", run_id).err


def test_several_approvals(start: Start) -> None:
    run = start("run", "two.yaml")
    until(lambda: run.out.count("next: flowq approve") == 2)
    run_id = run.out.split()[1]
    assert f"next: flowq approve {run_id} 'sign[who=the sales]'" in run.out
    alone = call(start, "approve")
    assert alone.code == 2
    assert [line.split("  ")[-1] for line in alone.out.splitlines()] == ["Does legal agree?", "Does the sales agree?"]
    assert "2 jobs wait for approval in this directory: name one" in alone.err
    assert call(start, "approve", "sign[who=legal]").code == 0
    assert call(start, "approve", run_id, "sign[who=the sales]", "--reject").code == 0
    assert run.wait() == 1


@pytest.mark.parametrize(("answer", "code", "end"), [("y", 0, "finished"), ("n", 1, "deferred"), ("", 1, "deferred")])
def test_on_a_terminal_it_asks(start: Start, project: Path, answer: str, code: int, end: str) -> None:
    run = start("run", "release.yaml")
    run.expect("next: flowq approve")
    asked = on_terminal("approve", cwd=project, env={})
    asked.expect_exact(QUESTION)
    asked.expect_exact("approve it? [y/N]:")
    asked.sendline(answer)
    asked.expect("\r\n$")
    asked.wait()
    asked.close()
    assert asked.exitstatus == code

    def status() -> object:
        jobs = json.loads(call(start, "status", "--json").out)["jobs"]
        return next(job["status"] for job in jobs if job["name"] == "sign-off")

    assert status() == end
    if end == "deferred":
        assert call(start, "cancel").code == 0
    run.wait()


@pytest.mark.parametrize("size", [(24, 80), (40, 120)])
def test_in_the_live_view(start: Start, project: Path, size: tuple[int, int]) -> None:
    for _ in range(2):  # an earlier run, so that there is a forecast
        run = on_terminal("run", "release.yaml", cwd=project, env={}, size=size)
        run.expect_exact("approval: Publish 2 pages?")
        run.expect(r"flowq approve \w{8} sign-off")
        run.expect_exact("# in another terminal")
        run.expect_exact("1 approval to decide")
        assert call(start, "approve", "sign-off").code == 0
        run.expect(r"release\S*\s+\S*finished")
        run.wait()
        assert run.exitstatus == 0
