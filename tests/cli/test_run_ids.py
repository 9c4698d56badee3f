"""Ids that users choose for runs: the key against double submission, and what else an argument may mean."""

import json
import subprocess
from pathlib import Path

import pytest

from flowq.exceptions import UsageError
from flowq.flows.actions.submit import submit
from flowq.ids import checked_run_id, is_member_id, member_id, split_member_id
from flowq.store import Store
from tests.cli import process, samples
from tests.cli.conftest import Cli
from tests.support.graphs import statuses
from tests.support.server import PrivateServer
from tests.support.wait import until
from tests.support.workers import WorkerProcess

NIGHT = "nightly-2026-11-28"
IDS = (NIGHT, "nightly-2026-11", "nightly-2026", "n", "Nightly", "v1.2.3", "a_b", "0", "7k2m9x0d", "abcdefgh-", "x" * 64)

FLOW = """
params: {day: {type: date, default: "2026-11-28"}}
jobs:
  files: {run: "echo 'n=2' >> \\"$FLOWQ_OUTPUT\\""}
  each: {depends_on: files, foreach: '[1, 2, 3]', run: 'echo "item ${{ item }}"', max_parallel: 1}
  cells: {depends_on: files, matrix: {n: [1, 2]}, fail_fast: true, run: 'test ${{ matrix.n }} != 2'}
  ask: {depends_on: files, approval: "Go on?"}
on_exit:
  bye: {run: echo bye}
"""


@pytest.mark.parametrize("name", IDS)
def test_ids_of_jobs_lead_back_to_their_run(name: str) -> None:
    assert checked_run_id(name) == name
    for ordinal in (0, 7, 12_345):
        assert split_member_id(member_id(name, ordinal)) == (name, ordinal)
        assert is_member_id(member_id(name, ordinal))
        with pytest.raises(UsageError):
            checked_run_id(member_id(name, ordinal))


@pytest.mark.parametrize(
    "name",
    ["", "-a", ".a", "_a", "a b", "a/b", "a:b", "a@b", "ä", "x" * 65, "a\n", "7k2m9x0d-3", "@latest", "a*", "{a}"],
)
def test_what_cannot_be_an_id(cli: Cli, store: Store, name: str) -> None:
    outcome = cli("run", "flow.yaml", "--run-id", name)
    assert outcome.code == 2
    assert "id of a" in outcome.err
    assert outcome.err.count("\n") == 1
    assert store.runs.recent() == []


def test_an_exact_id_wins(cli: Cli, store: Store, tmp_path: Path) -> None:
    for name in ("nightly-2026-11", NIGHT, "Nightly", "nightly", "v1.2.3", "abcdefgh"):
        submit(store, samples.report_plan(), directory=tmp_path, run_id=name)

    def chosen(argument: str) -> str:
        return str(json.loads(cli("status", "--json", argument).out)["id"])

    for exact in ("nightly-2026-11", NIGHT, "Nightly", "nightly", "v1.2.3"):
        assert chosen(exact) == exact
    assert chosen("ABCDEFGH") == "abcdefgh"
    assert chosen("nightly-2026-11-") == NIGHT
    assert chosen("v1") == "v1.2.3"
    assert chosen("N") == "Nightly"
    assert chosen(f"{NIGHT}:3") == NIGHT, "the id of one of its jobs"
    assert chosen("abcdefgh-3") == "abcdefgh"
    assert cli("why", f"{NIGHT}:1").out.startswith("· fetch waiting")
    assert "fits several runs" in cli("status", "night").err
    assert "no run with the id 'weekly'" in cli("status", "weekly").err
    table = cli("runs").out.splitlines()
    assert len({line.index("nightly-report") for line in table[1:]}) == 1, "the columns are aligned"
    assert table[0].startswith("RUN                 FLOW")
    missing = cli("graph", "nothing.yaml")
    assert "nothing.yaml" in missing.err
    assert missing.code == 3


def test_the_key_against_double_submission(home: Path, tmp_path: Path) -> None:
    assert home.is_dir()
    flow = tmp_path / "flow.yaml"
    flow.write_text("params: {n: {type: integer, default: 1}}\njobs:\n  a: {run: 'echo ${{ params.n }} >> ran.txt'}\n")

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = ["run", "flow.yaml", "--run-id", NIGHT, *arguments]
        return process.flowq(*command, cwd=tmp_path)

    assert run().returncode == 0
    assert run().returncode == 0
    assert (tmp_path / "ran.txt").read_text() == "1\n"
    for arguments, words in (
        (("-p", "n=2"), "its params are others (n)"),
        (("--label", "a=b"), "its labels are others (a)"),
    ):
        refused = run(*arguments)
        assert refused.returncode == 2
        assert f"a run of something else has the id {NIGHT} already: {words}" in refused.stderr
    flow.write_text(flow.read_text().replace("echo", "printf"))
    assert "its flow has another text" in run().stderr
    flow.write_text("name: other\n" + flow.read_text())
    assert "it is a run of the flow flow;" in run().stderr


def test_everything_works_with_such_an_id(
    store: Store, server: PrivateServer, namespace: str, cli: Cli, tmp_path: Path
) -> None:
    (tmp_path / "flow.yaml").write_text(FLOW)
    with WorkerProcess(server.url, "default", "-c", "2", "--log-level", "warning", namespace=namespace):
        assert cli("run", "flow.yaml", "--run-id", NIGHT, "--detach").out == f"{NIGHT}\n"
        until(lambda: statuses(store, NIGHT).get("ask") == "deferred/approval", timeout=20)
        assert cli("approve", NIGHT, "ask").code == 0
        until(lambda: store.runs.require(NIGHT).ended, timeout=20)
        assert cli("status", NIGHT, "--exit-status").code == 1
        assert cli("logs", f"{NIGHT}:0").code == 0
        assert "item 3" in cli("logs", NIGHT, "each[2]").out
        assert cli("retry", NIGHT, "--job", "each", "--detach").code == 0
        until(lambda: store.runs.require(NIGHT).ended, timeout=20)
        assert cli("logs", "each").out.count("item 3") == 2
        assert cli("delete", NIGHT).code == 0
    assert store.runs.recent() == []
