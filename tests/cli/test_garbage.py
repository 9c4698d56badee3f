"""`flowq delete` and `flowq gc`."""

import json
from pathlib import Path

from flowq.flows.actions.submit import submit
from flowq.states import JobStatus
from flowq.store import Store
from tests.cli.conftest import Cli
from tests.store.test_garbage import ended_run
from tests.support.graphs import plan
from tests.support.slot_driver import Driver


def test_the_commands(cli: Cli, store: Store, tmp_path: Path) -> None:
    driver = Driver(store)
    first = ended_run(store, driver, run_id="aaaaaaaa")
    second = ended_run(store, driver, run_id="bbbbbbbb", outcome="failed")
    third = submit(store, plan({"a": []}), directory=tmp_path, run_id="cccccccc")
    refused = cli("delete", first, third)
    assert (refused.code, refused.out) == (2, "")
    assert refused.err == (
        "error: cannot delete run cccccccc: it is running; `flowq cancel cccccccc` ends it. Nothing was deleted\n"
    )
    done = cli("delete", "aaaa", "aaaaaaaa")
    assert (done.code, done.out) == (0, "deleted run aaaaaaaa (test, finished)\n")
    assert cli("delete", "aaaa").code == 2
    assert cli("delete").code == 2
    assert cli("gc").out == "nothing to remove\n"
    assert cli("gc", "--keep", "0", "--dry-run").out == f"would remove 1 run (chosen by --older-than and --keep): {second}\n"
    assert json.loads(cli("gc", "--older-than", "1h", "--json").out)["chosen_runs"] == []
    assert cli("gc", "--older-than", "0s").out == f"removed 1 run (chosen by --older-than and --keep): {second}\n"
    assert cli("gc", "--flow", "x").code == 2
    wrong = cli("gc", "--older-than", "soon")
    assert (wrong.code, "Invalid value for '--older-than'" in wrong.err) == (2, True)
    assert [record.status for record in store.runs.jobs(third, [0]) if record] == [JobStatus.QUEUED]
    store.runs.cancel(third)
    driver.settle()
    driver.close()


def test_flows_of_two_directories_with_one_name_are_two_flows(cli: Cli, store: Store) -> None:
    driver = Driver(store)
    for number in range(2):
        ended_run(store, driver, run_id=f"older-{number}", directory="/a")
        ended_run(store, driver, run_id=f"newer-{number}", directory="/b")
    assert cli("gc", "--keep", "2").out == "nothing to remove\n"
    assert json.loads(cli("gc", "--keep", "1", "--flow", "test", "--json").out)["chosen_runs"] == ["newer-0", "older-0"]
    driver.close()


def test_a_failed_run_is_not_chosen_when_a_newer_one_has_finished(cli: Cli, store: Store, tmp_path: Path) -> None:
    driver = Driver(store)
    failed = ended_run(store, driver, outcome="failed", directory=tmp_path)
    assert cli("retry", "--failed", "--dry-run").code == 0
    finished = ended_run(store, driver, directory=tmp_path)
    refused = cli("retry", "--failed", "--detach")
    assert (refused.code, refused.out) == (2, "")
    assert f"{finished} of the same flow has finished since {failed} failed" in refused.err
    assert f"flowq retry {failed} --failed" in refused.err
    assert store.runs.require(failed).attempt == 1
    assert cli("retry", failed, "--failed", "--detach").code == 0
    driver.close()
