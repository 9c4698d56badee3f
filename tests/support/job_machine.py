"""A state machine over the real scripts: clients and two workers act in any order, and every call may be made twice."""

import contextlib
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from flowq import ids
from flowq.exceptions import InvalidRunOperation
from flowq.flows.actions import retry
from flowq.plan import RetryPolicy
from flowq.store import Store
from flowq.store.schema.new_jobs import NewJob
from flowq.store.schema.outcomes import Claim, ExecutionReport
from flowq.store.schema.records import Registration
from flowq.store.schema.replies import exchange_arguments, heartbeat_arguments, read_claim, sweep_arguments
from tests.support import graphs, invariants
from tests.support.job_history import ENDED, History
from tests.support.slot_driver import execution

LEASE_MS = 10_000
HOUR_MS = 3_600_000
WAIT_MS = 60_000  # of a retry that waits, and of a job that is created for later
WORKERS = st.sampled_from(["w0", "w1"])
JOBS = st.sampled_from("abcde")
RUNS = st.sampled_from(["machine0", "machine1"])  # as random ids: their jobs are machine0-0, machine0-1, …
EDGES = st.dictionaries(JOBS, st.sampled_from(["success", "success", "ran", "done"]), max_size=3)
SHAPE: graphs.Shape = {"r": [], "s": ["r"], "t": {"r": "failure"}, "u": {"s": "done", "t": "done"}}
RANKS = [3, 1, 2, 3]  # of its jobs
ROUNDS = 100  # of claims and ends until all jobs have ended
_SAME = {b"duplicate": b"done"}  # the answer to a call that was carried out before


class JobMachine(RuleBasedStateMachine):
    """Plain jobs and runs of one namespace, which is emptied at the start."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        store.client.flushall()
        store.open()
        self.store = store
        self.client: Any = store.client  # redis-py annotates its replies for all its modes at once
        self.keys = store.session.keys
        self.history = History()
        self.seen: dict[str, str] = {}  # stream -> the last event that was checked
        self.held: list[tuple[str, Claim]] = []  # with the worker that executes it
        self.old: list[Claim] = []  # executions that were reported, or whose lease ran out
        self.calls = 0

    def call(self, name: str, *arguments: object) -> Any:
        """Call a script. Every second time the reply is lost, and the caller sends the same again."""
        reply = self.store.session.run(name, *arguments)
        self.calls += 1
        if self.calls % 2 and not (before := self.picture()).outbox:  # else any call does a part of that work
            again = self.store.session.run(name, *arguments)
            wanted = [b"not_found"] if (name, reply) == ("job/delete", [b"done"]) else reply
            assert _plain(again) == _plain(wanted), f"{name} answered {_plain(wanted)}, and {_plain(again)} the second time"
            assert self.picture() == before, f"{name} changed something the second time"
        return reply

    # -- clients

    @rule(job=JOBS, edges=EDGES, retries=st.integers(0, 2), later=st.booleans(), unique=st.booleans(), wait=st.booleans())
    def create(self, job: str, edges: dict[str, str], retries: int, later: bool, unique: bool, wait: bool) -> None:
        due = self.store.session.now_ms() + WAIT_MS if later else -1
        fields = {"retry": f"{retries}|{WAIT_MS if wait else 0}|0|0"} if retries else {}
        new = NewJob(job, "default", b"p", ids.nonce(), unique=unique, due_ms=due, parents=list(edges.items()), fields=fields)
        if self.call("job/create", *new.arguments())[0] == b"done":
            self.history.depends(job, edges.items())

    @rule(job=JOBS)
    def cancel(self, job: str) -> None:
        self.call("job/cancel", job, "1", "0", ids.nonce(), "")

    @rule(data=st.data(), job=JOBS, front=st.booleans())
    def requeue(self, data: st.DataObject, job: str, front: bool) -> None:
        ended = [name for name in "abcde" if self.row(name).get("status") in ENDED]
        self.call("job/requeue", data.draw(st.sampled_from(ended)) if ended else job, front, ids.nonce())

    @rule(job=JOBS)
    def delete(self, job: str) -> None:
        while self.call("job/delete", job) == [b"more"]:
            pass

    @rule(run=RUNS)
    def submit_run(self, run: str) -> None:
        plan = graphs.plan(SHAPE, retry=RetryPolicy(1))
        graphs.submit_ranked(self.store, plan, run, RANKS)
        for cell in plan.cells:
            edges = [(f"{run}-{edge.parent}", edge.condition) for edge in cell.parents]
            self.history.depends(f"{run}-{cell.ordinal}", edges)

    @rule(run=RUNS)
    def retry_run(self, run: str) -> None:
        if self.store.runs.get(run):
            with contextlib.suppress(InvalidRunOperation):  # it goes on, or nothing has failed
                retry.plan_retry(self.store, run).apply(self.store)

    @rule(run=RUNS)
    def cancel_run(self, run: str) -> None:
        self.store.runs.cancel(run)

    # -- workers

    @rule(worker=WORKERS, slots=st.integers(1, 3))
    def claim(self, worker: str, slots: int) -> None:
        self.exchange(worker, claims=[ids.nonce() for _ in range(slots)])

    @rule(worker=WORKERS)
    def heartbeat(self, worker: str) -> None:
        own = [claim for name, claim in self.held if name == worker]
        holding = [self.holds(claim) for claim in own]
        registration = Registration(worker, ("default",), "test", 1, lease=LEASE_MS / 1000)
        executions = [(claim.id, claim.token) for claim in own]
        verdicts, *_ = self.call(
            "worker/heartbeat", *heartbeat_arguments(registration, "busy", counters=(0, 0, 0), executions=executions)
        )
        for claim, holds, verdict in zip(own, holding, verdicts, strict=True):
            assert holds == (verdict != b"fenced"), (
                f"{claim.id}: {verdict.decode()}, and it {'holds' if holds else 'has lost'} it"
            )

    @precondition(lambda self: self.held)
    @rule(data=st.data(), outcome=st.sampled_from(["finished", "finished", "failed", "retry"]), claims=st.integers(0, 1))
    def finish(self, data: st.DataObject, outcome: str, claims: int) -> None:
        worker, claim = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        self.report(worker, claim, outcome, claims)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def hand_back(self, data: st.DataObject) -> None:
        _, claim = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        self.call("job/return_claim", claim.id, claim.token)
        self.old.append(claim)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), dead=st.booleans(), worker=WORKERS)
    def lose(self, data: st.DataObject, dead: bool, worker: str) -> None:
        """A worker is not heard of for longer than a lease. It is dead, or frozen and goes on later; another one claims."""
        index = data.draw(st.integers(0, len(self.held) - 1))
        _, claim = self.held[index]
        if self.row(claim.id).get("token") == claim.token:
            self.client.zadd(self.keys("leases"), {claim.id: 1}, xx=True)
        if dead:
            self.old.append(self.held.pop(index)[1])
        self.sweep()
        self.claim(worker, 1)

    @precondition(lambda self: self.old)
    @rule(data=st.data(), worker=WORKERS, outcome=st.sampled_from(["finished", "failed"]))
    def report_late(self, data: st.DataObject, worker: str, outcome: str) -> None:
        self.report(worker, data.draw(st.sampled_from(self.old)), outcome, 0)

    @rule()
    def sweep(self) -> None:
        self.store.session.run("worker/sweep", *sweep_arguments(LEASE_MS, ["default"], punctual=False))

    # -- the server

    @rule(step=st.sampled_from([-HOUR_MS, -5000, 5000, HOUR_MS]))
    def step_clock(self, step: int) -> None:
        """The server's clock is set, by this many ms: every time that is stored is nearer by them."""
        client = self.client
        for key in (self.keys("leases"), self.keys("timers")):
            for item, score in client.zrange(key, 0, -1, withscores=True):
                client.zadd(key, {item: score - step})
        for name in client.zrange(self.keys("registry", "scheduled", "default"), 0, -1):
            client.hincrby(self.keys("job", name.decode()), "due", -step)
        if client.hexists(self.keys("meta"), "served"):
            client.hincrby(self.keys("meta"), "served", -step)

    @rule(what=st.sampled_from(["SCRIPT", "FUNCTION"]))
    def flush(self, what: str) -> None:
        self.client.execute_command(what, "FLUSH")

    # -- rules for all

    @invariant()
    def consistent(self) -> None:
        for stream in ("-", "machine0", "machine1"):
            after = self.seen.get(stream, "-")
            for seq, row in self.client.xrange(self.keys("events", stream), f"({after}" if after != "-" else "-"):
                self.seen[stream] = seq.decode()
                self.history.take({name.decode(): value.decode() for name, value in row.items()})
        invariants.check(self.store)

    def teardown(self) -> None:
        """Let everything end."""
        picture = self.picture()
        for _ in range(ROUNDS):
            self.step_clock(HOUR_MS)
            self.sweep()
            self.claim("w0", 1)
            if self.held:
                self.report(*self.held.pop(), "finished", 0)
            self.consistent()
            picture = self.picture()
            if not self.held and {row["status"] for row in picture.jobs.values()} <= ENDED and not picture.outbox:
                return
        open_jobs = {job: row["status"] for job, row in picture.jobs.items() if row["status"] not in ENDED}
        raise AssertionError(f"these jobs do not end: {open_jobs}, outbox {picture.outbox}")

    # -- helpers

    def exchange(self, worker: str, *ended: ExecutionReport, claims: list[str]) -> list[bytes]:
        """Make a worker's one call per job; return the outcomes."""
        flat = exchange_arguments(worker, LEASE_MS, ["default"], logs=(), ended=ended, claims=claims)
        outcomes, taken, _ = self.call("worker/exchange", *flat)
        self.held += [(worker, claim) for claim in map(read_claim, taken) if claim is not None]
        return list(outcomes.split())

    def report(self, worker: str, claim: Claim, outcome: str, claims: int) -> None:
        """Report an end: it counts if the execution holds its job, or is given back a job that none has begun since."""
        holds, row = self.holds(claim), self.row(claim.id)
        more = {"delay_ms": 0, "max_returns": 1} if outcome == "retry" else {}
        (answer,) = self.exchange(worker, execution(claim, outcome, **more), claims=[ids.nonce() for _ in range(claims)])
        assert (answer == b"done") == holds, f"the end of {claim.token} was answered {answer.decode()}, the job was {row}"
        self.old.append(claim)

    def holds(self, claim: Claim) -> bool:
        """Return whether an execution may end its job."""
        row = self.row(claim.id)
        if row.get("token") != claim.token:
            return False
        lost = row.get("outcome") == "lost" and row["status"] in {"queued", "scheduled"} and row["attempt"] != "0"
        halted = "cancel" in row or (claim.run and self.client.hexists(self.keys("run", claim.run), "cancel"))
        return row["status"] == "started" or (lost and not halted)

    def row(self, job: str) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.client.hgetall(self.keys("job", job)).items()}

    def picture(self) -> invariants.Picture:
        found = invariants.read(self.store.client, self.store.namespace)
        for names in found.satellites.values():
            names.sort()
        return found


def machine(store: Store) -> type[JobMachine]:
    """Return the machine on this store."""

    class OnStore(JobMachine):
        def __init__(self) -> None:
            super().__init__(store)

    return OnStore


def _plain(reply: Any) -> Any:
    """Return a reply without the difference between done now and done before, and without the order of a record's fields."""
    if isinstance(reply, list):
        if len(reply) > 8 and len(reply) % 2:
            return read_claim(reply)
        return [_plain(item) for item in reply]
    return _SAME.get(reply, reply)
