"""`python -m benchmarks.flows`: measures compiling and submitting big flows, and with `--execute` executing them.

The baseline of the compiler is PyYAML's C `load` of the same text: medians of the CPU time of fresh processes, in turns. A big flow goes
through the steps of `flowq run`: it is compiled, submitted to its own server, and visible. The server's slow log has the duration of each
command.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from flowq.compiler import compile_file
from flowq.flows.actions.submit import submit
from flowq.plan import Plan
from flowq.store import Store
from tests.support.server import PrivateServer
from tests.support.wait import until

SMALL: Final = 10_000
BIG: Final = 100_000

_ROOT: Final = Path(__file__).resolve().parent.parent
_LOADED: Final = """
import sys, time, yaml
text = open(sys.argv[1], encoding="utf-8").read()
begun = time.process_time()
yaml.load(text, yaml.CLoader)
print(time.process_time() - begun)
"""
_COMPILED: Final = """
import sys, time
from flowq.compiler import compile_file
begun = time.process_time()
assert compile_file(sys.argv[1]).ok
print(time.process_time() - begun)
"""


def _command(number: int) -> list[str]:
    return [f"run: echo {number}"]


def _quoted(number: int) -> list[str]:
    return ["run: |", f"  set -e; mkdir -p 'out/{number}'", f'  tool --part "{number}" < in.txt > "out/{number}/x" || exit 1']


def _called(number: int) -> list[str]:
    return ["call: benchmarks.noop:pause", f"kwargs: {{seconds: {number}}}", "timeout: 5m", "retry: {max: 3, interval: 10s}"]


def _valued(number: int) -> list[str]:
    return [f'run: tool --part {number} --day ${{{{ run.date }}}} > "out/${{{{ job.name }}}}"', "if: job.attempt < 3"]


def nothing(_number: int) -> list[str]:
    """Return the action of a job that does nothing."""
    return ["call: benchmarks.noop:noop"]


SHAPES: Final[Mapping[str, Callable[[int], list[str]]]] = {
    "run, short commands": _command,
    "run, scripts with quotes": _quoted,
    "run, expressions": _valued,
    "call, arguments, retries": _called,
}


def text(jobs: int, action: Callable[[int], list[str]]) -> str:
    """Return a flow of that many jobs, each dependent on three earlier ones."""
    return "\n".join(["jobs:", *_lines(jobs, action)]) + "\n"


def _lines(jobs: int, action: Callable[[int], list[str]]) -> Iterator[str]:
    for number in range(jobs):
        yield f"  job-{number}:"
        yield from (f"    {line}" for line in action(number))
        if parents := [f"job-{number - back}" for back in (1, 10, 100) if number >= back]:
            yield f"    depends_on: [{', '.join(parents)}]"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.flows", description="Measure compiling, submitting and executing big flows."
    )
    parser.add_argument("--rounds", type=int, default=5, help="number of rounds (default: 5)")
    parser.add_argument("--execute", action="store_true", help="also execute the big flow, which takes minutes")
    options = parser.parse_args(argv)
    print(f"{os.cpu_count()} cores, medians of {options.rounds} rounds\n")
    with tempfile.TemporaryDirectory(prefix="fq-flows-", dir="/tmp") as folder:
        _compile_rows(Path(folder), options.rounds)
        _big_rows(Path(folder), options.rounds)
        if options.execute:
            _executed_rows(Path(folder))
    return 0


# -- compiling, against the baseline ------------------------------------------------------------------------------------------------------


def _compile_rows(folder: Path, rounds: int) -> None:
    print(f"{f'flow of {SMALL:,} jobs, CPU time':<42}{'C load s':>10}{'flowq s':>10}{'ratio':>9}{'goal':>10}")
    for title, action in SHAPES.items():
        path = folder / "small.yaml"
        path.write_text(text(SMALL, action), encoding="utf-8")
        loads, compiles = [], []
        for _ in range(rounds):
            loads.append(_seconds(_LOADED, path))
            compiles.append(_seconds(_COMPILED, path))
        load, compiled = statistics.median(loads), statistics.median(compiles)
        print(f"{title:<42}{load:10.2f}{compiled:10.2f}{compiled / load:7.2f} x{'<= 1.5 x':>10}")


def _seconds(program: str, path: Path) -> float:
    done = subprocess.run([sys.executable, "-c", program, str(path)], cwd=_ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout)


# -- submitting -------------------------------------------------------------------------------------------------------------------------


def _big_rows(folder: Path, rounds: int) -> None:
    path = folder / "big.yaml"
    path.write_text(text(BIG, _command), encoding="utf-8")
    whole, compiling, longest = [], [], []
    for _ in range(rounds):
        server = PrivateServer().start()
        try:
            store = _watched(server)
            begun = time.perf_counter()
            plan = _plan(path)
            compiled = time.perf_counter()
            run = submit(store, plan, directory=folder)
            assert store.runs.require(run).total == BIG
            whole.append(time.perf_counter() - begun)
            compiling.append(compiled - begun)
            longest.append(_longest_call(store))
        finally:
            server.stop()
    print(f"\n{f'flow of {BIG:,} jobs, wall time':<58}{'':>13}{'goal':>10}")
    print(f"{'compiled':<58}{statistics.median(compiling):11.1f} s")
    print(f"{'compiled, submitted, visible':<58}{statistics.median(whole):11.1f} s{'<= 8 s':>10}")
    print(f"{'longest call on the server, worst round':<58}{max(longest):10.1f} ms{'<= 5 ms':>10}")


def _plan(path: Path) -> Plan:
    plan = compile_file(path).plan
    assert plan is not None
    return plan


def _watched(server: PrivateServer) -> Store:
    client: Any = server.client()
    client.config_set("slowlog-log-slower-than", 1000)  # us
    client.config_set("slowlog-max-len", 10_000)
    return Store(client).open()


def _longest_call(store: Store) -> float:
    """Return the duration of the slowest command, in milliseconds."""
    return max((entry["duration"] for entry in store.client.slowlog_get(10_000)), default=0) / 1000


# -- executing --------------------------------------------------------------------------------------------------------------------------


def _executed_rows(folder: Path) -> None:
    path = folder / "nothing.yaml"
    path.write_text(text(BIG, nothing), encoding="utf-8")
    server = PrivateServer().start()
    worker = [str(Path(sys.executable).parent / "flowq"), "worker", "-c", "4", "--log-level", "warning"]
    try:
        store = _watched(server)
        before = store.client.info("memory")["used_memory"]
        run = submit(store, _plan(path), directory=_ROOT)
        begun = time.perf_counter()
        with subprocess.Popen(worker, cwd=_ROOT, env={**os.environ, "FLOWQ_REDIS_URL": server.url}) as process:
            until(lambda: store.runs.require(run).ended, 3600, "the run to end")
            took = time.perf_counter() - begun
            process.terminate()
        assert store.runs.require(run).status == "finished"
        used = (store.client.info("memory")["used_memory"] - before) / BIG
        longest = _longest_call(store)
    finally:
        server.stop()
    print(f"\n{f'flow of {BIG:,} jobs, executed':<58}{'':>13}{'goal':>10}")
    print(f"{'a worker with four slots, a fork per job':<58}{BIG / took:9.0f} /s")
    print(f"{'server memory per finished job':<58}{used:11.0f} B{'<= 1000 B':>10}")
    print(f"{'longest call on the server':<58}{longest:10.1f} ms{'<= 5 ms':>10}")


if __name__ == "__main__":
    sys.exit(main())
