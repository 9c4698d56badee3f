"""Jobs that do what they can to keep their slot or to leave something: the slot is free in bounded time, and nothing is left.

Each in four ways: as a call in a process of its own, as a call that shares its process, as a command and as a script. They run side by side, each in a
slot, because most of the time is waited for.
"""

import contextlib
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from flowq.worker.supervisor import slot as slot_module
from flowq.worker.supervisor.fork_servers import client
from tests.support.supervisor_stub import MODULES, Execution, Stand, call, gone, shell, survivors, task
from tests.support.wait import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for survivors in /proc")

GRACE: Final = 0.2  # s
SHORT: Final = {
    "call": 0.5,
    "batch": 0.5,
    "argv": 3.0,
    "shell": 3.0,
}  # s, the timeout of jobs that are to reach it; an interpreter has to start in a command
LONG: Final = 30.0  # s, that of all others
BOUND: Final = 8.0  # s from the timeout to a free slot, while they all run on a busy machine; alone it takes less than one

TIMEOUT, FINISHED, ERROR, KILLED = "timeout", "finished", "error", "killed"

ENDS = {
    "ignores_signals": {TIMEOUT},
    "blocks_in_c": {TIMEOUT},
    "stops_itself": {TIMEOUT},
    "becomes_another_program": {TIMEOUT},
    "floods": {TIMEOUT},
    "leaves_daemons": {FINISHED},
    "leaves_one_that_hops": {FINISHED},
    "leaves_a_daemon_that_floods": {FINISHED},
    "leaves_one_that_hides": {FINISHED},
    "leaves_a_stopped_one": {FINISHED},
    "leaves_one_that_adopts": {FINISHED},
    "leaves_a_namespace": {FINISHED},
    "removes_its_directory": {FINISHED},
    "is_traced_by_what_it_left": {TIMEOUT},
    "is_held_by_what_it_left": {TIMEOUT},
    "leaves_a_thread": {FINISHED},
    "hangs_at_its_exit": {FINISHED},
    "closes_its_output": {FINISHED},
    "closes_everything": {KILLED},
    "writes_to_every_descriptor": {KILLED},
    "sends_what_is_no_outcome": {KILLED},
    "exhausts_memory": {ERROR},
    "exhausts_descriptors": {ERROR},
    "lowers_its_limits": {FINISHED},
    "kills_its_group": {KILLED},
    "crashes": {KILLED},
}
AS_COMMANDS = {
    "leaves_a_thread": {
        TIMEOUT
    },  # a program ends when its threads have ended; flowq's process of a call does not wait for them
    "hangs_at_its_exit": {TIMEOUT},
    "closes_everything": {FINISHED},  # the streams between flowq's processes are not open in commands
    "writes_to_every_descriptor": {FINISHED},
    "sends_what_is_no_outcome": {FINISHED},
    "kills_its_group": {KILLED},
}

IN_A_SHELL = {
    "crashes": {ERROR},  # the exit code of its command is the script's
    "kills_above": {KILLED},  # the shell, which waits for it
    "stops_above": {TIMEOUT},
    "stops_above_and_ends": {TIMEOUT},
    "traces_above": {TIMEOUT},
    "holds_above": {TIMEOUT},
}


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory for temporary files of the processes of this test; in memory, where deep trees are made and removed in no time."""
    memory = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as directory:
        monkeypatch.setenv("TMPDIR", directory)
        # s; on a busy machine a fork server would be killed before it has removed its files
        monkeypatch.setattr(client.ForkServerClient, "close_limit", 20.0)
        yield Path(directory)


def job(way: str, attribute: str, directory: Path, *more: int, timeout: float = LONG) -> dict[str, Any]:
    """Return the task of a job; `more`: further arguments."""
    if way in {"argv", "shell"}:
        code = f"import hostile_jobs; hostile_jobs.{attribute}{(str(directory), *more)}"
        argv = [sys.executable, "-c", code]
        if way == "argv":
            return task("argv", argv=argv, env={"PYTHONPATH": MODULES}, timeout=timeout)
        return shell(f"{shlex.join(argv)}; exit $?", env={"PYTHONPATH": MODULES}, timeout=timeout)
    return (
        call(attribute, str(directory), *more, timeout=timeout)
        | {"module": "hostile_jobs"}
        | ({"batch": 100} if way == "batch" else {})
    )


def end_of(execution: Execution) -> str:
    outcome = execution.outcome
    return str(outcome["outcome"] if outcome["outcome"] == FINISHED else outcome["reason"])


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def horses(stand: Stand) -> set[int]:
    """Return the horses that wait for a job."""
    server = stand.fork_server
    return {lane.pid for lane in server._ready} | {lane.pid for _, lane in server._kept}


def held(stand: Stand) -> tuple[int, int]:
    """Return how many descriptors the supervisor and the fork server have, apart from those of the lanes: a stream, and in the supervisor two pipes."""
    waiting = len(horses(stand))
    pipes = sum(lane._pipes is not None for lane in stand.fork_server._lanes.values())
    return descriptors(os.getpid()) - waiting - 4 * pipes, descriptors(stand.fork_server.pid) - waiting


def is_quiet(stand: Stand) -> bool:
    """Return whether the fork server and horses that wait are the only processes."""
    return set(survivors(stand.mark)) == {stand.fork_server.pid, *horses(stand)}


def renewed(stand: Stand) -> bool:
    """Renew the lease of the fork server, as a worker does all the time; return True, for use in `turn`."""
    stand.fork_server.renew(60.0)
    return True


def ends(way: str) -> dict[str, set[str]]:
    """Return the jobs of a way, and how each may end."""
    return ENDS | {"call": {}, "batch": {}, "argv": AS_COMMANDS, "shell": AS_COMMANDS | IN_A_SHELL}[way]


def is_there(pid: int) -> bool:
    """Return whether a process runs that has no mark."""
    with contextlib.suppress(OSError):
        return b"sleep" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


@pytest.mark.parametrize("way", ["call", "batch", "argv", pytest.param("shell", marks=pytest.mark.chaos)])
def test_slots_are_free_in_time_and_nothing_is_left(way: str, tmp_path: Path, temporary: Path) -> None:
    expected = ends(way)
    with Stand(slots=len(expected), grace=GRACE, preload=("hostile_jobs", "process_jobs")) as stand:
        assert stand.run(call("echo", 1)).outcome["value"] == b"1"
        stand.turn(lambda: is_quiet(stand))
        before = held(stand)
        (tmp_path / "pids").mkdir()
        began = time.monotonic()
        executions = {
            attribute: stand.start(
                job(way, attribute, tmp_path / "pids", timeout=SHORT[way] if end == {TIMEOUT} else LONG), slot
            )
            for slot, (attribute, end) in enumerate(expected.items())
        }
        stand.turn(lambda: all(execution.freed for execution in executions.values()), timeout=SHORT[way] + 2 * GRACE + BOUND)
        assert time.monotonic() - began >= SHORT[way]
        assert {
            attribute: execution.outcome
            for attribute, execution in executions.items()
            if end_of(execution) not in expected[attribute]
        } == {}
        stand.turn(lambda: is_quiet(stand))
        pids = [int(file.name.partition("-")[2]) for file in (tmp_path / "pids").glob("pid-*")]
        assert len(pids) >= len(expected)
        assert [pid for pid in pids if pid not in horses(stand) and not gone(pid, stand.mark)] == []
        (hidden,) = (tmp_path / "pids").glob("hidden-*")
        assert not is_there(int(hidden.name.partition("-")[2]))
        assert stand.lost == [], "the fork server goes on"
        stand.turn(lambda: held(stand) <= before)
        (scratch,) = temporary.iterdir()
        stand.turn(lambda: not list(scratch.iterdir()))
        for slot in range(len(expected)):
            after = stand.start(call("echo", slot), slot)
            stand.turn(lambda e=after: e.freed)  # type: ignore[misc]
            assert after.outcome["value"] == b"%d" % slot, "the slot goes on"
    until(lambda: not survivors(stand.mark))
    assert list(temporary.iterdir()) == [], "the files of the fork server"


ABOVE: Final = {"call": 1, "batch": 1, "argv": 1, "shell": 2}
"""How far above a job its fork server is."""

ATTACKS: Final = {
    "stops_above_and_ends": FINISHED,
    "leaves_one_that_traces_above": FINISHED,
    "stops_above": TIMEOUT,
    "traces_above": TIMEOUT,
    "holds_above": TIMEOUT,
    "kills_above": KILLED,  # the last one: the fork server is gone then
}


@pytest.mark.parametrize("way", ["batch", *(pytest.param(way, marks=pytest.mark.chaos) for way in ("call", "argv", "shell"))])
def test_a_job_that_attacks_its_fork_server_holds_up_no_other(
    way: str, tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot_module, "EXIT_LIMIT", 0.5)  # s; until then the end of a process is waited for
    with Stand(slots=2, grace=GRACE, preload=("hostile_jobs", "process_jobs")) as stand:
        other = stand.start(call("block", str(tmp_path / "other")), slot=1)
        stand.turn((tmp_path / "other").exists)
        for attack, end in ATTACKS.items():
            timeout = (0.2 if way in {"call", "batch"} else 1.0) if end == TIMEOUT else LONG
            execution = stand.start(job(way, attack, tmp_path, ABOVE[way], timeout=timeout))
            stand.turn(lambda e=execution: renewed(stand) and e.freed)  # type: ignore[misc]
            assert end_of(execution) == end, (attack, execution.outcome)
            pids = [int(file.name.partition("-")[2]) for file in tmp_path.glob("pid-*")]

            def left(pids: list[int] = pids) -> list[int]:
                return [pid for pid in pids if pid not in horses(stand) and not gone(pid, stand.mark)]

            if end == KILLED:
                until(lambda: not left())  # the kernel ends the children of a process that was killed
            assert left() == [], attack
            assert (other.freed, len(stand.lost)) == ((True, 1) if end == KILLED else (False, 0)), attack
            if end != KILLED:
                assert stand.run(call("echo", 1)).outcome["value"] == b"1"
    until(lambda: not survivors(stand.mark))


DIGS: Final = f'{sys.executable} -ISc \'import os; [os.mkdir("deep") or os.chdir("deep") for _ in range(1200)]\''
FILES = {
    "a tree that is deeper than a path is long": (
        f"cd $(dirname $FLOWQ_OUTPUT); {DIGS}",
        FINISHED,
        "",
    ),
    "a name that is too long for a path": (
        "cd $(dirname $FLOWQ_OUTPUT); n=$(printf %0250d 0); mkdir $n; touch $n/$n",
        FINISHED,
        "",
    ),
    "a pipe": ("rm $FLOWQ_OUTPUT; mkfifo $FLOWQ_OUTPUT", "invalid_result", "is not a file any more"),
    "a link to what has no end": ("ln -sf /dev/zero $FLOWQ_OUTPUT", "invalid_result", "is not a file any more"),
    "a directory": ("rm $FLOWQ_OUTPUT; mkdir $FLOWQ_OUTPUT", "invalid_result", "is not a file any more"),
    "nothing": ("rm -r $(dirname $FLOWQ_OUTPUT)", "invalid_result", "cannot be read any more: No such file or directory"),
    "a link out of it": ("ln -s $OUTSIDE $(dirname $FLOWQ_OUTPUT)/out", FINISHED, ""),
    "a link in place of it": (
        "d=$(dirname $FLOWQ_OUTPUT); rm -r $d; ln -s $OUTSIDE $d",
        "invalid_result",
        "cannot be read any more",
    ),
    "what no user may list": ("mkdir -p $(dirname $FLOWQ_OUTPUT)/a/b; chmod 0 $(dirname $FLOWQ_OUTPUT)/a", FINISHED, ""),
}


def test_what_a_command_makes_of_its_files_goes_with_it(temporary: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kept").touch()
    with Stand(slots=len(FILES), preload=("process_jobs",)) as stand:
        executions = {
            name: stand.start(shell(script, timeout=LONG, env={"OUTSIDE": str(tmp_path / "outside")}), slot)
            for slot, (name, (script, _, _)) in enumerate(FILES.items())
        }
        stand.turn(lambda: all(execution.freed for execution in executions.values()), timeout=LONG)
        for name, (_, end, text) in FILES.items():
            assert end_of(executions[name]) == end, (name, executions[name].outcome)
            assert text in executions[name].outcome.get("error", ""), name
        stand.turn(lambda: is_quiet(stand))
        assert stand.lost == [], "the fork server goes on"
        (scratch,) = temporary.iterdir()
        stand.turn(lambda: not list(scratch.iterdir()))
    assert (tmp_path / "outside" / "kept").exists()
