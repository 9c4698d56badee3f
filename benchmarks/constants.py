"""The constants of `benchmarks.simulation`, measured on this machine, and predictions of runs that they were not taken from.

CPU times come from a grid of jobs that do nothing, waits from a chain, the cost of idle workers from two sizes of a fleet, and the memory
of the server from a run that is submitted and executed without processes.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks import history, idle, whole
from benchmarks.graphs import Bench
from benchmarks.makespan import Constants, SimulatedJob, makespan

JOBS: Final = 2000  # of the grid
_BASE: Final = 200  # jobs of a smaller grid, whose cost is taken off: that of the start of all processes
_WORKERS: Final = (5, 50)  # idle
_SECONDS: Final = 10.0  # for which idle workers are counted
_SLOTS: Final = 4
_PAUSES: Final = (0.0, 0.02, 0.1)  # s of the jobs whose run times are predicted
_PREDICTED: Final = 400  # such jobs


def measured(cores: int) -> Constants:
    """Measure the constants, in some minutes; `cores` of a machine are taken as given."""
    large, small = whole.measure(whole.stencil(JOBS), 2)[1], whole.measure(whole.stencil(_BASE), 2)[1]
    spent = {role: (large[role].seconds - small[role].seconds) / (JOBS - _BASE) for role in large}
    few, many = (idle.measure(workers, _SECONDS) for workers in _WORKERS)
    found = Constants(
        server=spent["server"],
        machine=spent["supervisor"] + spent["fork servers"] + spent["horses"],
        cores=cores,
        idle=(many.server - few.server) / (many.workers - few.workers),
        memory=history.memory(JOBS),
    )
    with tempfile.TemporaryDirectory(prefix="fq-constants-", dir="/tmp") as folder:
        bench = Bench(1, Path(folder))
        try:
            return replace(found, slot=max(0.0, bench.overhead().chain - found.server))
        finally:
            bench.close()


def predictions(constants: Constants) -> Iterator[tuple[float, float, float]]:
    """Yield for fans of jobs that sleep: the seconds of one job, the predicted seconds of the run, and those that it took."""
    with tempfile.TemporaryDirectory(prefix="fq-constants-", dir="/tmp") as folder:
        bench = Bench(_SLOTS, Path(folder))
        try:
            bench.seconds(_fan(0.0))  # the first run warms the worker
            for pause in _PAUSES:
                jobs = [SimulatedJob(pause)] * _PREDICTED
                shared = _PREDICTED * constants.machine / constants.cores  # the cores are not free while jobs start
                yield pause, max(makespan(jobs, _SLOTS, constants), shared), bench.seconds(_fan(pause))
        finally:
            bench.close()


def _fan(pause: float) -> str:
    action = f"call: 'benchmarks.noop:pause', args: [{pause}]"
    return "\n".join(["jobs:", *(f"  part-{number}: {{{action}}}" for number in range(_PREDICTED))]) + "\n"


def lines(constants: Constants, found: Sequence[tuple[float, float, float]]) -> Iterator[str]:
    """Yield the constants and the predictions, as lines."""
    yield f"{'server, a job':<28}{constants.server * 1e6:>10,.0f} us"
    yield f"{'worker machine, a job':<28}{constants.machine * 1e3:>10,.2f} ms CPU"
    yield f"{'slot, beyond a job':<28}{constants.slot * 1e3:>10,.2f} ms"
    yield f"{'server, an idle worker':<28}{constants.idle * 1e6:>10,.0f} us a second"
    yield f"{'server, a job that is kept':<28}{constants.memory:>10,.0f} bytes"
    yield ""
    yield f"{_PREDICTED} jobs, {_SLOTS} slots{'predicted s':>18}{'took s':>10}{'ratio':>8}"
    for pause, predicted, took in found:
        yield f"{f'each sleeps {pause:g} s':<21}{predicted:>14.2f}{took:>10.2f}{took / predicted:>8.2f}"
