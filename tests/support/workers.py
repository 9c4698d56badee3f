"""Worker processes for tests: started as by `flowq worker`, and killed with all descendants at the end."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from flowq.flows.actions.submit import submit
from flowq.plan import Action, Cell, Edge, Node, Plan
from flowq.store import Store
from flowq.store.schema.records import JobRecord
from tests.support import launcher
from tests.support.launcher import MARK
from tests.support.supervisor_stub import survivors
from tests.support.wait import until

_WORKER = "flowq.worker.main"


class WorkerProcess:
    """A worker process, used as a context manager.

    Args:
        url: the server.
        arguments: the arguments of `flowq.worker.main`.
        namespace: the namespace of the keys.
        env: further variables.
        fds: inherited descriptors.
        inherit: called in the new process before exec, to set up other inherited state.
        prefix: a command that starts it, such as `unshare`.
        output: the descriptor to which it writes; by default that of this process.
    """

    def __init__(
        self,
        url: str,
        *arguments: str,
        namespace: str = "flowq-test",
        env: dict[str, str] | None = None,
        fds: tuple[int, ...] = (),
        inherit: Callable[[], object] | None = None,
        prefix: tuple[str, ...] = (),
        output: int | None = None,
    ) -> None:
        self.mark = os.urandom(8).hex()
        options = ("--namespace", namespace, *arguments)
        environment = {**os.environ, "FLOWQ_REDIS_URL": url, MARK: self.mark, **(env or {})}
        self.process: subprocess.Popen[bytes] | launcher.Launched
        if not fds and inherit is None and not prefix:
            self.process = launcher.start(_WORKER, *options, env=environment, output=output, errors=output, session=True)
            return
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", _WORKER, *options],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=fds,
            start_new_session=True,
            preexec_fn=inherit,  # noqa: PLW1509 - a test has no threads
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()
        if sys.platform == "linux":
            until(lambda: not survivors(self.mark), timeout=5, message="all descendants of the worker to end")

    def signal(self, number: int) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def pause(self) -> None:
        """Stop it with SIGSTOP, and wait until it has stopped."""
        self.signal(signal.SIGSTOP)
        if isinstance(self.process, subprocess.Popen):
            os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)
        else:
            status = Path(f"/proc/{self.process.pid}/stat")
            until(lambda: status.read_bytes().rpartition(b")")[2].split()[0] == b"T", message="the worker to stop")

    def wait(self, timeout: float = 15.0) -> int:
        """Wait for the end and return the exit code."""
        return self.process.wait(timeout)


def node(name: str, action: Action, **fields: Any) -> Node:
    """Return a job of a test's flow."""
    return Node(action, fields.pop("queue", "default"), fields.pop("timeout", 30.0), name=name, line=1, **fields)


def script(text: str) -> Action:
    """Return a shell action."""
    return Action("shell", script=text)


def flow(*nodes: Node, edges: dict[str, dict[str, str]] | None = None, **fields: Any) -> Plan:
    """Return a plan of one cell per node; `edges` maps child to `{parent: condition}`, parents come before children."""
    ordinals = {item.name: index for index, item in enumerate(nodes)}
    cells = []
    for index, item in enumerate(nodes):
        parents = tuple(Edge(ordinals[parent], condition) for parent, condition in (edges or {}).get(item.name, {}).items())
        cells.append(Cell(index, item.name, index, parents))
    return Plan(fields.pop("name", "test"), nodes, tuple(cells), **fields)


def start(store: Store, plan: Plan, directory: Path) -> str:
    """Submit a plan and return the run's id."""
    return submit(store, plan, directory=str(directory))


def ended(store: Store, run: str, timeout: float = 20.0) -> list[JobRecord]:
    """Wait for the end of a run and return the records of its jobs."""

    def done() -> bool:
        record = store.runs.get(run)
        return record is not None and record.ended

    until(done, timeout=timeout, message=f"run {run} to end")
    return records(store, run)


def records(store: Store, run: str) -> list[JobRecord]:
    """Return the records of all jobs of a run."""
    plan = Plan.from_json(store.runs.plan(run))
    found = store.runs.jobs(run, [cell.ordinal for cell in plan.cells])
    return [record for record in found if record is not None]
