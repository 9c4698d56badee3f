"""Jobs on a node that do what they can to keep their place there or to leave something: their run ends in time, and nothing is left.

`tests/process/test_hostile_jobs.py` has all of them, on a worker; a node executes jobs with the same processes.
"""

import shutil
from pathlib import Path

import pytest

from tests.executors.bench import Bench, alive
from tests.support.wait import until

pytestmark = pytest.mark.parametrize("bench", ["sh"], indirect=True)

JOBS = Path(__file__).parents[1] / "process" / "modules" / "hostile_jobs.py"
ENDS = {
    "ignores_signals": "timeout",
    "blocks_in_c": "timeout",
    "floods": "timeout",
    "is_held_by_what_it_left": "timeout",
    "leaves_daemons": "",
    "leaves_one_that_hides": "",
    "leaves_one_that_adopts": "",
    "leaves_a_namespace": "",
    "removes_its_directory": "",
    "closes_everything": "killed",
    "sends_what_is_no_outcome": "killed",
    "exhausts_descriptors": "error",
}
NODE = 2  # levels above a job


@pytest.fixture
def notes(bench: Bench, tmp_path: Path) -> Path:
    shutil.copy(JOBS, bench.directory)
    return tmp_path


def left(notes: Path) -> list[str]:
    """Return the processes of jobs that are still there."""
    return [
        file.name for kind in ("pid", "hidden") for file in notes.glob(f"{kind}-*") if alive(int(file.name.partition("-")[2]))
    ]


@pytest.mark.slow
def test_a_node_is_free_in_time_and_nothing_is_left(bench: Bench, notes: Path) -> None:
    jobs = (f"  {name}: {{call: 'hostile_jobs:{name}', args: ['{notes}'], timeout: 1s}}" for name in ENDS)
    ran = bench.run("\n".join(("jobs:", *jobs)))
    assert {name: job.reason or "" for name, job in zip(ENDS, ran.jobs, strict=True)} == ENDS
    until(lambda: not left(notes), message="the processes of the jobs to end")


@pytest.mark.engines
@pytest.mark.parametrize("attack", ["stops_above", "traces_above", "leaves_one_that_traces_above", "kills_above"])
def test_a_job_that_attacks_its_node_is_lost_with_it(bench: Bench, notes: Path, attack: str) -> None:
    ran = bench.run(f"jobs: {{a: {{call: 'hostile_jobs:{attack}', args: ['{notes}', {NODE}], timeout: 1s}}}}")
    assert ran.job.reason == "abandoned", ran.error
    until(lambda: not left(notes), message="the processes of the job to end")
    assert bench.run("jobs: {a: {call: 'jobs:echo', args: [1]}}").status == "finished"
