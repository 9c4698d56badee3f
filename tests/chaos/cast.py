"""The processes of a round, and what the faults do to them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from flowq.exceptions import InvalidRunOperation
from flowq.flows.actions.retry import plan_retry
from flowq.store import Store
from tests.chaos import nodes
from tests.chaos.jobs import LOG
from tests.chaos.network import READY, SOCKET
from tests.chaos.schedule import SERVICES, Fault
from tests.chaos.services import Services
from tests.chaos.workload import AFAR_QUEUE, QUEUES, SUB_FLOW, sub_flow, workload
from tests.support.kinds import Group, SentinelServer, server_of
from tests.support.ports import free_ports
from tests.support.server import PrivateServer, die_with_parent
from tests.support.supervisor_stub import survivors
from tests.support.wait import until
from tests.support.workers import WorkerProcess

NAMESPACE: Final = "chaos"
SUBMITTERS: Final = 3
WORKERS: Final = 4
BATCHES: Final = 0  # the worker whose jobs may share processes unless they refuse; those of the others may if they ask
AFAR: Final = 3  # the worker whose jobs are executed on a node; it has a queue of its own
SLOTS: Final = 6
UNREACHABLE: Final = 6  # the exit code of a worker that cannot reach the server when it starts: it is started again
STARTING: Final = 30.0  # s, on a machine with much else to do
_SIGNALS: Final = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "end": signal.SIGTERM}
_ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Setting:
    """The setting of a round.

    Args:
        seed: decides faults and workload.
        seconds: how long there are faults.
        lease: of the workers, in s.
        calm: s without any progress, after the last fault, that show that what is left is stuck.
        package: the directory of another flowq.
        server: the kind of the server.
    """

    seed: int
    seconds: float = 40.0
    lease: float = 2.0
    calm: float = 15.0
    package: Path | None = None
    server: str = "embedded"


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault that hit: from when to when (on the clock, in s), and the processes that were lost or frozen by it."""

    kind: str
    at: float
    until: float
    pids: frozenset[int] = frozenset()


@dataclass
class Cast:
    """All processes of a round.

    Args:
        setting: of the round.
        place: its directory.
    """

    setting: Setting
    place: Path
    strikes: list[Strike] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # of processes that ended by themselves
    idle: list[tuple[float, float]] = field(default_factory=list)  # from when to when no worker was fit to take a job

    def __post_init__(self) -> None:
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._gone: list[WorkerProcess] = []
        self._output = (self.place / "output").open("ab")
        self._asked: set[str] = set()  # marks of workers that were asked to stop
        self._started: dict[str, float] = {}  # mark of a worker -> monotonic time, in s
        self._ready: set[str] = set()  # marks of workers that have a fork server: they have started
        self._frozen: dict[str, float] = {}  # mark of a worker -> until when it is stopped
        self._unfit_since: float | None = None  # since when there is no such worker
        self._down = False  # the server
        self.start = time.time()
        self.server = self._server()
        self._reach()
        parts = workload(self.setting.seed, self.setting.seconds, SUBMITTERS)
        (self.place / "workload").write_text(json.dumps([[item.document() for item in part] for part in parts]))
        (self.place / SUB_FLOW).write_text(json.dumps(sub_flow()))
        (self.place / "flowq.toml").write_text(nodes.settings(SLOTS))
        (self.place / "log").touch()
        self._submitters = [self._submitter(number) for number in range(SUBMITTERS)]
        self.services = Services(self.place, self.setting.lease, self._python)
        self._workers = [self._worker(number) for number in range(WORKERS)]

    # -- what a director does

    def strike(self, fault: Fault) -> None:
        """Carry out a fault; one without a victim is left out."""
        how, _, what = fault.kind.partition(" ")
        match what:
            case "worker" | "horse" | "fork server":
                self._strike_worker(how, what, fault)
            case "server":
                self._strike_server(how, fault)
            case "over":
                self._fail_over(fault)
            case "submitter":
                self._strike_submitter(fault)
            case "scripts":
                self._speak(self._flush)
                self._hit(fault)
            case _ if fault.kind in SERVICES:
                self._strike_service(how, what, fault)
            case _:
                self._strike_run(how, fault)

    def tend(self) -> None:
        """Do what is due: end outages, replace what was killed."""
        for item in sorted(self._later, key=lambda item: item[0]):
            if item[0] <= time.time():
                self._later.remove(item)
                item[1]()
        for index, worker in enumerate(self._workers):
            if worker.process.poll() is not None:
                self._replace(index)
        self._note_idleness()
        for number, process in enumerate(self._submitters):
            if process.poll() not in {None, 0}:
                if process.returncode > 0:
                    self.problems.append(f"submitter {number} ended with {process.returncode}")
                self._submitters[number] = self._submitter(number)
        self.services.tend()
        self._speak(lambda: self.services.work(self.store))

    def heal(self) -> None:
        """End all faults that last, and what makes runs without an end."""
        for _, action in sorted(self._later, key=lambda item: item[0]):
            action()
        self._later.clear()
        self.services.heal(self.store)

    @property
    def submitting(self) -> bool:
        """Whether a part of the workload is not submitted yet."""
        return any(process.poll() != 0 for process in self._submitters)

    def stop(self) -> None:
        """Stop the workers as a user does, who expects that they stop, and that no process is left."""
        self.services.stop()
        self.problems += self.services.problems
        for worker in self._workers:
            worker.signal(signal.SIGTERM)
        for worker in self._workers:
            try:
                if code := worker.wait(20):
                    self.problems.append(f"a worker ended with {code} after SIGTERM")
            except subprocess.TimeoutExpired:
                self.problems.append("a worker did not stop after SIGTERM")
        for worker in (*self._workers, *self._gone):
            try:
                until(lambda mark=worker.mark: not survivors(mark), timeout=15)  # type: ignore[misc]
            except AssertionError as error:
                self.problems.append(f"processes survived their worker: {error}")

    def remove(self) -> None:
        """Delete all runs and plain jobs, with the flowq of this round."""
        if code := self._python("tests.chaos.removal").wait(60):
            self.problems.append(f"the removal of runs and jobs ended with {code}")

    def close(self) -> None:
        """Kill everything."""
        self.services.close()
        for process in (*self._submitters, self._network):
            process.kill()
            process.wait()
        for worker in self._workers:
            with suppress(AssertionError):
                worker.__exit__()
        self.store.close()
        self.server.stop()
        self._output.close()

    # -- faults

    def _strike_worker(self, how: str, what: str, fault: Fault) -> None:
        processes = [(worker, survivors(worker.mark)) for worker in self._workers]
        at_work = [item for item in processes if len(item[1]) > 1]  # one that starts has no fork server yet
        if not at_work:
            return
        worker, pids = at_work[int(fault.pick * len(at_work))]
        if worker is self._workers[AFAR] and what in nodes.DEPTHS:
            fault = replace(fault, kind=f"{how} {nodes.DEPTHS[what]}")
        if what == "worker":
            victim, lost = worker.process.pid, pids
        else:
            depth = 2 if what == "horse" else 1
            found = [pid for pid in pids if nodes.depth(pid, worker.process.pid) == depth]
            if not found:
                return
            victim = found[int(fault.pick * 1000) % len(found)]
            lost = [pid for pid in pids if nodes.depth(pid, victim) >= 0]
        with suppress(ProcessLookupError):
            os.kill(victim, _SIGNALS[how])
            if how == "stop":
                self._later.append((time.time() + fault.length, lambda: _go_on(victim)))
                if what == "worker":
                    self._freeze(worker.mark, fault.length)
            if how == "end":
                self._asked.add(worker.mark)
                lost = []  # it finishes its jobs
            self._hit(fault, fault.length if how == "stop" else 0.0, lost)

    def _strike_server(self, how: str, fault: Fault) -> None:
        if self._down:
            return
        begun = time.time()

        def end() -> None:
            if how == "kill":
                self.server.restart()
            else:
                os.kill(self.server.pid, signal.SIGCONT)
            self._down = False
            self.strikes.append(Strike(fault.kind, begun, time.time()))

        if how == "kill":
            self.server.kill9()
        else:
            os.kill(self.server.pid, signal.SIGSTOP)
        self._down = True
        self._later.append((begun + fault.length, end))

    def _fail_over(self, fault: Fault) -> None:
        """Let the replica take over, as an operator does who wants to lose nothing."""
        assert isinstance(self.server, SentinelServer)
        if not self._down:
            begun = time.time()
            self.server.fail_over()
            self.store.close()
            self._reach()
            self.strikes.append(Strike(fault.kind, begun, time.time()))

    def _strike_submitter(self, fault: Fault) -> None:
        running = [process for process in self._submitters if process.poll() is None]
        if running:
            running[int(fault.pick * len(running))].kill()
            self._hit(fault)

    def _strike_service(self, how: str, what: str, fault: Fault) -> None:
        victim = self.services.strike(how, what, fault.pick)
        if victim is not None:
            if how == "stop":
                self._later.append((time.time() + fault.length, lambda: _go_on(victim)))
            self._hit(fault, fault.length if how == "stop" else 0.0)

    def _strike_run(self, how: str, fault: Fault) -> None:
        def act() -> None:
            runs = [self.store.runs.require(run) for run in self.store.runs.recent(50)]
            wanted = [run.id for run in runs if run.ended == (how == "retry")]
            if not wanted:
                return
            run = wanted[int(fault.pick * len(wanted))]
            if how == "retry":
                plan_retry(self.store, run).apply(self.store)
            else:
                self.store.runs.cancel(run)
            self._hit(fault)

        self._speak(act)

    def _flush(self) -> None:
        for kind in ("SCRIPT", "FUNCTION"):
            self._client.execute_command(kind, "FLUSH")

    def _speak(self, act: Callable[[], object]) -> None:
        """Call the server unless it is down; it may refuse."""
        if not self._down:
            with suppress(InvalidRunOperation):
                act()

    def _hit(self, fault: Fault, lasting: float = 0.0, pids: list[int] | None = None) -> None:
        now = time.time()
        self.strikes.append(Strike(fault.kind, now, now + lasting, frozenset(pids or ())))

    # -- processes

    def _server(self) -> PrivateServer:
        """Start the server, and the network before it."""
        several = self.setting.server in {"cluster", "sentinel"}
        ports = free_ports(3) if several else []
        server = server_of(self.setting.server, NAMESPACE, ports)
        nodes = server.nodes if isinstance(server, Group) else [server]
        doors = [str(port) for port in ports] or [str(self.place / SOCKET)]
        behind = json.dumps({door: node.socket for door, node in zip(doors, nodes, strict=False)})
        numbers = [str(number) for number in (self.setting.seed, self.setting.seconds, self.setting.lease, self.start)]
        self._url = server.url if several else f"unix://{self.place / SOCKET}"
        self._network = self._python("tests.chaos.network", str(self.place), behind, *numbers)
        until((self.place / READY).exists, message="the proxy")
        return server.start("--appendfsync", "always", appendonly=True)

    def _reach(self) -> None:
        """Connect to the server past the network."""
        self._client: Any = PrivateServer.client(self.server)  # redis-py annotates its replies for all its modes at once
        self.store = Store(self._client, NAMESPACE).open()

    def _replace(self, index: int) -> None:
        worker = self._workers[index]
        code = worker.process.wait()  # it has ended
        unreachable = code == UNREACHABLE and time.monotonic() < self._started[worker.mark] + STARTING
        if code >= 0 and not unreachable and (code or worker.mark not in self._asked):
            self.problems.append(f"a worker ended with {code}")
        self._gone.append(worker)
        self._workers[index] = self._worker(index)

    def _freeze(self, mark: str, length: float) -> None:
        now = time.time()
        if self._frozen.get(mark, 0.0) < now:  # else it is stopped already, and goes on when that is over
            self._frozen[mark] = now + length

    def _note_idleness(self) -> None:
        """Note the time in which every worker is dead, stopped, ending or starting."""
        now = time.time()
        self._ready |= {
            worker.mark for worker in self._workers if worker.mark not in self._ready and len(survivors(worker.mark)) > 1
        }
        fit = self._ready - self._asked - {mark for mark, until in self._frozen.items() if until > now}
        if not any(worker.mark in fit for worker in self._workers[:AFAR]):
            self._unfit_since = self._unfit_since or now
        elif self._unfit_since is not None:
            self.idle.append((self._unfit_since, now))
            self._unfit_since = None

    def _worker(self, index: int) -> WorkerProcess:
        queues = QUEUES[:: -1 if index % 2 else 1]  # a worker takes jobs of its second queue only when its first one is empty
        ways = {BATCHES: (*queues, "--isolation", "batch"), AFAR: (AFAR_QUEUE, "--executor", nodes.EXECUTOR)}
        worker = WorkerProcess(
            self._url,
            *ways.get(index, queues),
            *("-c", str(SLOTS), "--lease", str(self.setting.lease), "--log-level", "warning"),
            namespace=NAMESPACE,
            env=self._environment,
            inherit=self._begin,
            output=self._output.fileno(),
        )
        self._started[worker.mark] = time.monotonic()
        return worker

    def _begin(self) -> None:
        die_with_parent()
        os.chdir(self.place)

    def _submitter(self, number: int) -> subprocess.Popen[bytes]:
        return self._python("tests.chaos.submitter", str(self.place), str(number), str(self.start))

    def _python(
        self, module: str, *arguments: str, variables: Mapping[str, str] = MappingProxyType({})
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=self.place,
            env={**os.environ, "FLOWQ_REDIS_URL": self._url, "FLOWQ_NAMESPACE": NAMESPACE, **self._environment, **variables},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - a round has no threads
        )

    @property
    def _environment(self) -> dict[str, str]:
        path = os.pathsep.join(map(str, [*([self.setting.package] if self.setting.package else []), _ROOT]))
        return {LOG: str(self.place / "log"), "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}


def _go_on(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
