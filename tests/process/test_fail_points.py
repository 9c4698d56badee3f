"""Faults at named points of a job's life: it ends once, its dependent runs once, and a healthy worker recovers it in time.

The points are reached from outside: by the requests that a worker sends through a proxy, and by the job itself.
"""

import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from flowq.plan import RetryPolicy
from flowq.store import Store
from tests.support.job_history import ENDED
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

    def pid(self, name: str) -> int:
        """Return the pid of a process of the first worker."""
        horse = int((self.place / "horse").read_text()) if name in {"horse", "fork server"} else 0
        assert self.worker is not None
        return {"worker": self.worker.process.pid, "horse": horse, "fork server": parent_of(horse) if horse else 0}[name]


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])


Fault = Callable[[Scene], None]


def kill(name: str) -> Fault:
    return lambda scene: os.kill(scene.pid(name), signal.SIGKILL)


def stop(scene: Scene) -> None:
    os.kill(scene.pid("worker"), signal.SIGSTOP)


def nothing(_scene: Scene) -> None:
    """The reply is lost, or the job fails by itself."""


# point -> whether a request has reached it; the points of the job itself are not among them
REQUESTS: dict[str, Callable[[bytes, str], bool]] = {
    "claimed": lambda request, _job: b"worker_exchange" in request,
    "reported": lambda request, job: b"worker_exchange" in request and job.encode() in request and b"finished" in request,
}

CELLS: dict[tuple[str, str], tuple[Fault, int]] = {
    # (point, fault) -> what is done there, and the attempts of `a` at its end
    ("claimed", "lost reply"): (nothing, 1),
    ("claimed", "worker killed"): (kill("worker"), 2),
    ("claimed", "worker stopped"): (stop, 2),
    ("called", "exception"): (nothing, 2),
    ("called", "horse killed"): (kill("horse"), 2),
    ("called", "fork server killed"): (kill("fork server"), 2),
    ("called", "worker killed"): (kill("worker"), 2),
    ("called", "worker stopped"): (stop, 2),
    ("written", "horse killed"): (kill("horse"), 2),
    ("written", "fork server killed"): (kill("fork server"), 2),
    ("written", "worker killed"): (kill("worker"), 2),
    ("written", "worker stopped"): (stop, 2),
    ("reported", "lost reply"): (nothing, 1),
    ("reported", "worker killed"): (kill("worker"), 1),  # the same request claims `b`: that claim is lost
    ("reported", "worker stopped"): (stop, 1),
}
QUICK = {("claimed", "worker killed"), ("called", "exception"), ("called", "fork server killed"), ("written", "horse killed")}
QUICK |= {("claimed", "lost reply"), ("called", "worker stopped"), ("reported", "lost reply"), ("reported", "worker killed")}


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
        "called": f"echo $PPID > horse; touch reached; {'exit 1' if fault == 'exception' else wait}",
        "written": f"echo done=1 > $FLOWQ_OUTPUT; echo $PPID > horse; touch reached; {wait}",
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
    act, attempts = CELLS[point, fault]
    claims_of_b = 2 if point == "reported" and fault != "lost reply" else 1
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
        if point not in REQUESTS or reached.is_set() or not REQUESTS[point](scene.proxy.request, f"{run}-0"):
            return False
        started.wait(10)  # the test knows the worker's pid
        reached.set()
        act(scene)
        return fault == "lost reply"

    scene = Scene(run, proxies(at), tmp_path)
    with WorkerProcess(scene.proxy.url, *WORKER) as scene.worker:
        started.set()
        if point in REQUESTS:
            assert reached.wait(20), "the point was not reached"
        else:
            until((tmp_path / "reached").exists, timeout=20)
            act(scene)
        with WorkerProcess(server.url, *WORKER) as other:
            until(lambda: speaks(store, other.process.pid, 0), timeout=20)
            ended(store, run, timeout=RECOVERY)
            if fault == "worker stopped":
                (tmp_path / "go").touch()
                scene.worker.signal(signal.SIGCONT)
                since, pid = store.session.now_ms(), scene.pid("worker")
                until(lambda: speaks(store, pid, since), message="the stopped worker to go on")
        a, b = ended(store, run)
    assert (a.status, a.attempt, b.status, b.attempt) == ("finished", attempts, "finished", claims_of_b)
    assert (tmp_path / "b").read_text() == "b\n"
    ends = Counter(event.job for event in store.runs.events(run) if event.new in ENDED and event.job)
    assert ends == {a.id: 1, b.id: 1}


def speaks(store: Store, pid: int, since: int) -> bool:
    """Return whether a worker has sent a heartbeat after its start and after `since`, in ms of the server."""
    return any(worker.pid == pid and worker.beat_ms > max(worker.started_ms, since) for worker in store.workers.live())
