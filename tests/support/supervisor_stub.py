"""A supervisor without a store: slots and a fork server under the test's control, and a search for surviving processes."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from flowq.isolation import BATCH, MOST
from flowq.worker.supervisor.ends import Ended
from flowq.worker.supervisor.event_loop import Loop
from flowq.worker.supervisor.fork_servers.client import ForkServerClient
from flowq.worker.supervisor.fork_servers.key import ForkServerKey
from flowq.worker.supervisor.slot import Slot
from flowq.worker.supervisor.task_builder import _ALONE
from tests.support.launcher import MARK
from tests.support.wait import Deadline

MODULES = str(Path(__file__).parent.parent / "process" / "modules")


@dataclass
class Execution:
    """The observed execution of a task."""

    end: Ended | None = None
    freed: bool = False
    logs: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def outcome(self) -> dict[str, Any]:
        """The outcome; there must be one."""
        assert self.end is not None
        return self.end.outcome

    def output(self, stream: str = "out") -> bytes:
        """All captured bytes of a stream."""
        return b"".join(data for name, data in self.logs if name == stream)


class Stand:
    """A supervisor that runs tasks in real horses. A context manager: at its end no process may be left."""

    def __init__(self, *, slots: int = 1, grace: float = 0.2, clone: bool = False, preload: tuple[str, ...] = ()) -> None:
        self.mark = os.urandom(8).hex()
        self._clone = clone
        self.loop = Loop()
        self.slots = [Slot(self.loop, self, index, grace=grace) for index in range(slots)]
        self.executions: dict[int, Execution] = {}
        self.lost: list[ForkServerClient] = []
        place = ForkServerKey(path=(MODULES,), env=((MARK, self.mark),))
        self.fork_server = (
            ForkServerClient.clone(self.loop)
            if clone
            else ForkServerClient.start(self.loop, place, preload=preload, on_lost=self.lost.append)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.fork_server.close()
        self.loop.close()

    # -- owner of the slots

    def ended(self, slot: Slot, end: Ended) -> None:
        execution = self.executions[slot.index]
        execution.end = end
        execution.logs += slot.logs()

    def freed(self, slot: Slot) -> None:
        self.executions[slot.index].logs += slot.logs()
        self.executions[slot.index].freed = True

    # -- driving

    def start(self, task: dict[str, Any], slot: int = 0) -> Execution:
        """Start a task and return at once."""
        execution = self.executions[slot] = Execution()
        self.slots[slot].start(self._shared(task), self.fork_server)
        return execution

    def _shared(self, task: dict[str, Any]) -> dict[str, Any]:
        """Let a job share its horse where `flowq worker --isolation batch` would, if the tests run so."""
        alone = self._clone or task["kind"] not in {"call", "pickle"} or not _ALONE.isdisjoint(task)
        return task if alone or os.environ.get("FLOWQ_ISOLATION") != BATCH else {"batch": MOST} | task

    def turn(self, condition: Callable[[], object], timeout: float = 30.0) -> None:
        """Run the loop until the condition holds."""
        deadline = Deadline(timeout)
        while not condition():
            assert not deadline.passed(), "the slots did not get there in time"
            self.loop.turn(0.02)
            for slot in self.slots:
                slot.tick()

    def run(self, task: dict[str, Any], timeout: float = 30.0) -> Execution:
        """Execute a task until its slot is free and its horse has exited."""
        execution = self.start(task)
        self.turn(lambda: execution.freed and self.slots[0].settled, timeout)
        return execution


def task(kind: str, **fields: Any) -> dict[str, Any]:
    """Return a task with the common fields."""
    common: dict[str, Any] = {
        "id": "r-1",
        "name": "job",
        "run": "r",
        "attempt": 1,
        "execution": 1,
        "kind": kind,
        "limit": 1 << 20,
    }
    return common | {"timeout": 30.0} | fields


def call(attribute: str, *args: Any, **fields: Any) -> dict[str, Any]:
    """Return a task that calls a function of `tests/process/modules/process_jobs.py`."""
    return task("call", module="process_jobs", attribute=attribute, args=list(args), kwargs={}, path=[MODULES]) | fields


def shell(script: str, **fields: Any) -> dict[str, Any]:
    """Return a task that runs a script in the default shell."""
    return task("shell", script=script, variables={}, shell=[]) | fields


def survivors(mark: str) -> list[int]:
    """Return the pids of all live processes with this mark in their environment (Linux)."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdecimal():
            continue
        try:
            if wanted in Path(f"/proc/{entry}/environ").read_bytes().split(b"\0") and not _zombie(entry):
                found.append(int(entry))
        except OSError:
            continue
    return found


def gone(pid: int, mark: str) -> bool:
    """Return whether the process with this pid and mark has ended; the pid may have been reused."""
    return pid not in survivors(mark)


def _zombie(pid: str) -> bool:
    return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z"
