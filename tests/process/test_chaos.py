"""Long sweeps: workers, horses and fork servers are killed at random moments of a real flow, which must end correctly."""

import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest

from flowq.plan import RetryPolicy
from flowq.store import Store
from tests.support.server import PrivateServer
from tests.support.supervisor_stub import survivors
from tests.support.workers import WorkerProcess, flow, node, records, script, start

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform != "linux", reason="finds its victims in /proc"),
]


@pytest.mark.parametrize("seed", range(4))
def test_a_flow_ends_correctly_whichever_process_is_killed(
    store: Store, server: PrivateServer, tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    width, depth = 4, 40
    nodes, edges = [], {}
    for level in range(depth):
        for lane in range(width):
            name = f"n{level}-{lane}"
            text = f"echo {name} $FLOWQ_EXECUTION start >> {tmp_path}/log; sleep 0.0{dice.randrange(10)}; echo {name} end >> {tmp_path}/log"
            nodes.append(node(name, script(text), retry=RetryPolicy(60)))
            if level:
                edges[name] = {f"n{level - 1}-{(lane + step) % width}": "success" for step in range(2)}
    run = start(store, flow(*nodes, edges=edges), tmp_path)
    workers = [new_worker(server) for _ in range(2)]
    deadline = time.monotonic() + 240
    try:
        while not store.runs.require(run).ended:
            assert time.monotonic() < deadline, "the flow does not come to its end"
            time.sleep(dice.uniform(0.05, 0.5))  # the moments of the kills are the random input of this test
            victim = dice.randrange(len(workers))
            match dice.randrange(4):
                case 0:
                    workers[victim].process.kill()
                case 1:
                    workers[victim].signal(signal.SIGTERM)
                case _:
                    kill_one_of(workers[victim], dice)
            if workers[victim].process.poll() is not None or dice.random() < 0.1:
                workers[victim].__exit__()
                workers[victim] = new_worker(server)
    finally:
        for worker in workers:
            worker.__exit__()
    assert {job.status for job in records(store, run)} == {"finished"}
    check_order((tmp_path / "log").read_text().splitlines(), edges)


def new_worker(server: PrivateServer) -> WorkerProcess:
    return WorkerProcess(server.url, "-c", "2", "--lease", "1", "--log-level", "warning")


def kill_one_of(worker: WorkerProcess, dice: random.Random) -> None:
    """Kill a random process of a worker: itself, its fork server, a horse or a script."""
    pids = survivors(worker.mark)
    if pids:
        try:
            os.kill(dice.choice(pids), signal.SIGKILL)
        except ProcessLookupError:
            return


def check_order(lines: list[str], edges: dict[str, dict[str, str]]) -> None:
    """Assert that each job started after a complete execution of each of its parents."""
    done = set()
    for line in lines:
        name, _, what = line.partition(" ")
        if what == "end":
            done.add(name)
        else:
            assert set(edges.get(name, {})) <= done, f"{name} started too early"
