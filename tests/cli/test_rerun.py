"""Retries of chosen jobs, runs with the params of earlier ones, and filters of `flowq runs`."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flowq.flows.actions.retry import plan_rerun
from flowq.flows.actions.submit import submit
from flowq.flows.views import run_list
from flowq.store import Store
from tests.cli.conftest import Cli
from tests.support.graphs import Extra, Shape, plan, statuses
from tests.support.slot_driver import Driver

EACH = Extra(foreach=["each"])
SHAPE = {"a": [], "m": ["a"], "after": ["m"], "side": ["a"], "end": ["after", "side"]}


@pytest.fixture
def ended(store: Store, tmp_path: Path) -> str:
    """A run in which one cell of a matrix has failed and all other jobs have finished."""
    run = submit(store, plan(SHAPE, cells={"m": 3}), directory=tmp_path)
    drain(store, failing={2})
    return run


def drain(store: Store, *, failing: set[int] = frozenset()) -> list[int]:  # type: ignore[assignment]
    """Execute all jobs; return their ordinals in order."""
    driver = Driver(store)
    driver.settle()
    executed = []
    while claim := driver.claim():
        executed.append(claim.ordinal or 0)
        driver.end(claim, "failed" if claim.ordinal in failing else "finished")
        driver.settle()
    driver.close()
    return executed


def test_chosen_jobs_run_again_with_their_dependents(cli: Cli, store: Store, ended: str) -> None:
    outcome = cli("retry", ended, "--job", "side", "--dry-run")
    assert outcome.code == 0
    assert [line.split() for line in outcome.out.splitlines()[1:]] == [
        ["side", "chosen"],
        ["it", "would", "skip", "again", "1", "job:"],
        ["end", "upstream_skipped"],
    ]
    assert cli("retry", ended, "--job", "side", "--detach").code == 0
    assert drain(store) == [6]
    assert statuses(store, ended)["end"] == "skipped/upstream_skipped"
    assert store.runs.require(ended).status == "failed"


def test_a_cell_runs_again_and_its_matrix_counts_again(store: Store, ended: str) -> None:
    retry = plan_rerun(store, ended, {2}, only=False)
    assert [name for name, _why in retry.jobs] == ["m[n=1]", "after", "end"]
    retry.apply(store)
    assert drain(store) == [2, 5, 7]
    assert set(statuses(store, ended).values()) == {"finished"}
    assert store.runs.require(ended).status == "finished"


def test_only_the_job_itself(cli: Cli, store: Store, ended: str) -> None:
    document = json.loads(cli("retry", ended, "--job", "m[n=1]", "--only", "--dry-run", "--json").out)
    assert [job["name"] for job in document["jobs"]] == ["m[n=1]"]
    plan_rerun(store, ended, {2}, only=True).apply(store)
    assert drain(store) == [2]
    found = statuses(store, ended)
    assert found["m[n=1]"] == "finished"
    assert found["after"] == "skipped/upstream_failed"
    assert store.runs.require(ended).status == "finished"


def test_several_jobs_and_a_whole_matrix(store: Store, ended: str) -> None:
    retry = plan_rerun(store, ended, {1, 2, 3, 6}, only=True)
    retry.apply(store)
    assert sorted(drain(store)) == [1, 2, 3, 6]


def test_a_job_below_one_that_stays_failed_is_skipped_again(store: Store, ended: str) -> None:
    plan_rerun(store, ended, {5}, only=False).apply(store)
    assert drain(store) == []
    assert statuses(store, ended)["after"] == "skipped/upstream_failed"


def test_cells_of_a_foreach_run_again(cli: Cli, store: Store, tmp_path: Path) -> None:
    run = submit(store, plan({"list": [], "each": ["list"], "after": ["each"]}, extra=EACH), directory=tmp_path)
    drain(store)
    document = json.loads(cli("retry", run, "--job", "each[1]", "--dry-run", "--json").out)
    assert [job["name"] for job in document["jobs"]] == ["each[1]", "after"]
    plan_rerun(store, run, {4}, only=False).apply(store)
    assert drain(store) == [4, 2]
    document = json.loads(cli("retry", run, "--job", "each", "--dry-run", "--json").out)
    assert [(job["name"], job["reason"]) for job in document["jobs"]] == [
        ("each[0]", "chosen"), ("each[1]", "chosen"), ("after", "depends on each"),
    ]  # fmt: skip
    document = json.loads(cli("retry", run, "--job", "list", "--dry-run", "--json").out)
    assert [(job["name"], job["reason"]) for job in document["jobs"]] == [
        ("list", "chosen"), ("each", "depends on list"), ("after", "depends on each"),
    ]  # fmt: skip
    plan_rerun(store, run, {0}, only=False).apply(store)
    assert drain(store) == [0, 5, 6, 2], "the list is evaluated again, and the old cells are dropped"
    assert store.runs.require(run).status == "finished"


@pytest.mark.parametrize("only", [True, False])
def test_handlers_run_again(store: Store, tmp_path: Path, *, only: bool) -> None:
    handlers: dict[str, Shape] = {"success": {"tell": []}, "failure": {"page": []}, "exit": {"clean": []}}
    run = submit(store, plan({"a": [], "b": ["a"]}, extra=Extra(handlers=handlers)), directory=tmp_path)
    assert drain(store, failing={1}) == [0, 1, 3, 4]
    assert store.runs.require(run).not_needed == 1
    plan_rerun(store, run, {1}, only=only).apply(store)
    assert drain(store) == [1, 2, 4]
    assert (store.runs.require(run).status, store.runs.require(run).not_needed) == ("finished", 1)
    assert statuses(store, run)["failure/page"] == "skipped/not_selected"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "either --failed or --job JOB"),
        (["--failed", "--job", "a"], "either --failed or --job JOB"),
        (["--failed", "--only"], "--only needs --job"),
        (["--job", "sid"], "did you mean 'side'?"),
    ],
)
def test_options_that_exclude_each_other(cli: Cli, ended: str, arguments: list[str], words: str) -> None:
    outcome = cli("retry", ended, *arguments)
    assert outcome.code == 2
    assert words in outcome.err


def test_an_active_run_is_refused(cli: Cli, store: Store, tmp_path: Path) -> None:
    run = submit(store, plan(SHAPE), directory=tmp_path)
    assert "only a run that has ended can be retried" in cli("retry", run, "--job", "a").err


FLOW = """
name: again
params:
  who: {type: string, default: world}
  times: {type: integer, default: 1}
jobs:
  hello: {run: "echo ${{ params.who }}"}
"""


def test_again_with_the_same_params_and_labels(cli: Cli, store: Store, tmp_path: Path) -> None:
    (tmp_path / "again.yaml").write_text(FLOW)
    first = cli("run", "again.yaml", "-p", "who=you", "-p", "times=3", "--label", "team=data", "--detach").out.strip()
    second = cli("run", "--again", first, "-p", "times=4", "--detach").out.strip()
    assert second != first
    record = store.runs.require(second)
    assert json.loads(record.params) == {"who": "you", "times": 4}
    assert json.loads(record.labels) == {"team": "data"}
    assert record.directory == store.runs.require(first).directory
    assert "params who=you, times=3" in cli("run", "--again", first, "--dry-run").out
    assert cli("run", "--again", first, "again.yaml").code == 2
    (tmp_path / "again.yaml").unlink()
    assert cli("run", "--again", first).code == 3


def test_runs_by_label_and_time(cli: Cli, store: Store, tmp_path: Path) -> None:
    made = plan({"a": []})
    first = submit(store, made, directory=tmp_path, run_id="aaaaaaaa", labels={"team": "data", "env": "prod"})
    second = submit(store, made, directory=tmp_path, run_id="bbbbbbbb", labels={"team": "web"})

    def listed(*arguments: str) -> list[str]:
        return [run["id"] for run in json.loads(cli("runs", "--json", *arguments).out)]

    assert listed("--label", "team=data") == [first]
    assert listed("--label", "team=data", "--label", "env=test") == []
    assert listed("--since", "1h") == [second, first]
    assert listed("--since", "2020-01-31T06:00") == [second, first]
    assert listed("--since", "2999-01-01") == []
    assert listed("--since", "0s") == []
    for wrong in ("soon", "2026-13-01", "2026-01-01T99"):
        assert cli("runs", "--since", wrong).code == 2
    assert listed("--until", "0s") == [second, first]
    assert listed("--until", "1h") == []
    created = store.runs.require(second).created_ms
    between = datetime.fromtimestamp(created / 1000, UTC).isoformat()
    earlier = [run for run in (second, first) if store.runs.require(run).created_ms < created]
    assert listed("--until", between) == earlier
    assert listed("--until", "0s", "--since", between) == [run for run in (second, first) if run not in earlier]


def test_the_whole_history_is_listed(cli: Cli, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More runs than one page has, which ended at 1,000, so that a filter found nothing behind it."""
    monkeypatch.setattr(run_list, "SCANNED", 3)
    made = plan({"a": []})
    other = replace(made, name="other")
    runs = [submit(store, other if number == 0 else made, directory=tmp_path) for number in range(8)]

    def listed(*arguments: str) -> list[str]:
        return [run["id"] for run in json.loads(cli("runs", "--json", *arguments).out)]

    assert sorted(listed("--limit", "0")) == sorted(runs)
    assert len(listed("--limit", "5")) == 5
    assert len(listed("--limit", "2000")) == 8
    assert listed("--flow", "other", "--limit", "1") == runs[:1], "the oldest one"
    assert listed("--flow", "none") == []
