"""A flow half of whose jobs are executed by forks, half elsewhere: the one of docs/executors.md."""

import os
import re

import pytest

from tests.executors.bench import Bench
from tests.repository.makefile import ROOT
from tests.support.workers import WorkerProcess

PAGE = (ROOT / "docs" / "executors.md").read_text(encoding="utf-8")
FLOW = re.findall(r"^```yaml\n(.*?)^```", PAGE.partition("## Some here")[2], re.MULTILINE | re.DOTALL)[0]


@pytest.mark.parametrize(
    "bench", ["sh", *(pytest.param(name, marks=pytest.mark.engines) for name in ("dask", "ray"))], indirect=True
)
def test_results_and_files_pass_between_forks_and_an_engine(bench: Bench) -> None:
    tell = "sh where.sh >> ran-by; "
    flow = re.sub(r"(run: (?:\|\n +)?)(?=seq|sum=|echo ')", lambda match: match[1] + tell, FLOW)
    assert flow.count(tell) == 3
    with bench.log.open("ab") as log:
        local = WorkerProcess(
            bench.url, "here", "--name", "local", inherit=lambda: os.chdir(bench.directory), output=log.fileno()
        )
        with local:
            ran = bench.run(flow)
    assert (ran.status, ran.output()) == ("finished", "artifacts numbers: 1 file, 2,292 bytes\n60300 + 59900 + 60100\n")
    assert (bench.directory / "ran-by").read_text().split() == ["fork", "node", "node", "node", "fork"]
