"""Killed processes: no process of a job survives, and the remaining processes continue."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from flowq.worker.ipc.platform import is_stopped
from flowq.worker.supervisor import slot
from flowq.worker.supervisor.ends import KillCause
from flowq.worker.supervisor.fork_servers import client
from tests.support.launcher import MARK
from tests.support.pids import pid_in
from tests.support.supervisor_stub import Stand, call, gone, shell, survivors
from tests.support.wait import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for survivors in /proc")


def test_a_killed_horse_is_reported_and_the_slot_continues(tmp_path: Path) -> None:
    with Stand() as stand:
        execution = stand.start(call("block", str(tmp_path / "pid")))
        stand.turn((tmp_path / "pid").exists)
        os.kill(pid_in(tmp_path / "pid"), signal.SIGKILL)
        stand.turn(lambda: execution.freed)
        assert execution.outcome["reason"] == "killed"
        assert stand.run(call("echo", 1)).outcome["value"] == b"1"


def test_a_killed_spare_horse_is_replaced() -> None:
    with Stand() as stand:
        stand.run(call("noop"))
        stand.turn(lambda: stand.fork_server._ready)
        os.kill(stand.fork_server._ready[0].pid, signal.SIGKILL)
        assert stand.run(call("echo", 1)).outcome["outcome"] in {
            "finished",
            "failed",
        }  # it may have been taken just before
        assert stand.run(call("echo", 2)).outcome["value"] == b"2"


@pytest.mark.parametrize("setsid", [True, False])
def test_a_daemon_does_not_outlive_its_job(tmp_path: Path, setsid: bool) -> None:
    with Stand() as stand:
        execution = stand.run(call("daemon", str(tmp_path / "pid"), setsid))
        assert execution.outcome["value"] == b'"left a daemon"'
        assert gone(pid_in(tmp_path / "pid"), stand.mark)


def test_a_tree_of_sessions_does_not_outlive_its_job() -> None:
    with Stand() as stand:
        stand.run(call("noop"))
        stand.turn(lambda: stand.fork_server._ready)
        before = set(survivors(stand.mark))
        assert stand.run(call("plant", 6)).outcome["value"] == b'"planted"'  # 63 processes
        stand.turn(lambda: len(survivors(stand.mark)) <= len(before))


def test_daemons_end_with_their_killed_horse(tmp_path: Path) -> None:
    with Stand() as stand:
        execution = stand.start(call("daemon_then_block", str(tmp_path / "daemon"), str(tmp_path / "pid")))
        stand.turn((tmp_path / "pid").exists)
        os.kill(pid_in(tmp_path / "pid"), signal.SIGKILL)
        stand.turn(lambda: execution.freed)
        assert gone(pid_in(tmp_path / "daemon"), stand.mark)


def test_a_daemon_in_another_slot_is_not_killed(tmp_path: Path) -> None:
    with Stand(slots=2) as stand:
        other = stand.start(call("daemon_then_block", str(tmp_path / "daemon"), str(tmp_path / "pid")), slot=1)
        stand.turn((tmp_path / "pid").exists)
        for _ in range(3):
            stand.run(call("noop"))
        assert not gone(pid_in(tmp_path / "daemon"), stand.mark)
        stand.slots[1].kill(KillCause.RETURNED)
        stand.turn(lambda: other.freed)
        assert other.end is not None
        assert other.end.cause is KillCause.RETURNED
        assert gone(pid_in(tmp_path / "daemon"), stand.mark)


def test_horses_end_with_their_killed_fork_server(tmp_path: Path) -> None:
    with Stand(slots=2) as stand:
        one = stand.start(call("block", str(tmp_path / "one")))
        two = stand.start(shell(f"echo $$ > {tmp_path}/two; sleep 60"), slot=1)
        stand.turn(lambda: (tmp_path / "one").exists() and (tmp_path / "two").exists())
        os.kill(stand.fork_server.pid, signal.SIGKILL)
        stand.turn(lambda: one.freed and two.freed)
        assert {one.outcome["reason"], two.outcome["reason"]} == {"killed"}
        assert "fork server" in one.outcome["error"]
        assert stand.lost == [stand.fork_server]
        until(lambda: not survivors(stand.mark))
        unstarted = stand.run(call("noop"))
        assert unstarted.end is not None
        assert unstarted.end.unstarted


def test_a_job_that_kills_its_parent_kills_only_the_fork_server() -> None:
    with Stand() as stand:
        assert stand.run(call("kill_parent")).outcome["reason"] == "killed"
    until(lambda: not survivors(stand.mark))


def test_kill_at_once_and_kill_with_grace(tmp_path: Path) -> None:
    with Stand() as stand:
        for cause in (KillCause.FENCED, KillCause.RETURNED, KillCause.CANCEL, KillCause.STOP):
            file = tmp_path / cause
            execution = stand.start(call("ignore_term", str(file)))
            stand.turn(file.exists)
            stand.slots[0].kill(cause)
            stand.turn(lambda e=execution: e.freed)  # type: ignore[misc]
            assert execution.end is not None
            assert execution.end.cause is cause


def test_a_kill_before_the_horse_exists() -> None:
    with Stand() as stand:
        execution = stand.start(call("noop"))
        stand.slots[0].kill(KillCause.CANCEL)
        stand.turn(lambda: execution.freed)
        assert execution.end is not None
        assert execution.end.cause is KillCause.CANCEL


Busy: TypeAlias = tuple["subprocess.Popen[str]", str, list[int]]

SUPERVISOR = """
import sys
from tests.support.supervisor_stub import Stand, call, shell
stand = Stand(slots=3)
print(stand.mark, stand.fork_server.pid, flush=True)
directory = sys.argv[1]
stand.fork_server.renew(float(sys.argv[2]))
stand.start(call("daemon_then_block", directory + "/daemon", directory + "/one"))
stand.start(shell(f"echo $$ > {directory}/two; setsid sleep 60 & sleep 60"), slot=1)
stand.start(call("block_signals", directory + "/three"), slot=2)
stand.turn(lambda: False, timeout=60)
"""


@pytest.fixture
def supervisor(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Busy]:
    """A supervisor process with three busy slots: the process, its mark, the pids of its fork server and of its jobs."""
    root = Path(__file__).parent.parent.parent
    process = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(tmp_path), str(getattr(request, "param", 60.0))],
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert process.stdout is not None
    mark, server = process.stdout.readline().split()
    yield process, mark, [int(server), *(pid_in(tmp_path / name) for name in ("daemon", "one", "two", "three"))]
    process.kill()
    process.communicate()


def test_no_process_survives_a_killed_supervisor(supervisor: Busy) -> None:
    process, mark, pids = supervisor
    assert len(survivors(mark)) >= 5
    process.kill()
    process.wait()
    until(lambda: not survivors(mark), timeout=5)
    assert all(gone(pid, mark) for pid in pids)


def test_horses_and_their_commands_die_with_supervisor_and_fork_server_at_once(supervisor: Busy) -> None:
    process, mark, (server, daemon, *pids) = supervisor
    os.kill(server, signal.SIGSTOP)  # it must not notice the end of its supervisor, so that only the kernel acts
    process.kill()
    process.wait()
    os.kill(server, signal.SIGKILL)
    until(lambda: all(gone(pid, mark) for pid in pids), timeout=5)
    # An escaped daemon cannot be killed when all processes that know it are dead: then only the lease protects the job.
    for pid in {daemon, *survivors(mark)}:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("supervisor", [1.0], indirect=True)
def test_a_stopped_supervisor_loses_its_horses_when_its_lease_ends(
    supervisor: Busy,
) -> None:
    process, mark, (_, *pids) = supervisor
    process.send_signal(signal.SIGSTOP)
    until(lambda: all(gone(pid, mark) for pid in pids), timeout=5, message="the fork server to fence its horses")
    process.send_signal(signal.SIGCONT)


def test_jobs_killed_for_a_late_supervisor_do_not_fail(tmp_path: Path) -> None:
    """The fork server has killed them because no lease arrived in time; this is not reported as their failure."""
    with Stand() as stand:
        execution = stand.start(call("block", str(tmp_path / "pid")))
        stand.turn((tmp_path / "pid").exists)
        stand.fork_server.renew(0.1)
        stand.turn(lambda: execution.freed)
        assert execution.end is not None
        assert execution.end.cause is KillCause.FENCED
        stand.fork_server.renew(60.0)
        stand.turn(lambda: not stand.fork_server._ready)  # its spare was killed too
        assert stand.run(call("echo", 1)).outcome["value"] == b"1", "the slot goes on"


def test_the_limit_of_processes_is_reported_and_survived(tmp_path: Path) -> None:
    import resource

    with Stand(slots=4) as stand:
        stand.run(call("noop"))
        stand.turn(lambda: stand.fork_server._ready)
        limits = resource.prlimit(stand.fork_server.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(stand.fork_server.pid, resource.RLIMIT_NOFILE, (3, limits[1]))  # the server cannot open files any more
        # Lanes that exist are used on, one that is wanted now cannot be made.
        blocked = [stand.start(call("block", str(tmp_path / str(slot))), slot=slot) for slot in range(4)]
        stand.turn(lambda: any(execution.freed for execution in blocked))
        unstarted = [execution for execution in blocked if execution.end is not None and execution.end.unstarted]
        assert unstarted
        assert "open files" in unstarted[0].outcome["error"]
        resource.prlimit(stand.fork_server.pid, resource.RLIMIT_NOFILE, limits)
        free = next(slot.index for slot in stand.slots if slot.free)

        def executed() -> bool:
            later = stand.start(call("echo", 1), slot=free)  # refused too, if its lane was asked for under the limit
            stand.turn(lambda: later.freed)
            return later.outcome.get("value") == b"1"

        until(executed, message="a job to be executed")


def test_the_mark_is_seen() -> None:
    """Check the search for survivors: the tests above prove nothing if it finds none."""
    with subprocess.Popen(["sleep", "60"], env={MARK: "seen"}) as process:
        until(lambda: survivors("seen") == [process.pid])
        process.kill()
    before = time.monotonic()
    until(lambda: not survivors("seen"))
    assert time.monotonic() - before < 5


STOPS_ITS_SERVER = "kill -STOP $PPID"


@pytest.mark.parametrize("clone", [False, True])
@pytest.mark.parametrize(
    "script",
    [
        f"{STOPS_ITS_SERVER}; sleep 60",
        f"trap '' TERM INT; {STOPS_ITS_SERVER}; sleep 60",
        f"trap '' TERM INT; setsid sleep 60 & while :; do {STOPS_ITS_SERVER}; done",
    ],
    ids=["stops", "blocks", "stops again and again"],
)
def test_a_job_that_stops_its_fork_server_is_killed_at_its_timeout(tmp_path: Path, script: str, clone: bool) -> None:
    with Stand(slots=2, clone=clone) as stand:
        other = stand.start(call("block", str(tmp_path / "other")), slot=1)
        stand.turn((tmp_path / "other").exists)
        began = time.monotonic()
        execution = stand.start(shell(f"echo $$ > {tmp_path}/pid; {script}", timeout=0.5))
        stand.turn(lambda: execution.end)
        assert time.monotonic() - began < 0.5 + 0.2 + 2.0  # timeout, grace; and 5 s for a fork server that does not answer
        assert execution.outcome["reason"] == "timeout"
        until(lambda: gone(pid_in(tmp_path / "pid"), stand.mark))
        stand.turn(lambda: execution.freed)
        assert not other.freed
        assert stand.run(call("echo", 1)).outcome["value"] == b"1"


def test_a_job_that_ends_after_it_has_stopped_its_fork_server_frees_its_slot(tmp_path: Path) -> None:
    with Stand() as stand:
        execution = stand.start(shell(f"touch {tmp_path}/begun; {STOPS_ITS_SERVER}", timeout=30))
        stand.turn((tmp_path / "begun").exists)
        until(lambda: is_stopped(stand.fork_server.pid))
        stand.fork_server.renew(60.0)  # as a worker does all the time
        stand.turn(lambda: execution.freed)
        assert execution.outcome["outcome"] == "finished"
        assert stand.run(call("echo", 1)).outcome["value"] == b"1"


HANGS_AT_THE_SECOND_FORK = """
import os, select
FORKS, SERVER = [], os.getpid()
def hang():
    if FORKS and os.getpid() == SERVER:
        select.select((), (), (), 60)
    FORKS.append(1)
os.register_at_fork(before=hang)
"""


@pytest.fixture
def hanging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module; a fork server that has it preloaded gives one horse and hangs then."""
    (tmp_path / "hangs_at_forks.py").write_text(HANGS_AT_THE_SECOND_FORK)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "hangs_at_forks"


@pytest.mark.parametrize("ignored", ["HUP", "TERM INT"])
def test_a_job_of_a_fork_server_that_hangs_is_killed_at_its_timeout(tmp_path: Path, hanging: str, ignored: str) -> None:
    with Stand(preload=(hanging,)) as stand:
        daemon = f"setsid sh -c 'echo $$ > {tmp_path}/daemon; sleep 60' &"
        execution = stand.start(shell(f"trap '' {ignored}; {daemon} echo $$ > {tmp_path}/pid; sleep 60", timeout=0.5))
        began = time.monotonic()
        stand.turn(lambda: execution.end)
        assert time.monotonic() - began < 0.5 + 0.2 + 2.0
        assert execution.outcome["reason"] == "timeout"
        assert not execution.freed
        assert all(gone(pid_in(tmp_path / name), stand.mark) for name in ("pid", "daemon"))
        stand.turn(lambda: execution.freed)
        assert stand.lost == [stand.fork_server]


@pytest.mark.parametrize("cause", [cause for cause in KillCause if cause is not KillCause.TIMEOUT])
def test_an_execution_without_a_process_ends_as_soon_as_it_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cause: KillCause
) -> None:
    (tmp_path / "slow_import.py").write_text(
        f"import os\nos.mkfifo({str(tmp_path / 'go')!r})\nopen({str(tmp_path / 'go')!r}).read()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Stand(preload=("slow_import",)) as stand:
        execution = stand.start(call("noop"))
        stand.turn((tmp_path / "go").exists)
        stand.slots[0].kill(cause)
        assert execution.freed
        assert execution.end is not None
        assert (execution.end.cause, execution.end.unstarted) == (cause, True)
        second = stand.start(call("echo", 2))
        (tmp_path / "go").write_text("")
        stand.turn(lambda: second.freed)  # it gets the horse that was asked for first
        assert second.outcome["value"] == b"2"


def test_a_fork_server_that_gives_no_process_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hanging: str) -> None:
    monkeypatch.setattr(client, "_FORK_LIMIT", 0.5)
    monkeypatch.setattr(slot, "_TOLD_AFTER", 0.2)
    with Stand(slots=2, preload=(hanging,)) as stand:
        first = stand.start(call("block", str(tmp_path / "pid")))
        stand.turn((tmp_path / "pid").exists)
        second = stand.start(call("noop"), slot=1)
        stand.turn(lambda: second.freed)
        assert second.end is not None
        assert second.end.unstarted
        assert "its fork server did not answer and was killed" in second.outcome["error"]
        assert second.output("err") == (
            b"[flowq: waiting for a process: the fork server does not answer, and is killed after 0.5 s]\n"
        )
        assert first.freed
        assert stand.lost == [stand.fork_server]


def test_a_fork_server_that_does_not_answer_is_closed(tmp_path: Path) -> None:
    stand = Stand()
    execution = stand.start(call("block", str(tmp_path / "pid")))
    stand.turn((tmp_path / "pid").exists)
    os.kill(stand.fork_server.pid, signal.SIGSTOP)
    began = time.monotonic()
    stand.__exit__()
    assert time.monotonic() - began < 5
    assert not execution.freed
    until(lambda: not survivors(stand.mark))
