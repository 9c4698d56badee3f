"""The worker of a local run: one process, started for one run, that ends with it.

It is the same program as `flowq worker`. While the command that started it follows the run, the two are tied by a pipe: when the
command has ended, the worker sees its end of the pipe close, hands its jobs back and stops. A detached worker has no such pipe and
works until the run has ended.
"""

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from flowq.flows.actions.submit import queue_of
from flowq.flows.local_worker.process import WorkerProcess, default_slots
from flowq.plan import Plan


def needed_queues(plan: Plan) -> list[str]:
    """Return the queues that jobs of a run will wait in."""
    cells = (cell for cell in plan.cells if cell.selected and not cell.hidden)
    return sorted({plan.queue_of(cell) for cell in cells if not cell.group or plan.node_of(cell).foreach is not None})


def stored_queues(plan: Plan, queue_prefix: str) -> list[str]:
    """Return the store's names of the queues of a run: of a local one, its id is the prefix."""
    return sorted(queue_of(queue, queue_prefix) for queue in needed_queues(plan))


class LocalWorker:
    """A worker process for one local run.

    Args:
        run: the run's id.
        queues: the store's names of its queues.
        directory: where its jobs execute.
        slots: how many jobs at once.
        detach: let it outlive this process; else it stops when this process is gone.
        log: where its own messages go; by default to this process's standard error, or nowhere when it is detached.
    """

    def __init__(
        self,
        run: str,
        queues: Iterable[str],
        *,
        directory: str | Path,
        slots: int | None = None,
        detach: bool = False,
        log: Path | None = None,
    ) -> None:
        self._argv = ["--until-run", run, "-c", str(slots or default_slots()), "--log-level", "warning", *queues]
        self._directory = str(directory)
        self._detach = detach
        self._log = str(log) if log is not None else os.devnull if detach else None
        self._started: WorkerProcess | None = None

    @property
    def pid(self) -> int | None:
        """The process id, None before the start."""
        return self._started.process.pid if self._started else None

    def start(self, waiting: WorkerProcess | None = None, url: str | None = None) -> None:
        """Send its orders to a process that waits for them, or to a new one.

        `url` is the server, where the settings have another: of a run that began on the embedded one and was moved.
        """
        self._started = waiting or WorkerProcess()
        argv = [*self._argv, "--detached"] if self._detach else self._argv
        self._started.order(argv, self._directory, self._log, url)
        if self._detach:
            self._started.let_go()

    def poll(self) -> int | None:
        """Return the exit code when the process has ended, else None."""
        return self._started.process.poll() if self._started else None

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for the end of the process; return its exit code, or None when it took longer."""
        if self._started is None:
            return None
        try:
            return self._started.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        """Kill what it executes and hand the jobs back: closing the lifeline is a cold stop."""
        if self._started is not None:
            self._started.let_go()

    def stop(self, timeout: float = 5.0) -> None:
        """End it: with SIGTERM, then with SIGKILL."""
        self.kill()
        if self.wait(timeout) is None and self._started is not None:
            self._started.process.kill()
            self._started.process.wait()
