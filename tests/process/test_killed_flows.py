"""A fault at any call to the server: of a worker that expands, releases and executes, of a command that submits or resets a run.

The victim talks to the server through a proxy that counts its calls. At the n-th call the victim is killed or stopped, or only its
connection breaks, and the call is executed or not; another process, connected directly, continues. `tests/store/test_killed_runs.py` does the same for single transitions, without
processes.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from flowq.compiler import compile_text
from flowq.flows.actions.retry import plan_retry
from flowq.flows.actions.submit import submit
from flowq.plan import Plan
from flowq.store import Store
from tests.cli.process import Process
from tests.support import graphs, invariants
from tests.support.proxy import Proxy
from tests.support.server import PrivateServer
from tests.support.wait import until
from tests.support.workers import WorkerProcess

ITEMS = 120  # items of the foreach: more than one step creates
RUN = "killed00"
MODULE = """
def numbers(n):
    return list(range(n))

def work(item, attempt):
    if item == 77 and attempt == 1:
        raise RuntimeError("as asked")
    return item
"""
FLOW = f"""
concurrency: {{group: one-at-a-time}}
defaults: {{retry: {{max: 20, on: [abandoned]}}}}
jobs:
  list: {{call: 'killed_jobs:numbers', args: [{ITEMS}]}}
  each: {{depends_on: list, foreach: jobs.list.result, max_parallel: 20, call: 'killed_jobs:work', args: ["${{{{ item }}}}", "${{{{ run.attempt }}}}"]}}
  grid: {{depends_on: list, matrix: {{a: [1, 2, 3], b: [x, y]}}, if: matrix.a < 3, run: 'true'}}
  after: {{depends_on: {{each: success, grid: ok}}, run: 'true'}}
  repair: {{depends_on: {{each: failure}}, run: 'true'}}
on_failure: {{page: {{run: 'true'}}}}
on_exit: {{clean: {{run: 'true'}}}}
"""
COMMON = {
    "list": "finished",
    **{f"each[{n}]": "finished" for n in range(ITEMS)},
    **{f"grid[a={a},b={b}]": "finished" if a < 3 else "skipped/if_false" for a in (1, 2, 3) for b in "xy"},
    "on_exit/clean": "finished",
}
FAILED = COMMON | {
    "each[77]": "failed/error", "after": "skipped/upstream_failed", "repair": "finished", "on_failure/page": "finished",
}  # fmt: skip
FINISHED = COMMON | {"after": "finished", "repair": "skipped/upstream_finished", "on_failure/page": "skipped/not_selected"}


class Killer:
    """A proxy that sends its victim a signal at call number `at`, or none, and drops the call or its reply; `fired`: whether it did."""

    def __init__(self, server: PrivateServer, at: int, *, carried_out: bool, signal: int | None = signal.SIGKILL) -> None:
        self.victim: int | None = None
        self.signal = signal
        self.fired = False
        self._at, self._carried_out = at, carried_out
        self.proxy = Proxy(server.socket, self._call)

    def _call(self, number: int) -> bool:
        if number != self._at:
            return False
        until(lambda: self.victim is not None)
        assert self.victim is not None
        if self.signal is not None:
            os.kill(self.victim, self.signal)
        self.fired = True
        if not self._carried_out:
            raise ConnectionAbortedError  # the call is not forwarded
        return True

    def close(self) -> None:
        self.proxy.close()


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    (tmp_path / "killed_jobs.py").write_text(MODULE)
    compiled = compile_text(FLOW, file=str(tmp_path / "flow.yaml")).plan
    assert compiled is not None
    return compiled


def ended(store: Store) -> dict[str, str]:
    until(lambda: store.runs.require(RUN).ended, timeout=60, message="the run to end")
    invariants.check(store)
    return graphs.statuses(store, RUN)


def story(store: Store, server: PrivateServer, plan: Plan, directory: Path, killer: Killer) -> None:
    """Run the flow, then retry it; the first worker meets a fault on the way, and a second one continues."""
    submit(store, plan, directory=directory, run_id=RUN)
    with WorkerProcess(killer.proxy.url, "default", "-c", "2", "--lease", "1", "--log-level", "error") as first:
        killer.victim = first.process.pid
        until(lambda: killer.fired or store.runs.require(RUN).ended, timeout=60)
        if killer.signal is not None:  # else the worker goes on, and changes what is being read
            invariants.check(store)
        with WorkerProcess(server.url, "default", "-c", "2", "--lease", "1", "--log-level", "error"):
            assert ended(store) == FAILED
            first.signal(signal.SIGCONT)  # a stopped worker goes on, and finds that its jobs were given to the other one
            plan_retry(store, RUN).apply(store)
            assert ended(store) == FINISHED
    assert store.semaphores.holders("run/one-at-a-time") == []
    counts = store.runs.require(RUN).counts
    assert sum(counts.values()) == len(FINISHED)


@pytest.mark.slow
@pytest.mark.parametrize(("at", "carried_out"), [(4, True), (7, False), (11, True), (18, False)])
def test_a_worker_is_killed(
    store: Store, server: PrivateServer, plan: Plan, tmp_path: Path, at: int, carried_out: bool
) -> None:
    killer = Killer(server, at, carried_out=carried_out)
    try:
        story(store, server, plan, tmp_path, killer)
        assert killer.fired
    finally:
        killer.close()


@pytest.mark.chaos
@pytest.mark.timeout(300)
@pytest.mark.parametrize("carried_out", [True, False], ids=["after", "before"])
@pytest.mark.parametrize("at", range(1, 60))
def test_a_worker_is_killed_at_every_call(
    store: Store, server: PrivateServer, plan: Plan, tmp_path: Path, at: int, carried_out: bool
) -> None:
    killer = Killer(server, at, carried_out=carried_out)
    try:
        story(store, server, plan, tmp_path, killer)
    finally:
        killer.close()


@pytest.mark.parametrize(
    ("at", "number", "carried_out"),
    [
        pytest.param(11, signal.SIGSTOP, True, marks=pytest.mark.slow),
        *(
            pytest.param(at, number, carried_out, marks=[pytest.mark.chaos, pytest.mark.timeout(300)])
            for at in range(1, 60, 2)
            for number in (signal.SIGSTOP, None)
            for carried_out in (True, False)
            if (at, number, carried_out) != (11, signal.SIGSTOP, True)
        ),
    ],
)
def test_a_worker_is_stopped_or_loses_a_call(
    store: Store, server: PrivateServer, plan: Plan, tmp_path: Path, at: int, number: int | None, carried_out: bool
) -> None:
    """It is stopped for longer than its lease; or the call or its reply is lost, and the worker sends the call again."""
    killer = Killer(server, at, carried_out=carried_out, signal=number)
    try:
        story(store, server, plan, tmp_path, killer)
    finally:
        killer.close()


# -- commands ------------------------------------------------------------------------------------------------------------------

SWEEPS = [
    pytest.param((220, 3), marks=pytest.mark.slow),
    pytest.param((1200, 1), marks=[pytest.mark.chaos, pytest.mark.timeout(600)]),
]
"""How many jobs a run has, and at every how many calls the command is killed."""


@pytest.fixture(params=SWEEPS, ids=["some calls", "every call"])
def sweep(request: pytest.FixtureRequest) -> tuple[int, int]:
    found: tuple[int, int] = request.param
    return found


@pytest.fixture
def many(tmp_path: Path, sweep: tuple[int, int]) -> Path:
    flow = tmp_path / "many.yaml"
    values = ", ".join(map(str, range(sweep[0])))
    flow.write_text(f"jobs:\n  a: {{matrix: {{n: [{values}]}}, run: 'true'}}\n  b: {{depends_on: a, run: 'true'}}\n")
    return flow


def command(url: str, directory: Path, *arguments: str) -> Process:
    return Process(*arguments, cwd=directory, env={"FLOWQ_REDIS_URL": url, "FLOWQ_NAMESPACE": "flowq-test"})


def killed(killer: Killer, directory: Path, *arguments: str) -> bool:
    """Run a command that is killed at its call; return whether it was killed."""
    process = command(killer.proxy.url, directory, *arguments)
    try:
        killer.victim = process.pid
        process.wait(60)
        assert (process.code == -signal.SIGKILL) == killer.fired, process.err
        return killer.fired
    finally:
        process.end()


@contextmanager
def stopped(worker: WorkerProcess, store: Store) -> Iterator[None]:
    """Stop a worker while what it changes is read with many requests."""
    worker.pause()
    store.client.ping()  # what it had sent is executed
    yield
    worker.signal(signal.SIGCONT)


def again(server: PrivateServer, directory: Path, *arguments: str) -> tuple[int, str]:
    process = command(server.url, directory, *arguments)
    try:
        return process.wait(60), process.err
    finally:
        process.end()


@pytest.fixture(params=[True, False], ids=["after", "before"])
def killers(request: pytest.FixtureRequest, server: PrivateServer, sweep: tuple[int, int]) -> Iterator[Killer]:
    """Killers for consecutive calls; each is closed when the next one is requested."""

    def one_after_the_other() -> Iterator[Killer]:
        for at in range(2 if sweep[1] > 1 else 1, 60, sweep[1]):
            killer = Killer(server, at, carried_out=request.param)
            try:
                yield killer
            finally:
                killer.close()

    return one_after_the_other()


def test_a_command_that_submits_is_stopped_while_the_same_runs_again(
    store: Store, server: PrivateServer, many: Path, sweep: tuple[int, int]
) -> None:
    """It goes on when the other one has submitted the run: the run is there once, whole, and both say so."""
    submission = ("run", str(many), "--detach", "--run-id", RUN)
    for at in range(2, 20, 2 * sweep[1]):
        store.client.flushall()
        store.open()
        killer = Killer(server, at, carried_out=True, signal=signal.SIGSTOP)
        process = command(killer.proxy.url, many.parent, *submission)
        try:
            killer.victim = process.pid
            until(lambda: killer.fired or process.code is not None, timeout=60)  # noqa: B023 - it is called here
            assert again(server, many.parent, *submission)[0] == 0
            if killer.fired:
                os.kill(process.pid, signal.SIGCONT)
            assert process.wait(60) == 0, process.err
        finally:
            process.end()
            killer.close()
        assert len(graphs.statuses(store, RUN)) == sweep[0] + 1
        assert store.runs.recent() == [RUN]
        invariants.check(store)
        if not killer.fired:
            break


def test_a_command_that_submits_is_killed(
    store: Store, server: PrivateServer, many: Path, sweep: tuple[int, int], killers: Iterator[Killer]
) -> None:
    """The run is stored completely or not at all; the same command again submits it once."""
    submission = ("run", str(many), "--detach", "--run-id", RUN)
    fired = 0
    for killer in killers:
        store.client.flushall()
        store.open()
        if not killed(killer, many.parent, *submission):
            break
        fired += 1
        invariants.check(store)
        there = store.runs.get(RUN)
        if there is not None:
            assert len(graphs.statuses(store, RUN)) == sweep[0] + 1
        assert again(server, many.parent, *submission)[0] == 0
        assert len(graphs.statuses(store, RUN)) == sweep[0] + 1
        assert store.runs.recent() == [RUN]
        invariants.check(store)
    assert fired > (1 if sweep[1] > 1 else 5), "several chunks, and the flip"


def test_a_command_that_resets_is_killed(
    store: Store, server: PrivateServer, many: Path, sweep: tuple[int, int], killers: Iterator[Killer]
) -> None:
    """The retry has taken effect completely, or not at all and can be repeated."""
    plan = compile_text(many.read_text(), file=str(many)).plan
    assert plan is not None
    fired = 0
    for killer in killers:
        store.client.flushall()
        store.open()
        submit(store, plan, directory=many.parent, run_id=RUN)
        store.runs.cancel(RUN)
        with WorkerProcess(server.url, "unused-queue", "--log-level", "error") as worker:
            until(lambda: store.runs.require(RUN).ended, timeout=30)
            if not killed(killer, many.parent, "retry", RUN, "--failed", "--detach"):
                break
            fired += 1
            with stopped(worker, store):  # its sweeps continue a retry that has taken effect
                invariants.check(store)
            first = store.runs.require(RUN)
            assert (first.attempt, first.ended) in {(1, True), (2, False)}
            code, error = again(server, many.parent, "retry", RUN, "--failed", "--detach")
            assert code == (0 if first.attempt == 1 else 2), error
            until(lambda: list(graphs.statuses(store, RUN).values()) == ["queued"] * sweep[0] + ["deferred"], timeout=30)
            assert store.runs.require(RUN).attempt == 2
            invariants.check(store)
    assert fired > (0 if sweep[1] > 1 else 3)


def test_the_proxy_kills_before_and_after(server: PrivateServer, store: Store) -> None:
    """Check the proxy: the tests above prove nothing if the call is executed in both cases."""
    for carried_out in (True, False):
        key = f"{{{store.namespace}}}:probe-{carried_out}"
        killer = Killer(server, 1, carried_out=carried_out)
        script = f"import redis; redis.Redis(unix_socket_path={killer.proxy.path!r}).eval(\"redis.call('SET', KEYS[1], 1)\", 1, {key!r})"
        with subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL) as victim:
            killer.victim = victim.pid
            victim.wait(20)
        if carried_out:
            until(partial(store.client.exists, key), message="the call to be forwarded")
        killer.close()
        assert bool(store.client.exists(key)) == carried_out
    store.client.flushall()
    store.open()
