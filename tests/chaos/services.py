"""The `flowq serve`s of a round: two on one directory, with schedulers, workers and a page, and what the faults do to them."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from flowq.schedules.backfill import Range
from flowq.schedules.requests import BackfillWish
from flowq.store import Store
from tests.chaos import nodes
from tests.chaos.served import DIRECTORY, FOLLOWED, FOLLOWER, HOUR, PAST, QUEUE, SECRET, TICKING, flows
from tests.support.launcher import MARK
from tests.support.ports import free_ports
from tests.support.supervisor_stub import survivors
from tests.support.wait import until

SERVES: Final = 2
BACKFILLED: Final = 24  # slots
PARTS: Final = {"scheduler": b"schedule\0run", "served worker": b"flowq.worker.main", "page": b"flowq\0ui"}
"""The children of serve, each with what its command line has."""

_WITH_PAGE: Final = 0  # the serve that has a page; it comes back when the port of the page is free
_UNREACHABLE: Final = 6  # exit code of a serve whose first child could not reach the server: it is started again
_STARTING: Final = 60.0  # s in which that can be, on a machine with much else to do
_LOOK: Final = 0.2  # s between two looks at what is left of a serve
_ENDING: Final = 30.0  # s
_SECRET: Final = "a secret of chaos"
_OPTIONS: Final = ("-c", "2", "--queues", QUEUE, "--drain", "5s", "--log-level", "warning")


class Begin(Protocol):
    """What starts a program of the round."""

    def __call__(self, module: str, *arguments: str, variables: Mapping[str, str] = ...) -> subprocess.Popen[bytes]:
        """Start a module with further variables."""


@dataclass
class _Serve:
    """A `flowq serve` at work, with the mark of its processes. `asked`: it was to stop."""

    process: subprocess.Popen[bytes]
    mark: str
    asked: bool = False
    killed: bool = False
    begun: float = field(default_factory=time.monotonic)
    looked: float = 0.0  # monotonic time of the last look at what is left of it


class Services:
    """The serves of a round, and the client that sends deliveries to the page.

    Args:
        place: the directory of the round.
        lease: of their workers, in s.
        begin: starts a program.
    """

    def __init__(self, place: Path, lease: float, begin: Begin) -> None:
        self._place, self._lease, self._begin = place, lease, begin
        self.problems: list[str] = []
        self._marks: list[str] = []
        (port,) = free_ports(1)
        directory = place / DIRECTORY
        directory.mkdir()
        for name, document in flows().items():
            (directory / f"{name}.yaml").write_text(json.dumps(document))
        self._port = str(port)
        self._serves = [self._serve(number) for number in range(SERVES)]
        self._client = begin("tests.chaos.deliveries", str(place), self._port, variables={SECRET: _SECRET})
        self._backfill = ""
        self._healed: int | None = None  # the server's time, in ms, when the faults were over
        self._resting = False  # no entry is due any more

    # -- faults

    def strike(self, how: str, what: str, pick: float) -> int | None:
        """Send a serve, or a child of one, a signal; return the process id, None if there is no such process."""
        number = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "end": signal.SIGTERM}[how]
        alive = [serve for serve in self._serves if serve.process.poll() is None and not serve.asked]
        if what == "serve":
            if not alive:
                return None
            serve = alive[int(pick * len(alive))]
            serve.killed |= how == "kill"
            serve.asked |= how == "end"
            victim = serve.process.pid
        else:
            found = [pid for serve in alive for pid in _children(serve, PARTS[what])]
            if not found:
                return None
            victim = found[int(pick * len(found))]
        with suppress(ProcessLookupError):
            os.kill(victim, number)
        return victim

    def tend(self) -> None:
        """Start the serves again that have ended."""
        for number, serve in enumerate(self._serves):
            if serve.process.poll() is None or time.monotonic() < serve.looked + _LOOK:
                continue
            serve.looked = time.monotonic()
            if number == _WITH_PAGE and survivors(serve.mark):
                continue
            if not _is_expected(serve):
                self.problems.append(f"serve {number} ended with {serve.process.returncode}")
            self._serves[number] = self._serve(number)
        if self._client.poll():
            self.problems.append(f"the client of the page ended with {self._client.returncode}")
            self._client = self._begin("tests.chaos.deliveries", str(self._place), self._port, variables={SECRET: _SECRET})

    def work(self, store: Store) -> None:
        """Begin the backfill, when a scheduler has told what there is."""
        if not self._backfill and store.schedules.get_many([PAST])[0] is not None:
            end = store.now_ms() // HOUR * HOUR
            self._backfill = BackfillWish(PAST, Range(end - BACKFILLED * HOUR, end), most=2).begin(store)

    # -- the end

    def heal(self, store: Store) -> None:
        """Note that the faults are over."""
        self._healed = store.now_ms()
        self._client.terminate()

    def unsettled(self, store: Store) -> Iterator[str]:
        """Yield what is still to be done by schedulers, and let nothing be due any more when all entries have gone on after the faults."""
        records = dict(zip(TICKING, store.schedules.get_many(TICKING), strict=True))
        if not self._resting:
            for name, record in records.items():
                slot = -1 if record is None or record.slot is None else record.slot
                if name != PAST and slot <= (self._healed or 0):
                    yield f"schedule {name} has not gone on after slot {slot}"
                    return
            for name in TICKING:
                store.schedules.pause(name, "chaos")
            self._resting = True
        if self._client.poll() is None:
            yield "a delivery is not accepted"
        backfill = store.backfills.get(self._backfill)
        if backfill is None or backfill.state != "done":
            yield f"the backfill is {backfill and (backfill.state, backfill.reason, backfill.cursor)}"
        _, cursor = store.schedules.armed(FOLLOWER)
        if late := [end.run for end in store.schedules.ended_after(cursor, 1000) if end.by.startswith(FOLLOWED)]:
            yield f"the ends of {late} were not dealt with after {cursor}"

    def stop(self) -> None:
        """Stop the serves as a user does, who expects that no process is left."""
        for serve in self._serves:
            serve.asked = True
            serve.process.terminate()
        for number, serve in enumerate(self._serves):
            try:
                serve.process.wait(_ENDING)
                if not _is_expected(serve):
                    self.problems.append(f"serve {number} ended with {serve.process.returncode} after SIGTERM")
            except subprocess.TimeoutExpired:
                self.problems.append(f"serve {number} did not stop after SIGTERM")
        for mark in self._marks:
            try:
                until(lambda mark=mark: not survivors(mark), timeout=15)  # type: ignore[misc]
            except AssertionError:
                self.problems.append(f"processes survived their serve: {[_command(pid) for pid in survivors(mark)]}")

    def close(self) -> None:
        """Kill everything."""
        for process in (self._client, *(serve.process for serve in self._serves)):
            process.kill()
            process.wait()
        for mark in self._marks:
            for pid in survivors(mark):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _serve(self, number: int) -> _Serve:
        page = ("--port", self._port) if number == _WITH_PAGE else ("--no-page",)
        mark = os.urandom(8).hex()
        self._marks.append(mark)
        options = (*_OPTIONS, "--worker-ttl", str(self._lease), *page)
        variables = {MARK: mark, SECRET: _SECRET}
        return _Serve(self._begin("flowq", "serve", str(self._place / DIRECTORY), *options, variables=variables), mark)


def _is_expected(serve: _Serve) -> bool:
    code = serve.process.returncode
    stopped = serve.asked and code in {0, -signal.SIGTERM}  # it may have been about to start
    unreachable = code == _UNREACHABLE and time.monotonic() < serve.begun + _STARTING
    return stopped or unreachable or (code == -signal.SIGKILL and serve.killed)


def _children(serve: _Serve, part: bytes) -> list[int]:
    found = (pid for pid in survivors(serve.mark) if nodes.depth(pid, serve.process.pid) == 1)
    return [pid for pid in found if part in _command_line(pid)]


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _command(pid: int) -> str:
    return f"{pid}: {_command_line(pid).replace(bytes(1), b' ').decode(errors='replace')}"
