"""Stop signals during the start of a worker, and signals that the worker's parent has blocked or ignored."""

import os
import select
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from flowq.plan import Action
from flowq.store import Store
from tests.support.server import PrivateServer
from tests.support.supervisor_stub import MODULES
from tests.support.wait import until
from tests.support.workers import WorkerProcess, ended, flow, node, script, start

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc tells whether a process handles a signal")
STATUS = "grep -E '^Sig(Blk|Ign)' /proc/self/status"


def signals(pid: int, *fields: str) -> int:
    """Return the union of these sets of signals in a process's status, as a mask."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = dict(line.split(":\t", 1) for line in lines if line.startswith("Sig"))
    mask = 0
    for field in fields:
        mask |= int(found[field], 16)
    return mask


def handles_stops(pid: int) -> bool:
    """Return whether this process handles SIGTERM; until Python has started, the signal kills it."""
    return bool(signals(pid, "SigBlk", "SigCgt") & 1 << signal.SIGTERM - 1)


def stopped_after(delay: float, number: int, url: str, *arguments: str) -> tuple[bool, int, str]:
    """Start a command, send a signal after a delay; return whether a handler was installed by then, the exit code and the output."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "flowq", *arguments],
            env={**os.environ, "FLOWQ_REDIS_URL": url},
            stdin=subprocess.DEVNULL,
            stderr=said,
        )
        select.select((), (), (), delay)  # the time of the signal is the input of this test
        handled = handles_stops(process.pid)
        process.send_signal(number)
        code = process.wait(20)
        said.seek(0)
        return handled, code, said.read().decode()


def check_stops(delays: list[float], number: int, url: str, *arguments: str) -> None:
    ends = [stopped_after(delay, number, url, *arguments) for delay in delays]
    late = delays[-1]
    while not any(end[0] for end in ends) and late < 20:  # Python itself needs that long on a busy machine
        late *= 2
        ends.append(stopped_after(late, number, url, *arguments))
    handled = [end for end in ends if end[0]]
    assert handled
    assert [(code, "Traceback" in said) for _, code, said in handled] == [(0, False)] * len(handled)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_while_a_worker_starts_is_a_clean_end(server: PrivateServer, number: int) -> None:
    check_stops([0.08, 0.16, 0.24, 0.32, 0.4], number, server.url, "worker")


@pytest.mark.chaos
@pytest.mark.parametrize("arguments", [("worker",), ("worker", "-w", "flowq.worker.Worker"), ("worker-pool",)])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_at_any_time_of_the_first_second(server: PrivateServer, number: int, arguments: tuple[str, ...]) -> None:
    check_stops([step / 50 for step in range(41)], number, server.url, *arguments)


def test_a_stop_while_the_command_execs_the_worker(server: PrivateServer) -> None:
    """The signal is pending from the start, and either the first program or the worker handles it."""
    with WorkerProcess(server.url, inherit=lambda: _block_and_send(signal.SIGTERM)) as worker:
        assert worker.wait() == 0
    command = subprocess.Popen(
        [sys.executable, "-m", "flowq", "worker"],
        env={**os.environ, "FLOWQ_REDIS_URL": server.url},
        preexec_fn=lambda: _block_and_send(signal.SIGINT),  # noqa: PLW1509 - a test has no threads
    )
    assert command.wait(20) == 0


def _block_and_send(number: int) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, (number,))
    os.kill(os.getpid(), number)


def _block_and_ignore() -> None:
    """Block and ignore signals as `nohup`, a shell's `&` and some parents do."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGALRM, signal.SIGUSR1))
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN)


def test_worker_horse_and_shell_start_with_default_signals(store: Store, server: PrivateServer, tmp_path: Path) -> None:
    call = Action("call", module="process_jobs", attribute="blocked_signals")
    limited = Action("call", module="process_jobs", attribute="block", args=(str(tmp_path / "pid"),))
    jobs = flow(
        node("call", call),
        node("shell", script(f"{STATUS} && trap 'echo heard' HUP && kill -HUP $$")),
        node("limited", limited, timeout=0.2),
        file=f"{MODULES}/flow.yaml",
    )
    run = start(store, jobs, tmp_path)
    with WorkerProcess(server.url, inherit=_block_and_ignore) as worker:
        _, _, timed_out = ended(store, run)
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0
    assert store.runs.results(run, [0])[0][1] == b"[]"
    printed = b"".join(entry.data for entry in store.runs.logs(run)).decode()
    # 32 and 33 are the C library's own: it lets no program set them, and starts programs with them ignored.
    own = 0b11 << 31
    assert [int(line.split("\t")[1], 16) & ~own for line in printed.splitlines()[:2]] == [0, 0]
    assert printed.splitlines()[2] == "heard"
    assert timed_out.reason == "timeout"
    text = store.runs.results(run, [2])[0][1]
    assert text is not None
    assert b"JobTimeoutException" in text  # raised by SIGALRM in the job, not killed


def test_a_horse_has_a_clean_mask_in_the_program_of_a_user(store: Store, server: PrivateServer) -> None:
    """`Worker.work()` in a program that has blocked stop signals still obeys them, and its jobs block no signals."""
    source = (
        "import signal, sys; from flowq import Queue, Worker; from redis import Redis\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGALRM))\n"
        "queue = Queue(connection=Redis(unix_socket_path=sys.argv[1]))\n"
        "job = queue.enqueue('signal.pthread_sigmask', signal.SIG_BLOCK, ())\n"
        "Worker([queue]).work(max_jobs=1)\n"
        "print(len(job.return_value()), flush=True)\n"
        "Worker([queue]).work()\n"
        "print(sorted(int(n) for n in signal.pthread_sigmask(signal.SIG_BLOCK, ())))\n"
    )
    with subprocess.Popen([sys.executable, "-c", source, server.socket], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "0\n"
        until(lambda: not signals(program.pid, "SigBlk") & 1 << signal.SIGTERM - 1)
        program.send_signal(signal.SIGTERM)
        assert program.stdout.read() == f"[{int(signal.SIGALRM)}, {int(signal.SIGTERM)}]\n"
        assert program.wait(10) == 0
