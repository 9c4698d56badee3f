"""`flowq serve` on a real directory: its flows run by themselves, whatever happens to files and processes."""

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from flowq.states import RunStatus
from flowq.store import Store
from tests.support.launcher import IMPATIENT
from tests.support.serve import ServeProcess
from tests.support.server import PrivateServer
from tests.support.supervisor_stub import survivors
from tests.support.wait import until

pytestmark = pytest.mark.slow

EVERY_SECOND = "schedule: {every: 1s, catch_up: all, overlap: allow}\njobs:\n  a: {run: 'true'}\n"
BY_HAND = "jobs:\n  a: {run: 'true'}\n"
NEEDY = """
secrets: {KEY: {env: ABSENT_KEY}}
notify: [{on: failed, to: {file: no-such-address}}]
triggers: {push: {webhook: {secret: {env: ABSENT_HOOK}}}}
jobs: {a: {run: 'true', secrets: [KEY]}}
"""
WRONG = "schedule: {every: 1s}\njobs:\n  a: {runs: 'true'}\n"


@pytest.fixture
def env(server: PrivateServer, store: Store) -> dict[str, str]:
    return {"FLOWQ_REDIS_URL": server.url, "FLOWQ_NAMESPACE": store.namespace}


@pytest.fixture
def flows(tmp_path: Path) -> Path:
    root = tmp_path / "flows"
    (root / "etl").mkdir(parents=True)
    (root / "etl" / "tick.yaml").write_text(EVERY_SECOND)
    (root / "other.yaml").write_text(BY_HAND)
    return root


def serve(flows: Path, env: dict[str, str], *arguments: str, log: str = "serve.log") -> ServeProcess:
    return ServeProcess(flows, *arguments, log=flows.parent / log, env=env)


def slots(store: Store, schedule: str = "flows/etl/tick:default") -> list[int]:
    """Return the slots of the runs of a schedule that have ended well, increasing."""
    records = [store.runs.require(run) for run in store.runs.recent(1000)]
    found = [record.slot for record in records if record.schedule == schedule and record.status is RunStatus.FINISHED]
    return sorted(slot for slot in found if slot is not None)


def more_runs(store: Store, number: int = 2, *schedules: str) -> None:
    wanted = {schedule: len(slots(store, schedule)) + number for schedule in schedules or ("flows/etl/tick:default",)}
    until(
        lambda: all(len(slots(store, schedule)) >= count for schedule, count in wanted.items()),
        timeout=30,
        message=f"{number} more runs of {', '.join(wanted)}",
    )


def no_slot_is_missing_or_double(store: Store) -> None:
    found = slots(store)
    assert [count for count in Counter(found).values() if count > 1] == []
    assert [later - earlier for earlier, later in pairwise(found) if later - earlier != 1000] == []


def test_a_directory_runs_by_itself(flows: Path, env: dict[str, str], store: Store) -> None:
    (flows / "other.yaml").write_text(NEEDY)
    with serve(flows, {**env, IMPATIENT: "1"}, "-c", "2") as served:  # its processes are no forks
        served.says(f"serving {flows} as flows: 2 flows, 1 schedule, 1 trigger; Ctrl+C stops")
        served.says(f"\n  missing: {flows}/other.yaml:5: job a: secret KEY: the variable ABSENT_KEY is not set; ")
        served.says(f"\n  missing: {flows}/other.yaml: notify: secret ")
        served.says(f"\n  missing: {flows}/other.yaml: trigger push: secret webhook: the variable ABSENT_HOOK is not set; ")
        until(lambda: re.search(r"  next: [-\d]+ [:\d]+ UTC  flows/etl/tick:default\n", served.output))
        more_runs(store, 3)
        served.signal()
        assert served.wait() == 0
        assert "Traceback" not in served.output
    no_slot_is_missing_or_double(store)
    record = store.runs.require(store.runs.recent(1)[0])
    assert (record.directory, record.cause, record.queue_prefix) == (str(flows), "schedule", "")


def test_what_workers_elsewhere_have_is_not_known(flows: Path, env: dict[str, str]) -> None:
    (flows / "other.yaml").write_text(NEEDY)
    with serve(flows, env, "--no-workers") as served:
        served.says("1 trigger; Ctrl+C stops")
        served.signal()
        assert served.wait() == 0
        assert "missing:" not in served.output


@pytest.mark.parametrize("child", ["scheduler", "worker"])
def test_a_killed_child_is_replaced(flows: Path, env: dict[str, str], store: Store, child: str) -> None:
    with serve(flows, env) as served:
        more_runs(store)
        os.kill(served.pids(child)[-1], signal.SIGKILL)
        until(lambda: len(served.pids(child)) == 2)
        more_runs(store, 3)
        served.signal()
        assert served.wait() == 0
    no_slot_is_missing_or_double(store)


def test_a_killed_parent_leaves_nothing_running_and_nothing_is_lost(flows: Path, env: dict[str, str], store: Store) -> None:
    with serve(flows, env) as served:
        more_runs(store)
        served.signal(signal.SIGKILL)
        until(lambda: not survivors(served.mark), message="all children to end")
    with serve(flows, env, log="again.log"):
        more_runs(store, 3)
    no_slot_is_missing_or_double(store)


def test_two_on_one_directory_make_one_run_per_slot(flows: Path, env: dict[str, str], store: Store) -> None:
    with serve(flows, env) as first, serve(flows, env, log="second.log") as second:
        first.says("serving")
        second.says("serving")
        more_runs(store, 3)
        first.signal(signal.SIGKILL)
        more_runs(store, 3)
    no_slot_is_missing_or_double(store)


def test_files_are_noticed_when_they_change(flows: Path, env: dict[str, str], store: Store) -> None:
    """A typo in one file of three harms no other; a new file begins, a deleted one ends; SIGHUP looks at once."""
    with serve(flows, env) as served:
        served.says("serving")
        (flows / "wrong.yaml").write_text(WRONG)
        (flows / "new.yaml").write_text(EVERY_SECOND)
        os.utime(flows / "new.yaml", (0, 0))  # written long ago: it is taken at the next look
        served.signal(signal.SIGHUP)
        more_runs(store, 2, "flows/new:default")
        assert slots(store, "flows/wrong:default") == []
        (flows / "wrong.yaml").write_text(EVERY_SECOND)
        more_runs(store, 2, "flows/wrong:default", "flows/etl/tick:default")
        (flows / "new.yaml").unlink()
        more_runs(store, 4)
        gone = slots(store, "flows/new:default")
        more_runs(store, 2)
        assert slots(store, "flows/new:default") == gone
        served.signal()
        assert served.wait() == 0


def test_without_reload_files_are_looked_at_when_asked(flows: Path, env: dict[str, str], store: Store) -> None:
    """A changed file starts nothing until then, rather than half of what it is to be; a new one is not known."""
    (flows / "new.yaml").write_text(EVERY_SECOND)
    with serve(flows, env, "--reload", "never") as served:
        more_runs(store, 2, "flows/new:default")
        (flows / "new.yaml").write_text(EVERY_SECOND + "# changed\n")
        (flows / "late.yaml").write_text(EVERY_SECOND)
        served.says("flows/new:default: ", timeout=30)
        served.says("new.yaml has changed since the scheduler looked at it")
        known = slots(store, "flows/new:default")
        more_runs(store, 3)
        assert (slots(store, "flows/new:default"), slots(store, "flows/late:default")) == (known, [])
        served.signal(signal.SIGHUP)
        more_runs(store, 2, "flows/new:default", "flows/late:default")
        served.signal()
        assert served.wait() == 0


def test_a_directory_that_vanishes_fires_nothing_until_it_is_back(flows: Path, env: dict[str, str], store: Store) -> None:
    with serve(flows, env) as served:
        more_runs(store)
        flows.rename(flows.parent / "aside")
        served.says("cannot be read")
        (flows.parent / "aside").rename(flows)
        more_runs(store, 4)
        served.signal()
        assert served.wait() == 0


def test_another_directory_of_that_name_is_refused(flows: Path, env: dict[str, str], tmp_path: Path) -> None:
    other = tmp_path / "b" / "flows"
    other.mkdir(parents=True)
    with serve(flows, env) as served:
        served.says("serving")
        with serve(other, env) as refused:
            assert refused.wait() == 2
            assert f"the name flows belongs to {flows}" in refused.output
        with serve(other, env, "--name", "b") as named:
            named.says(f"serving {other} as b")


def test_on_the_embedded_server_every_queue_of_the_flows_is_served(flows: Path, home: Path) -> None:
    """And `flowq run` beside it has a worker of its own, and is not disturbed."""
    from flowq.connections.clients import open_store

    with serve(flows, {}) as served:
        served.says("listens on serve/flows/default ")
        (flows / "gpu.yaml").write_text(EVERY_SECOND.replace("'true'", "'true', queue: gpu"))
        served.says("listens on serve/flows/default, serve/flows/gpu")
        store = open_store()
        try:
            more_runs(store, 2, "flows/etl/tick:default", "flows/gpu:default")
            ran = subprocess.run(
                [sys.executable, "-m", "flowq", "run", str(flows / "other.yaml"), "--output", "quiet"],
                capture_output=True,
                text=True,
                check=False,
            )
            assert ran.returncode == 0, ran.stderr
            more_runs(store)
        finally:
            store.close()
        served.signal()
        assert served.wait() == 0
    assert home.is_dir()


def test_a_directory_of_1000_flows(flows: Path, env: dict[str, str], store: Store) -> None:
    for number in range(1000):
        (flows / f"flow{number}.yaml").write_text(EVERY_SECOND.replace("1s", "1h"))
    with serve(flows, env) as served:
        served.says("1002 flows, 1001 schedules", timeout=60)
        more_runs(store, 3)
        served.signal()
        assert served.wait() == 0
    no_slot_is_missing_or_double(store)


def test_json_lines(flows: Path, env: dict[str, str], store: Store) -> None:
    (flows / "ticks.yaml").write_text(EVERY_SECOND)
    with serve(flows, env, "--log-format", "json") as served:
        served.says("serving")
        served.says("listens on")
        served.says(": finished")
        served.signal()
        assert served.wait() == 0
        lines = [json.loads(line) for line in served.output.splitlines()]
    assert {"serve", "schedules", "worker"} <= {line["process"] for line in lines}
    assert all(line["time"].endswith("Z") and line["level"] and line["message"] for line in lines)
    made = [line for line in lines if line["process"] == "schedules" and ": run " in line["message"]]
    executed = [line for line in lines if line["message"].startswith("job ")]
    assert {line["run"] for line in executed} <= {line["run"] for line in made}
    for line in (*made, *executed):
        assert line["run"] in line["message"]
        assert line["flow"] == store.runs.require(line["run"]).flow
    assert {line["message"].split(" ")[-1] for line in executed} >= {"1", "finished"}, "the attempt, and the end"
    assert all(line["job"].startswith(line["run"]) for line in executed)
