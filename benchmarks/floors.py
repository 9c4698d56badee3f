"""`python -m benchmarks.floors`: what the steps of a job cost on this machine when nothing of flowq runs.

A floor is the least that a step can take in this language on this kernel: a fork with two messages, the same writes in a script that does
nothing else, the way of a wake-up. A row of the table of `make bench` that is near its floor is at the limit of the machine; one that is far from it is not.
Wall time and CPU time are medians of rounds in turns; a step's CPU time is that of all processes that take part, without the server's,
which has a column of its own.
"""

import argparse
import os
import resource
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.noop import noop
from benchmarks.replay import commands_of, connected, packed, script_of, server_seconds
from flowq import Queue
from tests.support.server import PrivateServer

if TYPE_CHECKING:
    from redis import Redis

_TASK: Final = b"x" * 300  # about what a fork server is given for a plain job
_FORK: Final = """
import gc, os, sys
{imports}
task, outcome, done = (os.pipe() for _ in range(3))
gc.freeze()
gc.disable()
for line in sys.stdin:
    pid = os.fork()
    if not pid:
        os.read(task[0], 4096)
        os.write(outcome[1], b"ok")
        os._exit(0)
    os.write(task[1], b"x" * 300)
    os.read(outcome[0], 64)
    os.waitpid(pid, 0)
    os.write(1, b"\\n")
"""
_IMPORTS: Final = "import flowq.worker.fork_server.server, benchmarks.noop"
_PROGRAM: Final = """
import gc, flowq.worker.supervisor.supervisor, benchmarks.noop
from flowq import Queue, Worker
from flowq.worker.fork_server import at_fork
at_fork.shorten()
gc.freeze()
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one call of a step takes, in us: wall time, CPU time of its processes, CPU time of the server."""

    wall: float
    own: float
    server: float = 0.0


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.floors", description="Measure the least that the steps of a job can take here."
    )
    parser.add_argument("--rounds", type=int, default=5, help="number of rounds (default: 5)")
    parser.add_argument("--calls", type=int, default=300, help="calls of each step in a round (default: 300)")
    options = parser.parse_args(argv)
    server = PrivateServer().start()
    try:
        with server.client() as client:
            measured = _measure(_steps(client, server, options.calls), client, options.rounds)
    finally:
        server.stop()
    print(f"{os.cpu_count()} cores, medians of {options.rounds} rounds of {options.calls} calls, us\n")
    print(f"{'step':<66}{'wall':>8}{'CPU':>8}{'server':>8}")
    for name, costs in measured.items():
        cells = (statistics.median(getattr(cost, part) for cost in costs) for part in ("wall", "own", "server"))
        print(f"{name:<66}" + "".join(f"{value:>8,.0f}" for value in cells))
    return 0


def _measure(steps: Mapping[str, Callable[[], Cost]], client: "Redis", rounds: int) -> dict[str, list[Cost]]:
    measured: dict[str, list[Cost]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            client.flushdb()
            measured[name].append(step())
    return measured


def _steps(client: "Redis", server: PrivateServer, calls: int) -> dict[str, Callable[[], Cost]]:
    queue = Queue(connection=client)
    queue.enqueue(noop)  # loads the scripts
    writes = list(commands_of(server, lambda: queue.enqueue(noop)))
    script, arguments = script_of(writes)
    digest = str(client.script_load(script))
    enqueue = packed(b"EVALSHA", digest.encode(), b"0", *arguments)
    return {
        "fork, task and outcome through pipes, exit, wait: bare Python": lambda: _forked("", calls),
        "the same with what a fork server has imported": lambda: _forked(_IMPORTS, calls),
        "the same with a program with a worker, whose hooks at forks are short": lambda: _forked(_PROGRAM, calls),
        "a program: posix_spawn of /bin/true, wait": lambda: _spawned(calls),
        "a message to a waiting process and back, through pipes": lambda: _pinged(calls),
        "PING, over a socket without a library": lambda: _asked(server, client, packed(b"PING"), calls),
        "PING, with redis-py": lambda: _called(client, client.ping, calls),
        f"the {len(writes)} commands of an enqueue in a bare script, without a library": lambda: _asked(
            server, client, enqueue, calls
        ),
        "the same, with redis-py": lambda: _called(client, lambda: client.evalsha(digest, 0, *arguments), calls),
        "Queue.enqueue": lambda: _called(client, lambda: queue.enqueue(noop), calls),
        "a list that wakes a waiting client, which tells a process": lambda: _woken(server, client, calls),
    }


# -- processes ----------------------------------------------------------------------------------------------------------------------------


def _forked(imports: str, calls: int) -> Cost:
    """Take the time of forks in a process that has done these imports: it forks when it reads a line."""
    command = [sys.executable, "-c", _FORK.format(imports=imports)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        said, heard = process.stdin, process.stdout
        said.write(b"\n")
        heard.read(1)  # it has started
        before = _ticks(process.pid)
        begun = time.perf_counter()
        for _ in range(calls):
            said.write(b"\n")
            heard.read(1)
        wall = time.perf_counter() - begun
        used = _ticks(process.pid) - before
        said.close()
    return Cost(wall / calls * 1e6, used / calls * 1e6)


def _ticks(pid: int) -> float:
    """Return the CPU time of a process and of its children that have been waited for, in s."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:  # noqa: PTH123 - as /proc is read everywhere
        fields = file.read().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _spawned(calls: int) -> Cost:
    before, begun = _children(), time.perf_counter()
    for _ in range(calls):
        os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
    return Cost((time.perf_counter() - begun) / calls * 1e6, (_children() - before) / calls * 1e6)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime + time.process_time()


@contextmanager
def _echo(answer: Callable[[int, int], None]) -> Iterator[tuple[int, int]]:
    """Start a process that answers; yield the ends of the pipes from it and to it."""
    (there, to), (back, answered) = os.pipe(), os.pipe()
    pid = os.fork()
    if not pid:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.close(to)
        try:
            answer(there, answered)
        finally:
            os._exit(0)
    os.close(there)
    os.close(answered)
    try:
        yield back, to
    finally:
        os.close(to)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(back)


def _pinged(calls: int) -> Cost:
    def answer(there: int, back: int) -> None:
        while message := os.read(there, 4096):
            os.write(back, message[:8])

    before = _children()
    with _echo(answer) as (back, to):
        begun = time.perf_counter()
        for _ in range(calls):
            os.write(to, _TASK)
            os.read(back, 64)
        wall = time.perf_counter() - begun
    return Cost(wall / calls * 1e6, (_children() - before) / calls * 1e6)


# -- the server ---------------------------------------------------------------------------------------------------------------------------


def _called(client: "Redis", call: Callable[[], object], calls: int) -> Cost:
    before, used, begun = server_seconds(client), time.process_time(), time.perf_counter()
    for _ in range(calls):
        call()
    wall, own = time.perf_counter() - begun, time.process_time() - used
    return Cost(wall / calls * 1e6, own / calls * 1e6, (server_seconds(client) - before) / calls * 1e6)


def _asked(server: PrivateServer, client: "Redis", packed: bytes, calls: int) -> Cost:
    with connected(server) as connection:

        def call() -> None:
            connection.sendall(packed)
            connection.recv(65536)

        return _called(client, call, calls)


def _woken(server: PrivateServer, client: "Redis", calls: int) -> Cost:
    """Take the time from LPUSH to the line of a process that a blocked client tells, over pipes."""

    def wait(_there: int, back: int) -> None:
        with _echo(lambda inner, _: _tell(inner, back)) as (_, to), connected(server) as connection:
            while True:
                connection.sendall(packed(b"BLPOP", b"floor", b"0"))
                connection.recv(4096)
                os.write(to, _TASK)

    before = server_seconds(client)
    with _echo(wait) as (back, _), connected(server) as connection:
        push = packed(b"LPUSH", b"floor", b"x")
        begun = time.perf_counter()
        for _ in range(calls):
            connection.sendall(push)
            connection.recv(64)
            os.read(back, 64)
        wall = time.perf_counter() - begun
    return Cost(wall / calls * 1e6, 0.0, (server_seconds(client) - before) / calls * 1e6)


def _tell(there: int, back: int) -> None:
    while os.read(there, 4096):
        os.write(back, b"x")


if __name__ == "__main__":
    sys.exit(main())
