"""A private Dask cluster: a scheduler and two workers, each a process, as `dask scheduler` and `dask worker` start them."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.launcher import MARK
from tests.support.wait import until

_WORKERS = 2


@contextmanager
def running(directory: Path, mark: str, places: int) -> Iterator[str]:
    """Run a cluster each of whose workers has places for so many jobs; yield the address of its scheduler."""
    log = directory / "dask.log"
    with log.open("wb") as stream:
        scheduler = start(stream, mark, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        processes = [scheduler]
        try:
            address = until(lambda: _address(log), timeout=60, message="the scheduler to listen")
            more = (
                "worker",
                address,
                "--nthreads",
                str(places),
                "--no-nanny",
                "--no-dashboard",
                "--local-directory",
                str(directory),
            )
            processes += [start(stream, mark, *more, "--resources", "cpus=16") for _ in range(_WORKERS)]
            until(lambda: log.read_text().count("Registered to:") == _WORKERS, timeout=60, message="the workers to register")
            yield address
        finally:
            for process in processes:
                process.kill()
                process.wait()


def start(stream: object, mark: str, *arguments: str) -> "subprocess.Popen[bytes]":
    """Start a command of Dask."""
    argv = ["env", f"{MARK}={mark}", sys.executable, "-P", "-m", "dask", *arguments]
    return subprocess.Popen(argv, stdout=stream, stderr=stream, start_new_session=True)  # type: ignore[call-overload,no-any-return]


def _address(log: Path) -> str:
    found = re.search(r"Scheduler at: +(tcp://\S+)", log.read_text())
    return found[1] if found else ""
