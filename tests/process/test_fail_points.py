"""Faults at named points of a job's life: it ends once, its dependent runs once, and a healthy worker recovers it in time.

The points are reached from outside: by the requests that a worker sends through a proxy, and by the job itself.
"""

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from flowq.plan import RetryPolicy
from flowq.store import Store
from tests.chaos import mutants
from tests.chaos.mutants import Mutant
from tests.support.job_history import ENDED
from tests.support.pids import children_of
from tests.support.proxy import Proxy
from tests.support.server import PrivateServer
from tests.support.wait import until
from tests.support.workers import WorkerProcess, ended, flow, node, script, start

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds its victims in /proc")

LEASE = 1.0
WORKER = ("--lease", str(LEASE), "--log-level", "warning")
RECOVERY = LEASE + 2.0  # s, from the fault's end on


@dataclass
class Scene:
    """A worker behind a proxy, with a run of `a` and of `b`, which depends on it."""

    run: str
    proxy: Proxy
    place: Path
    worker: WorkerProcess | None = None

    def pids(self, name: str) -> list[int]:
        """Return the pids of the processes of the first worker that have this name: of the job, or before it those that wait for it."""
        assert self.worker is not None
        if name == "worker":
            return [self.worker.process.pid]
        if (known := self.place / "horse").exists():
            horse = int(known.read_text())
            return [horse if name == "horse" else parent_of(horse)]
        servers = children_of(self.worker.process.pid)
        return servers if name == "fork server" else [horse for server in servers for horse in children_of(server)]


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])


Fault = Callable[[Scene], None]


def kill(name: str) -> Fault:
    return lambda scene: send(scene, name, signal.SIGKILL)


def stop(scene: Scene) -> None:
    send(scene, "worker", signal.SIGSTOP)


def send(scene: Scene, name: str, number: int) -> None:
    for pid in until(lambda: scene.pids(name), message=f"a {name}"):
        os.kill(pid, number)


def nothing(_scene: Scene) -> None:
    """The request or its reply is lost, or the job fails by itself."""


# point -> whether a request is there; the points of the job itself are not among them
REQUESTS: dict[str, Callable[[bytes, str], bool]] = {
    "claim": lambda request, _job: b"worker_exchange" in request,
    "report": lambda request, job: b"worker_exchange" in request and job.encode() in request and b"finished" in request,
}
UNSENT = {"claim unsent", "report unsent"}
"""Points at which the request does not leave. At the others of a request it is carried out, and its reply arrives unless it is lost."""

CELLS: dict[tuple[str, str], tuple[Fault, int]] = {
    # (point, fault) -> what is done there, and the attempts of `a` at its end
    ("claim unsent", "lost request"): (nothing, 1),
    ("claim unsent", "worker killed"): (kill("worker"), 1),
    ("claim unsent", "worker stopped"): (stop, 1),
    ("claim", "lost reply"): (nothing, 1),
    ("claim", "horse killed"): (kill("horse"), 1),  # the one that waits for the task
    ("claim", "fork server killed"): (kill("fork server"), 1),
    ("claim", "worker killed"): (kill("worker"), 2),
    ("claim", "worker stopped"): (stop, 2),
    ("called", "exception"): (nothing, 2),
    ("called", "horse killed"): (kill("horse"), 2),
    ("called", "fork server killed"): (kill("fork server"), 2),
    ("called", "worker killed"): (kill("worker"), 2),
    ("called", "worker stopped"): (stop, 2),
    ("written", "horse killed"): (kill("horse"), 2),
    ("written", "fork server killed"): (kill("fork server"), 2),
    ("written", "worker killed"): (kill("worker"), 2),
    ("written", "worker stopped"): (stop, 2),
    ("report unsent", "lost request"): (nothing, 1),
    ("report unsent", "worker killed"): (kill("worker"), 2),
    ("report unsent", "worker stopped"): (stop, 2),
    ("report", "lost reply"): (nothing, 1),
    ("report", "worker killed"): (kill("worker"), 1),  # the same request claims `b`: that claim is lost
    ("report", "worker stopped"): (stop, 1),
}
QUICK = {("claim", "worker killed"), ("called", "exception"), ("called", "fork server killed"), ("written", "horse killed")}
QUICK |= {("claim", "horse killed"), ("called", "worker stopped"), ("report", "lost reply"), ("report", "worker killed")}
QUICK |= {("claim unsent", "lost request"), ("report unsent", "worker killed")}


@pytest.fixture
def proxies(server: PrivateServer) -> Iterator[Callable[[Callable[[int], bool]], Proxy]]:
    made: list[Proxy] = []

    def make(lose_reply: Callable[[int], bool]) -> Proxy:
        made.append(Proxy(server.socket, lose_reply))
        return made[-1]

    yield make
    for proxy in made:
        proxy.close()


def job(place: Path, point: str, fault: str) -> str:
    """Return the script of `a`: at its first attempt it waits at the points that are its own."""
    wait = "while [ ! -e go ]; do sleep 0.02; done"
    first = {
        "called": f"echo $$ > horse; touch reached; {'exit 1' if fault == 'exception' else wait}",
        "written": f"echo done=1 > $FLOWQ_OUTPUT; echo $$ > horse; touch reached; {wait}",
    }
    return f"cd {place}; [ $FLOWQ_ATTEMPT = 2 ] || {{ {first.get(point, ':')}; }}; echo end >> ends"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("point", "fault"), [pytest.param(*cell, marks=[] if cell in QUICK else [pytest.mark.chaos]) for cell in CELLS]
)
def test_a_job_ends_once(
    store: Store,
    server: PrivateServer,
    proxies: Callable[[Callable[[int], bool]], Proxy],
    tmp_path: Path,
    point: str,
    fault: str,
) -> None:
    play(store, server, proxies, tmp_path, (point, fault))


NOT_REPEATED = Mutant("store/lua/job/claim.lua", "  if again then return again end\n", "", ())
ONE_TOO_FEW = Mutant("store/lua/lib/retry.lua", "if attempt > max or", "if attempt >= max or", ())
KILLED_WELL = Mutant(
    "worker/horse/shell.py",  # a process of a job with `run` is its command
    'return failed("killed", killed_text(-code), exit_code=128 - code)',
    'return {"outcome": "finished", "value": b"null", "exit_code": 0}',
    (),
)
MISTAKES: dict[tuple[str, str], Mutant] = {
    # a cell -> a mistake that it must find: one at least for each point
    ("claim unsent", "lost request"): mutants.MUTANTS["lost outbox"],
    ("claim", "lost reply"): NOT_REPEATED,
    ("claim", "worker killed"): mutants.MUTANTS["no lease expires"],
    ("called", "exception"): ONE_TOO_FEW,
    ("called", "horse killed"): KILLED_WELL,
    ("written", "horse killed"): KILLED_WELL,
    ("written", "worker stopped"): mutants.MUTANTS["no lease expires"],
    ("report unsent", "worker killed"): mutants.MUTANTS["no lease expires"],
    ("report", "lost reply"): mutants.MUTANTS["a report counts twice"],
}


@pytest.mark.chaos
@pytest.mark.parametrize(("point", "fault"), MISTAKES)
def test_a_mistake_at_each_point_is_found(
    store: Store,
    server: PrivateServer,
    proxies: Callable[[Callable[[int], bool]], Proxy],
    tmp_path: Path,
    point: str,
    fault: str,
) -> None:
    package = mutants.seed(MISTAKES[point, fault], tmp_path / "mutant")
    with pytest.raises((AssertionError, subprocess.TimeoutExpired)):
        play(store, server, proxies, tmp_path, (point, fault), PYTHONPATH=str(package), PYTHONSAFEPATH="1")
    store.client.flushall()
    store.open()


def play(
    store: Store,
    server: PrivateServer,
    proxies: Callable[[Callable[[int], bool]], Proxy],
    tmp_path: Path,
    cell: tuple[str, str],
    **env: str,
) -> None:
    """Play a cell with workers that have these variables, and check its end."""
    point, fault = cell
    act, attempts = CELLS[point, fault]
    claims_of_b = 2 if point == "report" and fault != "lost reply" else 1
    requested = REQUESTS.get(point.removesuffix(" unsent"))
    text = job(tmp_path, point, fault)
    plan = flow(
        node("a", script(text), retry=RetryPolicy(1)),
        node("b", script(f"echo b >> {tmp_path}/b"), retry=RetryPolicy(1)),
        edges={"b": {"a": "success"}},
    )
    run = start(store, plan, tmp_path)
    reached = threading.Event()
    started = threading.Event()

    def at(_number: int) -> bool:
        if requested is None or reached.is_set() or not requested(scene.proxy.request, f"{run}-0"):
            return False
        started.wait(10)  # the test knows the worker's pid
        reached.set()
        act(scene)
        if point in UNSENT:
            raise ConnectionAbortedError  # the request is not forwarded
        return fault == "lost reply"

    scene = Scene(run, proxies(at), tmp_path)
    with WorkerProcess(scene.proxy.url, *WORKER, env=env) as scene.worker:
        started.set()
        if requested is not None:
            assert reached.wait(20), "the point was not reached"
        else:
            until((tmp_path / "reached").exists, timeout=20)
            act(scene)
        with WorkerProcess(server.url, *WORKER, env=env) as other:
            until(lambda: speaks(store, other.process.pid, 0), timeout=20)
            ended(store, run, timeout=RECOVERY)
            if fault == "worker stopped":
                (tmp_path / "go").touch()
                scene.worker.signal(signal.SIGCONT)
                since, pid = store.session.now_ms(), scene.worker.process.pid
                until(lambda: speaks(store, pid, since), message="the stopped worker to go on")
        a, b = ended(store, run)
    assert (a.status, a.attempt, b.status, b.attempt) == ("finished", attempts, "finished", claims_of_b)
    assert (tmp_path / "b").read_text() == "b\n"
    ends = Counter(event.job for event in store.runs.events(run) if event.new in ENDED and event.job)
    assert ends == {a.id: 1, b.id: 1}


def speaks(store: Store, pid: int, since: int) -> bool:
    """Return whether a worker has sent a heartbeat after its start and after `since`, in ms of the server."""
    return any(worker.pid == pid and worker.beat_ms > max(worker.started_ms, since) for worker in store.workers.live())
