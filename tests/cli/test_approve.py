"""`flowq approve`: decisions, repeated decisions, and errors."""

import getpass
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowq.compiler import compile_text
from flowq.flows.actions.submit import submit
from flowq.store import Store
from tests.cli.conftest import Cli
from tests.cli.test_doctor_config_completion import offered
from tests.support.graphs import statuses
from tests.support.server import PrivateServer
from tests.support.wait import until
from tests.support.workers import WorkerProcess

FLOW = """
jobs:
  build: {run: 'true'}
  ask: {depends_on: build, approval: {message: "Publish it?", timeout: TIMEOUT}}
  sign: {depends_on: build, matrix: {who: [legal, sales]}, approval: "Does ${{ matrix.who }} agree?"}
  publish: {depends_on: [ask, sign], run: 'true'}
  excuse: {depends_on: {ask: failure}, run: 'true'}
"""


@pytest.fixture
def run(store: Store, server: PrivateServer, namespace: str, cli: Cli, tmp_path: Path) -> Iterator[str]:
    """A run with three pending approvals, on a real worker."""
    with WorkerProcess(server.url, "default", "--log-level", "warning", namespace=namespace):
        run_id = start(store, tmp_path)
        until(lambda: sum(end == "deferred/approval" for end in statuses(store, run_id).values()) == 3, timeout=20)
        yield run_id
        store.runs.cancel(run_id)
        until(lambda: store.runs.require(run_id).ended, timeout=20)


def start(store: Store, directory: Path, timeout: str = "1d") -> str:
    plan = compile_text(FLOW.replace("TIMEOUT", timeout)).plan
    assert plan is not None
    return submit(store, plan, directory=directory)


def decision(cli: Cli, run: str, job: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(cli("result", run, job).out)
    return value


def test_what_waits_in_another_directory_is_named(cli: Cli, run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    refused = cli("approve")
    assert (refused.code, refused.out) == (2, "")
    assert refused.err == (
        f"error: nothing waits for approval in this directory; in {tmp_path} waits: flowq approve {run} ask\n"
    )


def test_approve_records_who_and_why(cli: Cli, store: Store, run: str) -> None:
    outcome = cli("approve", run, "ask", "--comment", "figures checked", "--by", "ann")
    assert (outcome.code, outcome.out) == (0, f"approved ask of run {run} as ann\n")
    for who in ("legal", "sales"):
        assert cli("approve", run, f"sign[who={who}]").code == 0
    until(lambda: store.runs.require(run).ended, timeout=20)
    assert statuses(store, run) == {
        "build": "finished", "ask": "finished", "sign[who=legal]": "finished", "sign[who=sales]": "finished",
        "publish": "finished", "excuse": "skipped/upstream_finished",
    }  # fmt: skip
    decided = decision(cli, run, "ask")
    assert (decided["approved"], decided["by"], decided["comment"]) == (True, "ann", "figures checked")
    assert decided["at"].endswith("+00:00")
    assert decision(cli, run, "sign[who=legal]")["by"] == getpass.getuser(), "the user of the command, unless another is named"


def test_reject(cli: Cli, store: Store, run: str) -> None:
    outcome = cli("approve", run, "ask", "--reject", "--comment", "not on a friday", "--by", "ann")
    assert (outcome.code, outcome.out) == (0, f"rejected ask of run {run} as ann\n")
    until(lambda: statuses(store, run)["excuse"] == "finished", timeout=20)
    assert statuses(store, run)["ask"] == "failed/rejected"
    assert statuses(store, run)["publish"] == "skipped/upstream_failed"
    assert "ask failed: rejected by ann: not on a friday" in cli("why", run, "ask").out
    shown = cli("status", run).out
    assert "rejected by ann: not on a friday" in shown
    assert f"flowq why {run} ask" in shown
    assert f"flowq logs {run} ask" not in shown, "an approval prints nothing"


def test_a_repeated_decision_changes_nothing(cli: Cli, run: str) -> None:
    assert cli("approve", run, "ask", "--by", "ann").code == 0
    for more in ((), ("--reject",)):
        outcome = cli("approve", run, "ask", "--by", "bob", *more)
        assert outcome.code == 2
        assert f"'ask' of run {run} does not wait for a decision, it is finished" in outcome.err
        assert "waiting for a decision: sign[who=legal], sign[who=sales]" in outcome.err
    assert decision(cli, run, "ask")["by"] == "ann"


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ("build", "'build' of run {run} is no approval; waiting for a decision: ask, sign[who=legal], sign[who=sales]"),
        ("aks", "run {run} has no job 'aks'; did you mean 'ask'? waiting for a decision: ask,"),
        ("sign", "'sign' of run {run} is several approvals, decide about one; waiting for a decision: ask,"),
        ("sign[who=missing]", "run {run} has no job 'sign[who=missing]'"),
        ("publish", "'publish' of run {run} is no approval"),
    ],
)
def test_jobs_that_cannot_be_decided(cli: Cli, run: str, job: str, words: str) -> None:
    outcome = cli("approve", run, job)
    assert outcome.code == 2
    assert words.format(run=run) in outcome.err
    assert outcome.out == ""


def test_too_early_and_too_late(cli: Cli, store: Store, run: str, tmp_path: Path) -> None:
    store.queues.suspend(None)
    early = start(store, tmp_path)
    outcome = cli("approve", early, "ask")
    assert outcome.code == 2
    assert "'ask' of run" in outcome.err
    assert "does not wait for a decision, it is deferred; no job of the run waits for a decision" in outcome.err
    store.runs.cancel(early)
    store.queues.resume()
    until(lambda: store.runs.require(early).ended, timeout=20)
    assert "it is canceled (run_canceled)" in cli("approve", early, "ask").err
    assert cli("approve", "zzzzzzzz", "ask").code == 2
    assert "no run with the id 'zzzzzzzz'" in cli("approve", "zzzzzzzz", "ask").err


def test_an_approval_without_a_decision_times_out(cli: Cli, store: Store, run: str, tmp_path: Path) -> None:
    late = start(store, tmp_path, timeout="0.3")
    until(lambda: statuses(store, late)["ask"].startswith("failed"), timeout=20)
    outcome = cli("approve", late, "ask")
    assert outcome.code == 2
    assert "it is failed (rejected)" in outcome.err
    assert "the approval timed out after" in cli("why", late, "ask").out
    store.runs.cancel(late)
    until(lambda: store.runs.require(late).ended, timeout=20)


def test_a_run_by_prefix_and_as_the_latest(cli: Cli, run: str) -> None:
    assert cli("approve", run[:5], "sign[who=legal]").code == 0
    assert cli("approve", "@latest", "sign[who=sales]").code == 0


def test_what_waits_is_offered(cli: Cli, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = ["ask", "sign[who=legal]", "sign[who=sales]"]
    assert offered(cli, monkeypatch, "approve", run, "") == waiting
    assert offered(cli, monkeypatch, "approve", run[:4]) == [run]
    assert cli("approve", run, "ask").code == 0
    assert offered(cli, monkeypatch, "approve", run, "") == waiting[1:]
    assert cli("cancel", run).code == 0
    until(lambda: offered(cli, monkeypatch, "approve", run[:4]) == [], message="it has ended")
