"""`python -m benchmarks.bare`: prototypes of workers that do no more than a row of `make bench` must, as floors of the whole rows.

A bare worker sends the server the same commands as flowq does for a job (recorded from one end and the next claim, and replayed by a script that
does nothing else), over a socket without a library, and gives the job to a process in the cheapest way there is. It has no records in Python,
no limits, no output, no leases and no errors. What is between a row of flowq and its floor is flowq's own work; what is between the floor and
a goal is out of reach with these commands and these processes.
"""

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.noop import noop
from benchmarks.replay import commands_of, packed, script_of
from benchmarks.whole import fan
from flowq import Queue, ids
from flowq.compiler import compile_text
from flowq.flows.actions.submit import submit
from flowq.store import Store
from flowq.store.schema.outcomes import Claim, ExecutionReport
from tests.support.server import PrivateServer

if TYPE_CHECKING:
    from redis import Redis

_ROOT: Final = Path(__file__).resolve().parent.parent
_WORKER: Final = "bare"
_LEASE: Final = 30.0  # s
_CHUNK: Final = 20  # jobs that one call enqueues
_PROGRAM: Final = """
import gc, os, socket, sys, time
import flowq.worker.fork_server.server
from benchmarks.noop import noop
how, path, jobs = sys.argv[1], sys.argv[2], int(sys.argv[3])
request = sys.stdin.buffer.read()
server = socket.socket(socket.AF_UNIX)
server.connect(path)
lanes = [(*os.pipe(), *os.pipe()) for _ in range(2)]

def place(lane):
    pid = os.fork()
    if not pid:
        while os.read(lane[0], 4096):
            noop()
            os.write(lane[3], b"ok")
            if how == "fork":
                os._exit(0)
    return pid

gc.freeze()
gc.disable()
there = 0 if how in ("itself", "server") else place(lanes[0])
print(flush=True)
sys.stdin = open(0, closefd=False)
begun = time.perf_counter()
for number in range(jobs):
    server.sendall(request)
    lane, other = lanes[number % 2] if how == "fork" else lanes[0], lanes[(number + 1) % 2]
    ahead = place(other) if how == "fork" else 0
    server.recv(65536)
    if how == "itself":
        noop()
    elif how != "server":
        os.write(lane[1], b"x" * 300)
        os.read(lane[2], 64)
        if how == "fork":
            os.waitpid(there, 0)
            there = ahead
print(time.perf_counter() - begun, flush=True)
if there:
    os.kill(there, 9)
"""
"""A bare worker: `itself` calls the job, `pool` tells a process that waits, `fork` one that was forked while the server worked."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(prog="benchmarks.bare", description="Measure prototypes of the rows of `make bench`.")
    parser.add_argument("--rounds", type=int, default=5, help="number of rounds (default: 5)")
    parser.add_argument("--jobs", type=int, default=2000, help="jobs of each prototype in a round (default: 2000)")
    options = parser.parse_args(argv)
    server = PrivateServer().start()
    try:
        with server.client() as client:
            rows = _rows(server, client, options.jobs)
            measured: dict[str, list[float]] = {name: [] for name in rows}
            for _ in range(options.rounds):
                for name, row in rows.items():
                    measured[name].append(row())
    finally:
        server.stop()
    print(f"{os.cpu_count()} cores, medians of {options.rounds} rounds\n")
    for name, values in measured.items():
        median = statistics.median(values)
        print(f"{name:<72}{median:>10,.{0 if median >= 100 else 2}f}")
    return 0


def _rows(server: PrivateServer, client: "Redis", jobs: int) -> Mapping[str, Callable[[], float]]:
    store = Store(client)
    requests = []
    for commands in (_plain, _of_a_fan, _many):
        client.flushdb()
        requests.append(_request(client, commands(server, store)))
    plain, middle, many = requests

    def rate(how: str, request: bytes, workers: int = 1) -> float:
        return jobs / _took(server, how, request, jobs // workers, workers)

    return {
        "no-op, a process per job, one slot, jobs/s": lambda: rate("fork", plain),
        "no-op, a process per job, four slots, jobs/s": lambda: rate("fork", plain, 4),
        "no-op, a process for many jobs, one slot, jobs/s": lambda: rate("pool", plain),
        "no-op, a process for many jobs, four slots, jobs/s": lambda: rate("pool", plain, 4),
        "no-op, the worker itself, jobs/s": lambda: rate("itself", plain),
        "1 -> n -> 1, the worker itself, jobs/s": lambda: rate("itself", middle),
        "1 -> 200 -> 1, a process per job, two slots, ms": lambda: 202e3 / rate("fork", middle, 2),
        "chain of 40, a process per job, ms": lambda: 40e3 / rate("fork", middle),
        "10,000 jobs of a flow, a process per job, two slots, s": lambda: 10e3 / rate("fork", middle, 2),
        "METG(50 %) of forks, two slots, ms": lambda: (
            4e3 / rate("fork", middle, 2)
        ),  # two cores; half of it is the tasks' own work
        "METG(50 %) of a process for many jobs, two slots, ms": lambda: 4e3 / rate("pool", middle, 2),
        f"enqueue_many, {_CHUNK} in a call, jobs/s": lambda: _CHUNK * rate("server", many),
    }


def _took(server: PrivateServer, how: str, request: bytes, jobs: int, workers: int) -> float:
    """Return the seconds that bare workers take for so many jobs each, the slowest one's."""
    path = server.url.partition("://")[2].partition("?")[0]
    command = [sys.executable, "-c", _PROGRAM, how, path, str(jobs)]
    processes = [subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(workers)]
    answers = []
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(request)
        process.stdin.close()
    for process in processes:
        assert process.stdout is not None
        answers.append(float(process.stdout.read()))
        process.stdout.close()
        process.wait()
    return max(answers)


# -- what the server is asked for ---------------------------------------------------------------------------------------------------------


def _request(client: "Redis", commands: Sequence[Sequence[bytes]]) -> bytes:
    """Return a call of a script that sends these commands and does nothing else."""
    script, arguments = script_of(commands)
    return packed(b"EVALSHA", str(client.script_load(script)).encode(), b"0", *arguments)


def _plain(server: PrivateServer, store: Store) -> list[list[bytes]]:
    """Return the commands of the end of a plain job and the claim of the next one."""
    Queue(connection=store.client).enqueue_many([Queue.prepare_data(noop) for _ in range(8)])
    return _exchange(server, store, _claimed(store))


def _of_a_fan(server: PrivateServer, store: Store) -> list[list[bytes]]:
    """Return the same of jobs of a flow, between the first and the last one of a fan."""
    plan = compile_text(fan(16)).plan
    assert plan is not None
    submit(store, plan, directory=_ROOT)
    _swap(store, _claimed(store))  # the first one ends, and others are released
    return _exchange(server, store, _claimed(store))


def _many(server: PrivateServer, store: Store) -> list[list[bytes]]:
    """Return the commands that enqueue many jobs in one call."""
    queue = Queue(connection=store.client)
    calls = [Queue.prepare_data(noop) for _ in range(_CHUNK)]
    queue.enqueue_many(calls)
    return list(commands_of(server, lambda: queue.enqueue_many(calls)))


def _claimed(store: Store) -> Claim:
    claim = store.workers.exchange(_WORKER, ["default"], _LEASE, [], [ids.nonce()]).claims[0]
    assert claim is not None
    return claim


def _exchange(server: PrivateServer, store: Store, claim: Claim) -> list[list[bytes]]:
    _swap(store, claim)  # it loads what a script loads once
    claim = _claimed(store)
    return list(commands_of(server, lambda: _swap(store, claim)))


def _swap(store: Store, claim: Claim) -> None:
    """Report the end of a job, and claim another one."""
    value = None if claim.run else b"\x80\x05N."
    ended = ExecutionReport(claim.id, claim.token, "finished", value=value, exit_code=0)
    store.workers.exchange(_WORKER, ["default"], _LEASE, [ended], [ids.nonce()])


if __name__ == "__main__":
    sys.exit(main())
