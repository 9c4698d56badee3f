"""The worker that a local run brings along: one process, started for one run, that ends with it.

It is the same program as `flowq worker`. While the command that started it follows the run, the two are tied by a pipe: when the
command is gone, the worker sees its end of the pipe close, hands its jobs back and stops. A detached worker has no such pipe and
goes on until the run has ended.
"""

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from flowq.flows.submit import queue_of
from flowq.plan import Plan


def default_slots() -> int:
    """Return how many jobs a local run executes at once when nobody says: one per core, at least two."""
    return max(2, os.cpu_count() or 1)


def local_queues(plan: Plan, run: str) -> list[str]:
    """Return the store's names of the queues of a local run."""
    return sorted({queue_of(plan.node_of(cell).queue, run, local=True) for cell in plan.jobs()})


class LocalWorker:
    """A worker process for one local run.

    Args:
        run: the run's id.
        queues: the store's names of its queues.
        directory: where its jobs execute.
        slots: how many jobs at once.
        detach: let it outlive this process; else it stops when this process is gone.
        log: where its own messages go when detached.
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
        self._run = run
        self._queues = list(queues)
        self._directory = directory
        self._slots = slots or default_slots()
        self._detach = detach
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline = -1

    @property
    def pid(self) -> int | None:
        """The process id, None before the start."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the process, in a session of its own: the terminal's Ctrl+C is for the command, which decides what it means."""
        argv = [
            sys.executable,
            "-m",
            "flowq.worker.main",
            "--until-run",
            self._run,
            "-c",
            str(self._slots),
            "--log-level",
            "warning",
        ]
        inherited: tuple[int, ...] = ()
        if not self._detach:
            reading, self._lifeline = os.pipe()
            inherited = (reading,)
            argv += ["--lifeline", str(reading)]
        output = subprocess.DEVNULL if self._detach and self._log is None else None
        opened = self._log.open("ab") if self._log is not None else None
        try:
            self._process = subprocess.Popen(
                [*argv, *self._queues],
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=opened or output,
                stderr=opened or output,
                pass_fds=inherited,
                start_new_session=True,
            )
        finally:
            for descriptor in inherited:
                os.close(descriptor)
            if opened is not None:
                opened.close()

    def poll(self) -> int | None:
        """Return the exit code when the process has ended, else None."""
        return self._process.poll() if self._process else None

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for the end of the process; return its exit code, or None when it took longer."""
        if self._process is None:
            return None
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        """Kill what it executes and hand the jobs back: closing the lifeline is a cold stop."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    def stop(self, timeout: float = 5.0) -> None:
        """End it: politely, then by force."""
        self.kill()
        if self.wait(timeout) is None and self._process is not None:
            self._process.kill()
            self._process.wait()
