"""A worker on an engine, for many cases: a server of its own, a directory with modules of jobs, and a look at processes."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flowq.compiler import compile_file
from flowq.flows.actions.submit import submit
from flowq.store import Store
from flowq.store.schema.records import JobRecord
from tests.executors.engines import NAME, table
from tests.support.server import PrivateServer
from tests.support.supervisor_stub import survivors
from tests.support.wait import until
from tests.support.workers import WorkerProcess, records

MODULES = Path(__file__).parent / "modules"
LEASE = 3.0  # s
_CLUSTER = (
    r"\bdask (scheduler|worker)|resource_tracker|^ray::|/ray/|-m ray\.|\bray start|^$"  # its processes, and what has just ended
)


class Bench:
    """One engine and its worker. `directory` has the modules of the jobs and `flowq.toml`."""

    def __init__(self, engine: str, server: PrivateServer, directory: Path, mark: str, lease: float, places: int) -> None:
        self.engine = engine
        self.mark = mark
        self._lease = lease
        self._places = places
        self.directory = directory
        self._server = server
        self.url = server.url
        self.log = directory / "worker.log"
        self._client = server.client()
        self.store = Store(self._client, namespace="flowq-test")
        self.store.open()
        self.worker = self.start()

    def start(self) -> WorkerProcess:
        """Start a worker, also beside or after another one."""
        place = [f"-c{self._places}"] if self.engine == "fork" else ["--executor", NAME]
        arguments = ["cluster", "--lease", str(self._lease), *place]
        with self.log.open("ab") as log:
            self.worker = WorkerProcess(
                self._server.url,
                *arguments,
                env={"FLOWQ_CACHE": str(self.directory / "cache"), "WORKER_SECRET": "worker-s3cret"},
                inherit=lambda: os.chdir(self.directory),
                output=log.fileno(),
            )
        return self.worker

    def close(self) -> None:
        """End worker and server; nothing that belongs to them may be left."""
        self.worker.signal(18)
        self.worker.__exit__()
        self._client.close()
        until(lambda: not self.left(), timeout=10, message="all processes of the nodes to end")

    def submit(self, text: str, directory: Path | None = None, *, start: bool = True) -> str:
        """Submit a flow whose jobs go to the worker; return the run. `start`: unless the workers are to be suspended before."""
        place = directory or self.directory
        (place / "flow.yaml").write_text(f"defaults: {{queue: cluster, stop_grace: 300ms}}\n{text}")
        compiled = compile_file(place / "flow.yaml")
        assert compiled.plan is not None, compiled.diagnostics
        if not start:
            self.store.queues.suspend(None)
        return submit(self.store, compiled.plan, directory=str(place))

    def run(self, text: str, timeout: float = 30.0) -> "Ran":
        """Run a flow to its end."""
        return self.ended(self.submit(text), timeout)

    def ended(self, run: str, timeout: float = 30.0) -> "Ran":
        """Wait for the end of a run."""
        until(lambda: self.store.runs.require(run).ended, timeout=timeout, message=lambda: f"the run to end; {self.tail()}")
        return Ran(self, run)

    def begun(self, run: str, name: str = "pid") -> int:
        """Wait until a job has written its pid into a file of the directory, and return the pid."""
        path = self.directory / name
        return int(
            until(
                lambda: path.exists() and path.read_text(),
                timeout=20,
                message=lambda: f"a job of {run} to begin; {self.tail()}",
            )
        )

    def tail(self) -> str:
        """Return the end of the worker's log, for messages."""
        return self.log.read_text()[-1500:]

    def left(self) -> list[int]:
        """Return the pids of the processes that may not outlive the worker: all but those of a cluster."""
        return [pid for pid in self.processes("") if not re.search(_CLUSTER, command(pid))]

    def processes(self, word: str) -> list[int]:
        """Return the pids of this bench's processes with a word in their command line; "" for all."""
        found = {*survivors(self.mark), *survivors(self.worker.mark)}
        return [pid for pid in sorted(found) if word in command(pid)]


class Ran:
    """A run that has ended."""

    def __init__(self, bench: Bench, run: str) -> None:
        self.run = run
        self._store = bench.store
        self.status = str(bench.store.runs.require(run).status)
        self.jobs: list[JobRecord] = records(bench.store, run)

    @property
    def job(self) -> JobRecord:
        """Its first job."""
        return self.jobs[0]

    @property
    def error(self) -> str:
        """The error of its first job."""
        found = self._store.jobs.result(self.job.id)
        return "" if found is None or found.value is None else found.value.decode()

    def result(self, ordinal: int = 0) -> Any:
        """Return the result of a job."""
        found = self._store.jobs.result(f"{self.run}-{ordinal}")
        assert found is not None, self.error
        assert found.value is not None
        return json.loads(found.value)

    def output(self, *streams: str) -> str:
        """Return the output of all jobs, or of some streams."""
        entries, after = [], "0"
        while page := self._store.runs.logs(self.run, after):
            entries += page
            after = page[-1].seq
        return b"".join(entry.data for entry in entries if not streams or entry.stream in streams).decode()


@contextmanager
def bench_of(engine: str, lease: float = LEASE, *, places: int = 8, **more: object) -> Iterator[Bench]:
    """Yield a bench for an engine. `places`: jobs at once; `more`: the keys of a pipe."""
    directory = Path(tempfile.mkdtemp(prefix="fq-exec-", dir="/tmp"))
    mark = os.urandom(8).hex()
    try:
        shutil.copytree(MODULES, directory, dirs_exist_ok=True)
        with table(engine, directory, mark, places, **more) as text:
            (directory / "flowq.toml").write_text(text)
            server = PrivateServer().start()
            try:
                bench = Bench(engine, server, directory, mark, lease, places)
                try:
                    yield bench
                finally:
                    bench.close()
            finally:
                server.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def alive(pid: int) -> bool:
    """Return whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


def command(pid: int) -> str:
    """Return the command line of a process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""
