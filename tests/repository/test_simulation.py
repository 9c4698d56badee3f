"""The simulation of docs/scaling.md: it agrees with what can be calculated, and with runs that were measured."""

import statistics
from pathlib import Path
from typing import Final

import pytest

from benchmarks import graph2flow
from benchmarks.graph2flow import Options
from benchmarks.graphs import Overhead, bound, simulated
from benchmarks.makespan import Constants, SimulatedJob, makespan
from benchmarks.simulation import main, rate
from tests.examples.corpora import CORPORA

FREE: Final = Constants(server=0.0, slot=0.0)
COSTS: Final = Constants(server=0.001, slot=0.01)

# `python -m benchmarks.graphs graphs --most 110` on 2 cores with a load of 40: the overhead, and how long each graph took.
OVERHEAD: Final = Overhead(chain=0.0272, fan=0.0138)
SLOTS: Final = 4
TOOK: Final = {
    "1000genome-chameleon-2ch-100k-001": 1.35,
    "bacass-dirt02-001": 2.37,
    "blast-chameleon-small-001": 0.69,
    "cycles-chameleon-1l-1c-9p-001": 0.99,
    "dax-cybershake_50": 1.05,
    "dax-inspiral_50": 3.84,
    "dax-sipht_30": 4.51,
    "epigenomics-chameleon-hep-1seq-100k-001": 0.73,
    "helloworld-forkjoin-10-chameleon": 0.67,
    "montage-chameleon-2mass-005d-001": 0.86,
    "sarek-dirt02-001": 0.96,
    "seismology-chameleon-100p-001": 1.17,
    "soykb-chameleon-10fastq-10ch-001": 4.77,
    "srasearch-chameleon-10a-001": 2.18,
}


def test_a_chain_takes_each_job_with_its_overhead() -> None:
    jobs = [SimulatedJob(0.1, [number - 1] if number else []) for number in range(50)]
    assert makespan(jobs, 8, COSTS) == pytest.approx(50 * 0.111)


def test_a_fan_takes_its_work_spread_over_the_slots() -> None:
    jobs = [SimulatedJob(0.5)] * 80
    assert makespan(jobs, 8, FREE) == pytest.approx(5.0)
    assert makespan(jobs, 8, COSTS) == pytest.approx(10 * 0.51, rel=0.02)


def test_the_server_is_the_limit_of_a_large_fleet() -> None:
    jobs = [SimulatedJob(0.5)] * 10_000
    assert makespan(jobs, 5_000, COSTS) == pytest.approx(10.0 + 0.51, rel=0.01)
    assert makespan(jobs, 5_000, COSTS, server_share=0.5) == pytest.approx(20.0 + 0.51, rel=0.01)
    assert rate(0.0, 64, 4, Constants(machine=0.1, cores=2)) == 80, "or the cores of the machines"


def test_a_join_waits_for_the_last_of_its_parents() -> None:
    jobs = [SimulatedJob(1.0), SimulatedJob(3.0), SimulatedJob(1.0, [0, 1])]
    assert makespan(jobs, 2, FREE) == 4.0
    assert makespan(jobs, 1, FREE) == 5.0


def test_measured_runs_took_what_the_simulation_says() -> None:
    if not (CORPORA / "graphs").is_dir():
        pytest.skip(f"{CORPORA} is not there; FLOWQ_CORPORA names the folder of the corpora")
    options = Options("sleep", 0.001, 2.0)
    ratios = []
    for name, took in TOOK.items():
        graph = graph2flow.read(CORPORA / "graphs" / f"{name}.json")
        assert took >= bound(graph, options, SLOTS).least
        ratios.append(took / simulated(graph, options, SLOTS, OVERHEAD))
    assert statistics.median(ratios) == pytest.approx(1, abs=0.1)
    assert min(ratios) > 0.8
    assert max(ratios) < 1.3


def test_the_page_has_the_table_that_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    _, *rows = capsys.readouterr().out.splitlines()
    assert "\n".join(rows) in (Path(__file__).parents[2] / "docs" / "scaling.md").read_text()
