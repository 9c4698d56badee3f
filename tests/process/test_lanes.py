"""Lanes: horse after horse reads its task from one stream, and nothing of one job reaches the next."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from flowq.worker.supervisor import departure
from flowq.worker.supervisor.fork_servers.lane import Lane
from tests.support.ctypes_files import kept_by_ctypes
from tests.support.supervisor_stub import Execution, Stand, call, shell, survivors, task
from tests.support.wait import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each lane is for one job")


def job(attribute: str, **fields: Any) -> dict[str, Any]:
    """Return a task that calls a function of `lane_jobs`."""
    return call(attribute, **fields) | {"module": "lane_jobs"}


def lanes(stand: Stand) -> list[Lane]:
    """Return the lanes that there are."""
    return list(stand.fork_server._lanes.values())


def on_each_lane(stand: Stand, job: dict[str, Any]) -> list[Execution]:
    """Execute a job on every lane at least once."""
    executed = [stand.run(job) for _ in range(2 * len(lanes(stand)))]
    stand.turn(lambda: len(stand.fork_server._ready) == len(lanes(stand)))
    return executed


def warmed(stand: Stand) -> Stand:
    """Return a stand whose lanes have all had a horse."""
    for _ in range(3):
        stand.run(call("noop"))
    return stand


@pytest.mark.not_on("batch", "a process for each job is what it looks at")
def test_horses_follow_each_other_on_few_lanes() -> None:
    parent = task("call", module="os", attribute="getpid", args=[], kwargs={})
    with Stand() as stand:
        warmed(stand)
        pids = [stand.run(parent).outcome["value"] for _ in range(20)]
        assert len(set(pids)) == 20
        assert stand.fork_server._numbers < 10


def test_nothing_of_a_job_reaches_the_next_on_its_lane() -> None:
    with Stand() as stand:
        warmed(stand)
        numbers = {lane.number for lane in lanes(stand)}
        states = [json.loads(execution.outcome["value"]) for execution in on_each_lane(stand, job("state"))]
        assert states == [states[0]] * len(states)
        left = on_each_lane(stand, job("leave"))
        assert {execution.outcome["outcome"] for execution in left} == {"finished"}
        assert {(execution.output(), execution.output("err")) for execution in left} == {
            (b"an unfinished line", b"and one more")
        }
        later = on_each_lane(stand, job("state"))
        assert numbers & {lane.number for lane in lanes(stand)}
        for execution in later:
            assert json.loads(execution.outcome["value"]) == states[0]
        assert {(execution.output(), execution.output("err")) for execution in later} == {(b"", b"")}


def test_a_job_has_the_stream_of_no_other_lane_that_was_asked_for_with_its_own() -> None:
    with Stand(slots=4) as stand:
        executions = [stand.start(job("state"), slot=slot) for slot in range(4)]
        stand.turn(lambda: all(execution.freed for execution in executions))
        first, *others = (json.loads(execution.outcome["value"])["descriptors"] for execution in executions)
        # the standard streams, that of the lane, and that of the directory which lists them
        assert len(first) == 5 + kept_by_ctypes()
        assert others == [first] * 3


def test_processes_of_a_job_write_nothing_for_the_next() -> None:
    with Stand() as stand:
        warmed(stand)
        for _ in range(10):
            stand.run(job("leave_processes"))
            execution = stand.run(call("echo", "mine"))
            assert (execution.outcome["value"], execution.output()) == (b'"mine"', b"")
        until(lambda: len(survivors(stand.mark)) <= 1 + len(lanes(stand)))


@pytest.mark.parametrize(("attribute", "end"), [("tell_twice", "finished"), ("tell_more", "failed")])
def test_a_job_that_tells_more_than_its_outcome_ends_its_lane(attribute: str, end: str) -> None:
    with Stand() as stand:
        warmed(stand)
        for jobs in (1, 2, 3):
            for _ in range(jobs):
                assert stand.run(job(attribute)).outcome["outcome"] == end
            assert stand.run(call("echo", "mine")).outcome["value"] == b'"mine"'


FAILURE = {"outcome": "failed", "reason": "error", "error": "", "exception": "", "exit_code": None}
FORGED = [
    {"executes": True, "outcome": "finished"},
    {"executes": True, "outcome": "no such"},
    {"phase": None, "so_far": None, "outcome": "finished"},
    {"phase": 1.0, "so_far": {"executes": True}},
    {"phase": 1.0, "so_far": {"phase": None, "so_far": None}},
    {"phase": 1.0, "so_far": {"outcome": "finished", "value": b"1", "exit_code": 0}},
    {"granted": "a node"},
    {"stays": True},
    {"stays": False},
    FAILURE | {"unstarted": True},
    FAILURE | {"note": 5},
    FAILURE | {"bases": 5},
    FAILURE | {"cache": {}},
    FAILURE | {"cache": {"hit": False, "reason": "", "record": 5}},
]


def test_what_is_made_of_parts_of_messages_is_none() -> None:
    with Stand() as stand:
        for forged in FORGED:
            outcome = stand.run(job("tell", args=[forged])).outcome
            assert (outcome["reason"], "flowq's processes talk over" in outcome["error"]) == ("killed", True), forged
        assert stand.run(call("echo", 1)).outcome["value"] == b"1"


def test_a_horse_that_says_that_it_becomes_a_command_and_stays_is_none_for_the_next_job() -> None:
    with Stand(preload=("lane_jobs", "process_jobs")) as stand:
        assert stand.run(job("lie", batch=9)).outcome["outcome"] == "finished"
        assert len(stand.fork_server._kept) == 1, "its horse stays"
        outcome = stand.run(call("leave_hard", 0, batch=9)).outcome
        assert outcome["error"].startswith("the job's process exited with code 0 without a result")


@pytest.mark.parametrize("lying", [False, True], ids=["honest", "lying"])
@pytest.mark.parametrize("code", [0, 1])
def test_a_horse_that_exits_while_it_looks_whether_it_stays_costs_no_job(code: int, lying: bool) -> None:
    with Stand(preload=("lane_jobs", "process_jobs")) as stand:
        for _ in range(2):
            assert stand.run(job("exit_at_the_look", args=[code, lying], batch=9)).outcome["outcome"] == "finished"
        assert stand.run(call("echo", 1, batch=9)).outcome["value"] == b"1"
        assert len(stand.fork_server._kept) == 1


@pytest.mark.slow
def test_many_short_jobs_in_several_slots_all_end_well() -> None:
    """The outcome and the exit of a horse, and the task of the next, often come in one turn of the loop."""
    with Stand(slots=3) as stand:
        ends: list[str] = []
        while len(ends) < 300:
            for slot in stand.slots:
                if slot.free:
                    if (former := stand.executions.get(slot.index)) is not None:
                        ends.append(former.outcome["outcome"])
                    stand.start(call("noop"), slot=slot.index)
            stand.turn(lambda: any(slot.free for slot in stand.slots))
        assert set(ends) == {"finished"}


@pytest.mark.parametrize("code", [0, 1, 70, 75])
def test_an_exit_without_an_outcome_ends_the_lane(code: int) -> None:
    with Stand() as stand:
        warmed(stand)
        before = {lane.number for lane in lanes(stand)}
        for _ in range(4):
            assert stand.run(call("leave_hard", code)).outcome["reason"] == "killed"
        assert stand.run(call("echo", 1)).outcome["value"] == b"1"
        stand.turn(lambda: before.isdisjoint(lane.number for lane in lanes(stand)))


EXITS_EARLY = """
import os
def leave():
    if os.path.exists(os.environ["LEAVE"]):
        os._exit(0)
os.register_at_fork(after_in_child=leave)
"""


def test_a_task_that_a_dead_horse_has_not_read_is_not_executed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "exits_early.py").write_text(EXITS_EARLY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("LEAVE", str(tmp_path / "leave"))
    with Stand(preload=("exits_early",)) as stand:
        warmed(stand)
        server = stand.fork_server.pid
        os.kill(server, signal.SIGSTOP)
        until(lambda: Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()[0] == "T")
        lane = stand.fork_server._ready[0]
        os.kill(lane.pid, signal.SIGKILL)  # the fork server does not know yet, and neither does the supervisor
        execution = stand.start(shell(f"touch {tmp_path}/executed"))
        stand.turn(lambda: execution.freed)
        assert execution.outcome["reason"] == "killed"
        (tmp_path / "leave").touch()  # from now on, horses exit well before they read anything
        for _ in range(len(lanes(stand))):
            stand.run(call("noop"))
        for _ in range(4):
            assert stand.run(shell(f"touch {tmp_path}/executed")).outcome["reason"] == "killed"
        (tmp_path / "leave").unlink()
        for _ in range(4):
            stand.run(call("noop"))
        assert stand.run(call("echo", 1)).outcome["value"] == b"1"
        assert not (tmp_path / "executed").exists()


def test_a_horse_that_hangs_at_its_exit_holds_nothing_up_and_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(departure, "EXIT_LIMIT", 0.5)
    with Stand() as stand:
        warmed(stand)
        hanging = stand.start(job("hang_at_exit"))
        stand.turn(lambda: hanging.freed)
        assert not stand.slots[0].settled
        for _ in range(4):
            later = stand.start(call("echo", 1))
            stand.turn(lambda e=later: e.freed)  # type: ignore[misc]
            assert later.outcome["value"] == b"1"
        stand.turn(lambda: stand.slots[0].settled)
        assert stand.run(call("echo", 2)).outcome["value"] == b"2"


def test_the_lane_of_a_job_that_was_signalled_is_not_used_again() -> None:
    with Stand() as stand:
        warmed(stand)
        numbers = {lane.number for lane in lanes(stand)}
        ended = stand.run(shell("trap 'exit 0' TERM; sleep 60 & wait", timeout=0.2))
        assert ended.outcome["reason"] == "timeout"
        stand.turn(lambda: not numbers <= {lane.number for lane in lanes(stand)})


def test_a_retired_fork_server_closes_lanes_and_ends(tmp_path: Path) -> None:
    with Stand(slots=2) as stand:
        warmed(stand)
        running = stand.start(call("block", str(tmp_path / "pid"), timeout=1.0), slot=1)
        stand.turn((tmp_path / "pid").exists)
        stand.fork_server.retire()
        assert not stand.fork_server.lost
        stand.turn(lambda: running.freed and stand.fork_server.lost)
        until(lambda: not survivors(stand.mark))


def test_the_next_job_of_a_slot_begins_when_the_processes_of_the_former_are_gone(tmp_path: Path) -> None:
    listens = f"exec 3<>{tmp_path}/left; flock 3; sleep 60 & disown"
    with Stand() as stand:
        warmed(stand)
        for _ in range(10):
            first = stand.start(shell(listens))
            stand.turn(lambda e=first: e.freed)  # type: ignore[misc]
            second = stand.start(shell(f"flock -n {tmp_path}/left true"))
            stand.turn(lambda e=second: e.freed)  # type: ignore[misc]
            assert (first.outcome["outcome"], second.outcome["outcome"]) == ("finished", "finished")


@pytest.mark.parametrize(
    "how",
    [
        "fcntl.fcntl(1, fcntl.F_SETFL, fcntl.fcntl(1, fcntl.F_GETFL) | os.O_NONBLOCK)",
        "fcntl.fcntl(2, fcntl.F_SETFL, fcntl.fcntl(2, fcntl.F_GETFL) | os.O_APPEND)",
        "fcntl.fcntl(1, fcntl.F_SETPIPE_SZ, 1 << 20)",
        "fcntl.fcntl(2, fcntl.F_SETFL, 0)",
        "fcntl.fcntl(1, fcntl.F_SETOWN, os.getpid())",
        "fcntl.fcntl(1, fcntl.F_SETSIG, 10)",
        "os.fchmod(2, 0)",
        "os.write(1, b'x' * 300_000)",
    ],
)
def test_pipes_that_a_job_has_changed_are_for_no_other(how: str) -> None:
    state = call("pipe_state") | {"module": "lane_jobs"}
    with Stand() as stand:
        warmed(stand)
        (usual,) = {execution.outcome["value"] for execution in on_each_lane(stand, state)}
        assert {
            execution.outcome["outcome"] for execution in on_each_lane(stand, job("run", args=["import fcntl, os; " + how]))
        } == {"finished"}
        assert {execution.outcome["value"] for execution in on_each_lane(stand, state)} == {usual}


def test_pipes_go_on_to_the_next_job_of_a_lane() -> None:
    inodes = call("pipe_inodes") | {"module": "lane_jobs"}
    with Stand() as stand:
        warmed(stand)
        seen = [execution.outcome["value"] for execution in on_each_lane(stand, inodes)]
        assert {execution.outcome["value"] for execution in on_each_lane(stand, inodes)} <= set(seen)
        assert len(set(seen)) <= len(lanes(stand))


def test_what_a_thread_writes_after_the_end_of_its_job_reaches_no_other() -> None:
    with Stand() as stand:
        warmed(stand)
        flood = on_each_lane(
            stand,
            job(
                "run",
                args=[
                    "import os, threading; threading.Thread(target=lambda: [os.write(1, b'late\\n') for _ in iter(int, 1)], daemon=True).start()"
                ],
            ),
        )
        assert {execution.outcome["outcome"] for execution in flood} == {"finished"}
        assert {execution.output("out") for execution in on_each_lane(stand, call("noop"))} == {b""}


def test_pipes_that_a_late_write_has_closed_are_replaced() -> None:
    with Stand() as stand:
        warmed(stand)
        for lane in lanes(stand):
            pipes = lane.pipes()
            for stream in (0, 1):  # an event of the turn in which a job has ended
                pipes._ready(stream)
            assert lane.pipes() is pipes
            os.write(pipes.writes[0], b"late")
            pipes._ready(0)
        says = shell("echo here; echo there >&2")
        assert {(each.output("out"), each.output("err")) for each in on_each_lane(stand, says)} == {(b"here\n", b"there\n")}
