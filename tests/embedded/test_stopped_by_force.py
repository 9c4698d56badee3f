"""A worker whose embedded server is stopped by force: it says what to do, goes on when that is done, and else ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flowq.cli import exit_codes
from flowq.embedded.control import start_server, stop_server
from tests.support.wait import until

WHAT_TO_DO = "was stopped: `flowq server start` starts it again"


@pytest.mark.parametrize("started", [False, True], ids=["for good", "and started again"])
def test_a_worker_of_a_server_that_was_stopped_by_force(home: Path, tmp_path: Path, *, started: bool) -> None:
    said = tmp_path / "said"
    environment = {name: value for name, value in os.environ.items() if name != "FLOWQ_REDIS_URL"}
    environment |= {"FLOWQ_HOME": str(home), "FLOWQ_LINGER": "30" if started else "1"}
    with said.open("wb") as output:
        worker = subprocess.Popen(
            [sys.executable, "-m", "flowq.worker.main"], env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        until(lambda: "listens on" in said.read_text(), 20, "the worker to begin")
        assert stop_server(str(home), force=True)
        until(lambda: WHAT_TO_DO in said.read_text(), 20, "the worker to say what to do")
        if started:
            start_server(str(home))
            until(lambda: "the server can be used again" in said.read_text(), 20, "the worker to go on")
            worker.terminate()
            assert worker.wait(20) == exit_codes.OK
        else:
            assert worker.wait(20) == exit_codes.UNREACHABLE
            assert said.read_text().splitlines()[-1].startswith(f"error: the embedded server in {home} {WHAT_TO_DO}")
    finally:
        worker.kill()
        worker.wait()
        stop_server(str(home), force=True)
