"""Horses that take one job after the other: which jobs share one, what ends it, and what does not pass from job to job."""

import json
import os
import pickle
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowq import ids
from flowq.plan import Action
from flowq.store import Store
from flowq.store.schema.new_jobs import NewJob
from flowq.worker.supervisor.ends import KillCause
from tests.support.server import PrivateServer
from tests.support.supervisor_stub import MODULES, Stand, call, survivors, task
from tests.support.wait import until
from tests.support.workers import WorkerProcess, ended, flow, node, start

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each horse is for one job")
ONE_CORE = sys.platform == "linux" and len(os.sched_getaffinity(0)) == 1


def plain(name: str, *args: object, **fields: Any) -> dict[str, Any]:
    """Return the task of a plain job that may share its horse."""
    return task("pickle", payload=pickle.dumps((name, args, {})), path=[MODULES]) | {"batch": 100} | fields


def batch(name: str, *args: object, **fields: Any) -> dict[str, Any]:
    """Return the task of a flow's job that may share its horse."""
    return call(name, *args, batch=100) | {"module": "batch_jobs"} | fields


@pytest.fixture
def stand() -> Iterator[Stand]:
    with Stand(preload=("pickle", "process_jobs", "batch_jobs", "signal", "threading", "random")) as one:
        yield one


def horse(stand: Stand, **fields: Any) -> int:
    """Return the horse of a job that leaves nothing."""
    return int(stand.run(batch("own_pid", **fields)).outcome["value"])


@pytest.mark.parametrize("job", [plain("os.getpid"), batch("own_pid")], ids=["plain", "call"])
def test_jobs_share_a_horse_up_to_their_number(stand: Stand, job: dict[str, Any]) -> None:
    pids = [stand.run(job | {"batch": 3}).outcome["value"] for _ in range(7)]
    assert pids[0] == pids[1] == pids[2] != pids[3] == pids[4] == pids[5] != pids[6]


@pytest.mark.not_on("batch", "a process for each job is what it looks at")
def test_other_jobs_get_horses_of_their_own(stand: Stand, tmp_path: Path) -> None:
    shared = horse(stand)
    alone = call("own_pid") | {"module": "batch_jobs"}
    assert {int(stand.run(alone).outcome["value"]) for _ in range(3)}.isdisjoint({shared})
    assert horse(stand) == shared
    assert horse(stand, flow_dir=str(tmp_path)) != shared
    assert horse(stand, cwd=str(tmp_path)) != shared
    assert horse(stand) == shared


@pytest.mark.parametrize(
    "leaves",
    [
        "a_variable",
        "a_directory",
        "a_umask",
        "a_path",
        "a_module",
        "a_stream",
        "an_input",
        "a_handler",
        "a_mask",
        "a_timer",
        "a_file",
        "a_thread",
        "a_process",
        "a_limit",
        "a_policy",
        "a_priority",
        pytest.param("a_place", marks=pytest.mark.skipif(ONE_CORE, reason="there is no other place")),
        "memory",
        "an_exception",
        "a_retry",
    ],
)
def test_a_job_that_leaves_something_ends_its_horse(stand: Stand, leaves: str, tmp_path: Path) -> None:
    (tmp_path / "found_late.py").touch()
    first = horse(stand)
    execution = stand.run(batch(leaves, str(tmp_path)))
    assert stand.run(batch("leftovers")).outcome["value"] == b"[]"
    assert horse(stand) != first
    if leaves not in {"an_exception", "a_retry"}:
        assert int(execution.outcome["value"]) == first


@pytest.mark.not_on("batch", "a process for each job is what it compares with")
def test_what_goes_on_does_so_as_documented(stand: Stand) -> None:
    """Values in modules, the state of `random` and settings of the interpreter: what the page on workers says that the next job sees."""
    first = stand.run(batch("settings", 1))
    assert stand.run(batch("settings", 2)).outcome["value"] == b"[1,500,false]"
    assert first.outcome["value"] != b"[1,500,false]"
    assert stand.run(call("settings", 3) | {"module": "batch_jobs"}).outcome["value"] == first.outcome["value"]


def test_variables_and_output_are_of_one_job(stand: Stand) -> None:
    first = stand.run(batch("tell_environment", env={"OWN": "1", "HOME": "/one"}, id="one"))
    second = stand.run(batch("tell_environment", id="two"))
    assert first.outcome["value"] == b'["1","/one","one"]'
    assert second.outcome["value"] == b'[null,"%s","two"]' % os.environb[b"HOME"]
    assert (first.output(), second.output()) == (b"of one\n", b"of two\n")
    assert horse(stand) == int(first.output("err"))


@pytest.mark.parametrize("timeout", [30.0, None])
def test_an_alarm_that_is_pending_reaches_no_other_job(stand: Stand, timeout: float | None) -> None:
    assert horse(stand)
    assert stand.run(batch("an_alarm", timeout=timeout)).outcome["outcome"] == "finished"
    assert float(stand.run(batch("alarm_left", timeout=timeout)).outcome["value"]) <= (timeout or 0.0)


def test_a_timeout_hits_one_job(stand: Stand, tmp_path: Path) -> None:
    before = horse(stand)
    assert stand.run(batch("block", timeout=0.2)).outcome["reason"] == "timeout"
    after = horse(stand)
    assert after != before
    assert stand.run(batch("block_hard", timeout=0.2)).outcome["reason"] == "timeout"
    assert horse(stand) != after


@pytest.mark.parametrize("cause", [KillCause.CANCEL, KillCause.KILL, KillCause.FENCED])
def test_a_kill_hits_one_job(stand: Stand, tmp_path: Path, cause: KillCause) -> None:
    before = horse(stand)
    execution = stand.start(batch("say_and_block", str(tmp_path / "pid")))
    stand.turn((tmp_path / "pid").exists)
    stand.slots[0].kill(cause)
    stand.turn(lambda: execution.freed)
    assert execution.end is not None
    assert execution.end.cause is cause
    assert horse(stand) != before


def test_a_horse_that_is_killed_while_it_waits_is_replaced(stand: Stand) -> None:
    before = horse(stand)
    os.kill(before, signal.SIGKILL)
    stand.turn(lambda: not stand.fork_server._kept)
    assert horse(stand) != before


def test_horses_that_wait_end_with_their_killed_fork_server(stand: Stand) -> None:
    assert horse(stand)
    assert stand.fork_server._kept
    os.kill(stand.fork_server.pid, signal.SIGKILL)
    stand.turn(lambda: stand.fork_server.lost)
    until(lambda: not survivors(stand.mark))


def test_a_retired_fork_server_ends_horses_that_wait(stand: Stand) -> None:
    assert horse(stand)
    assert stand.fork_server._kept
    assert not stand.fork_server.busy
    stand.fork_server.retire()
    stand.turn(lambda: stand.fork_server.lost)
    until(lambda: not survivors(stand.mark))


def test_slots_share_horses(tmp_path: Path) -> None:
    with Stand(slots=3, preload=("batch_jobs",)) as stand:
        pids = set()
        for _ in range(20):
            started = [stand.start(batch("own_pid"), slot=slot) for slot in range(3)]
            stand.turn(lambda s=started: all(execution.freed for execution in s))  # type: ignore[misc]
            pids |= {execution.outcome["value"] for execution in started}
        assert len(pids) < 20


def pids_of(store: Store, run: str, count: int) -> list[int]:
    return [int(value or b"") for _, value in store.runs.results(run, range(count))]


@pytest.mark.not_on("batch", "a process for each job is what it looks at")
def test_worker_and_job_say_what_shares_a_horse(store: Store, server: PrivateServer, tmp_path: Path) -> None:
    action = Action("call", module="batch_jobs", attribute="own_pid")
    (tmp_path / "batch_jobs.py").write_text((Path(MODULES) / "batch_jobs.py").read_text())

    def run_of(*isolation: str) -> str:
        nodes = [node(f"n{number}", action, isolation=chosen) for number, chosen in enumerate(isolation)]
        return start(store, flow(*nodes), tmp_path)

    def shared(run: str) -> bool:
        pids = pids_of(store, run, 5)
        return len(set(pids)) < len(pids)

    with WorkerProcess(server.url, "--isolation", "batch,slow=job"):
        until(lambda: ended(store, one := run_of(*[""] * 5)) and shared(one), timeout=30)  # when the module is kept imported
        refused = run_of(*["job"] * 5)
        ended(store, refused)
        assert not shared(refused)
    with WorkerProcess(server.url, "--isolation", "batch:2"):
        until(lambda: ended(store, one := run_of(*[""] * 5)) and shared(one), timeout=30)
        ended(store, several := run_of(*["batch"] * 5))
        assert max(Counter(pids_of(store, several, 5)).values()) == 2
    with WorkerProcess(server.url):
        until(lambda: ended(store, one := run_of(*["batch"] * 5)) and shared(one), timeout=30)
        plain_run = run_of(*[""] * 5)
        ended(store, plain_run)
        assert not shared(plain_run)
    with WorkerProcess(server.url, "--isolation", "job"):
        both = run_of(*["batch"] * 5)
        ended(store, both)
        assert not shared(both)


def test_a_horse_is_shared_by_jobs_of_one_version_of_the_code(store: Store, server: PrivateServer, tmp_path: Path) -> None:
    action = Action("call", module="versioned", attribute="seen")
    code = tmp_path / "versioned.py"
    code.write_text("import os\n\n\ndef seen():\n    return [os.getpid(), 1]\n")

    def results() -> list[tuple[int, int]]:
        run = start(store, flow(*(node(f"n{number}", action, isolation="batch") for number in range(5))), tmp_path)
        ended(store, run)
        return [tuple(json.loads(value or b"")) for _, value in store.runs.results(run, range(5))]

    with WorkerProcess(server.url):
        until(lambda: len({pid for pid, _ in results()}) == 1, timeout=30)
        former = results()
        code.write_text(code.read_text().replace("1]", "22]"))
        later = results()
        assert {version for _, version in former} == {1}
        assert {version for _, version in later} == {22}
        assert {pid for pid, _ in former}.isdisjoint(pid for pid, _ in later)


def test_plain_jobs_share_a_horse_unless_they_have_callbacks(store: Store, server: PrivateServer) -> None:
    def create(name: str, queue: str, **fields: str) -> None:
        store.jobs.create(NewJob(name, queue, pickle.dumps(("os.getpid", (), {})), ids.nonce(), fields=fields))

    def pids(prefix: str) -> set[int]:
        results = [result for number in range(5) if (result := store.jobs.result(f"{prefix}{number}")) is not None]
        assert [result.type for result in results] == ["successful"] * 5, [result.error for result in results]
        return {pickle.loads(result.value) for result in results if result.value is not None}  # noqa: S301

    for number in range(5):
        create(f"fast{number}", "fast")
        create(f"slow{number}", "slow")
        create(f"calls{number}", "fast", on_success="builtins.print|10000")
    env = {"FLOWQ_NAMESPACE": "flowq-test", "FLOWQ_ISOLATION": "fast=batch"}
    with WorkerProcess(server.url, "fast", "slow", "--burst", "--preload", "pickle", env=env) as worker:
        assert worker.wait() == 0
    assert len(pids("fast")) <= 2  # after the first one, the fork server imports its modules, and makes new horses
    assert [len(pids(prefix)) for prefix in ("slow", "calls")] == [5, 5]
