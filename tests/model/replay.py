"""Traces of the model on the real scripts: after every call the store must have the state of the model.

Follow-up work is never done by the script that makes it: it goes to the outbox, and one call decides one edge of it, as in the model.
"""

import random
import re
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

from flowq import ids
from flowq.flows.actions import retry
from flowq.plan import Concurrency, RetryPolicy
from flowq.store import Store
from flowq.store.client import scripts
from flowq.store.schema.new_jobs import NewJob
from flowq.store.schema.outcomes import BeatReply, ExchangeReply, ExecutionReport
from tests.model.explore import Explored
from tests.model.state import ABSENT, ADMIT, HOLDING, Call, Job, Shape, State
from tests.model.transitions import Model
from tests.support import budgets, graphs
from tests.support.slot_driver import Driver

QUEUE = "default"
LIMIT = "job/model"  # the name of the limit in the store
HOUR = 3600.0
STEPS = 100  # of a walk over at most four jobs
Edit = tuple[str, str, str]  # a Lua file, a text in it, the text in its place


class DiffersError(AssertionError):
    """A state or an answer of the store that is not that of the model."""


def edited(*edits: Edit, steps: bool = False) -> AbstractContextManager[None]:
    """Seed mistakes in the Lua. `steps`: all follow-up work is left in the outbox."""
    for name, old, _new in edits:
        assert scripts._text(name).count(old) == 1, f"{name} does not contain {old!r} once"

    def edit(name: str, text: str) -> str:
        for _, old, new in (edit for edit in edits if edit[0] == name):
            text = text.replace(old, new)
        return re.sub(r"L\.(drain|spread)\(\d+\)", r"L.\1(0)", text) if steps else text

    return budgets.edited(edit)


def single_steps(*edits: Edit) -> AbstractContextManager[None]:
    """Let scripts leave all follow-up work in the outbox; `edits` seed mistakes in the Lua."""
    return edited(*edits, steps=True)


class Replay:
    """The jobs of one graph in a store that was emptied before."""

    def __init__(self, store: Store, shape: Shape) -> None:
        store.client.flushall()
        store.open()
        self.store, self.shape = store, shape
        self.tokens: list[list[str]] = [[] for _ in range(shape.jobs)]
        self.deleted = [""] * shape.jobs  # the latest token of a deleted record
        self.nonce = ""  # of the latest claim
        self.run = "" if shape.plain else self._submit()
        self.ids = [f"plain{job}" if shape.plain else ids.member_id(self.run, job) for job in range(shape.jobs)]
        self.driver = Driver(store, lease=HOUR)

    def close(self) -> None:
        self.driver.close()

    def _submit(self) -> str:
        jobs = {
            f"j{job}": {f"j{p}": condition for p, child, condition in self.shape.edges if child == job}
            for job in range(self.shape.jobs)
        }
        wait = HOUR if self.shape.waits else 0.0
        limits = {"concurrency": Concurrency("model", self.shape.limit)} if self.shape.limit else {}
        run = graphs.run(self.store, jobs, retry=RetryPolicy(self.shape.retries, (wait,)), **limits)
        self._walk()
        return run

    def _walk(self) -> None:
        """Finish the walks of a start or a retry, which are one step of the model."""
        for _ in range(STEPS):
            if not self.store.client.llen(self.store.session.keys("outbox")):
                return
            self.store.session.run("job/release_dependents", 1)
        raise DiffersError("a walk over the jobs of the run does not end")

    # -- calls ----------------------------------------------------------------------------------------------------------------

    def call(self, call: Call) -> str:
        """Make a call; return its answer in the words of the model."""
        answer: str = getattr(self, "_" + call.name.rpartition("/")[2])(call)
        return answer

    def _claim(self, call: Call) -> str:
        if call.job < 0:
            self.nonce = ids.nonce()
        self.driver.link.exchange([QUEUE], claims=[self.nonce])
        answer = self.driver.reply()
        assert isinstance(answer, ExchangeReply)
        (claim,) = answer.claims
        if claim is None:
            return "none"
        known = self.tokens[self.ids.index(claim.id)]
        if claim.token in known:
            return "same"
        known.append(claim.token)
        return "done"

    def _token(self, call: Call) -> str:
        return self.tokens[call.job][call.execution - 1] if call.execution else self.deleted[call.job]

    def _finish(self, call: Call) -> str:
        reason = {"failed": "error"}.get(call.outcome, "")
        value = b"null" if call.outcome == "finished" else b"boom"
        report = ExecutionReport(self.ids[call.job], self._token(call), call.outcome, reason=reason, value=value)
        return str(self.driver.step(report).ended[0])

    def _heartbeat(self, call: Call) -> str:
        self.driver.link.heartbeat(self.driver.registration, "busy", [(self.ids[call.job], self._token(call))])
        answer = self.driver.reply()
        assert isinstance(answer, BeatReply)
        return str(answer.verdicts[0])

    def _return_claim(self, call: Call) -> str:
        return self._run("job/return_claim", self.ids[call.job], self._token(call))

    def _reap_expired_lease(self, call: Call) -> str:
        if call.outcome:
            return self._run(call.name, self.ids[call.job])
        self._expire("leases", self.ids[call.job])
        return "done" if self.driver.tick().reaped == 1 else "wrong_state"

    def _promote_scheduled(self, call: Call) -> str:
        self.store.client.hset(self.store.session.keys("job", self.ids[call.job]), "due", 1)
        self._expire("timers", "promote|" + self.ids[call.job])
        return "done" if self.driver.tick().due == 1 else "wrong_state"

    def _release_dependents(self, call: Call) -> str:
        self.store.session.run(call.name, 1)
        return "done"

    def _cancel(self, call: Call) -> str:
        return self._run(call.name, self.ids[call.job], "1", "0", ids.nonce(), "")

    def _create(self, call: Call) -> str:
        new = NewJob(
            self.ids[call.job], QUEUE, b"work", ids.nonce(), unique=True, fields={"retry": f"{self.shape.retries}|0|0|0"}
        )
        return str(self.store.jobs.create(new)[0])

    def _delete(self, call: Call) -> str:
        if self.tokens[call.job]:
            self.deleted[call.job] = self.tokens[call.job][-1]
        self.tokens[call.job] = []
        return str(self.store.jobs.delete(self.ids[call.job]))

    def _requeue(self, call: Call) -> str:
        return str(self.store.jobs.requeue(self.ids[call.job]))

    def _retry(self, _call: Call) -> str:
        retry.plan_retry(self.store, self.run).apply(self.store)
        self._walk()
        return "done"

    def _run(self, name: str, *arguments: object) -> str:
        answer: str = self.store.session.run(name, *arguments)[0].decode()
        return answer

    def _expire(self, name: str, member: str) -> None:
        self.store.client.zadd(self.store.session.keys(name), {member: 1}, xx=True)

    # -- comparison -----------------------------------------------------------------------------------------------------------

    def differences(self, state: State) -> list[str]:
        """Return what is not in the store as it is in the model."""
        keys = self.store.session.keys
        pipe = self.store.client.pipeline(transaction=False)
        for name in self.ids:
            pipe.hgetall(keys("job", name))
            pipe.hgetall(keys("ledger", name))
        pipe.zrange(keys("queue", QUEUE), 0, -1)
        pipe.lrange(keys("outbox"), 0, -1)
        for place in (keys("leases"), keys("waiters", LIMIT), keys("holders", LIMIT)):
            pipe.zrange(place, 0, -1)
        *records, queue, outbox, leases, waiters, holders = pipe.execute()
        problems = []
        for number, job in enumerate(state.jobs):
            record, ledger = (_texts(row) for row in records[2 * number : 2 * number + 2])
            problems += self._of_job(number, job, record, ledger)
        wanted = {
            "queue": ([self.ids[job] for job in state.queue], _names(queue)),
            "outbox": ([self._entry(*entry) for entry in state.outbox], _names(outbox)),
            "list of waiting jobs": ([self.ids[job] for job in state.waiters], _names(waiters)),
            "leases": (
                sorted(self.ids[n] for n, job in enumerate(state.jobs) if job.status == "started"),
                sorted(_names(leases)),
            ),
        }
        if self.shape.limit:
            limited = sorted(self.ids[n] for n, job in enumerate(state.jobs) if job.status in HOLDING)
            wanted["list of places"] = (limited, sorted(_names(holders)))
        return problems + [
            f"{name} is {found}, in the model {model}" for name, (model, found) in wanted.items() if model != found
        ]

    def _entry(self, job: int, cursor: int) -> str:
        return f"admit|{LIMIT}|0" if (job, cursor) == ADMIT else f"edges|{self.ids[job]}|{cursor}"

    def _of_job(self, number: int, job: Job, record: dict[str, str], ledger: dict[str, str]) -> list[str]:
        tokens = self.tokens[number]
        latest = len(job.executions)
        wanted: dict[str, object] = {"status": job.status, "attempt": job.attempt, "executions": latest}
        found: dict[str, object] = {
            "status": record.get("status", ABSENT),
            "attempt": int(record.get("attempt", 0)),
            "executions": int(record.get("token", "0").partition("-")[0]),
        }
        if job.executions:
            wanted |= {"outcome": job.executions[-1], "ledger": list(job.executions[:-1])}
            found |= {"outcome": record.get("outcome", ""), "ledger": [ledger.get(token) for token in tokens[:-1]]}
        if job.status == "deferred":
            wanted["pending"], found["pending"] = job.pending, int(record.get("pending", 0))
        return [
            f"{name} of job {number} is {found[name]}, in the model {wanted[name]}"
            for name in wanted
            if found[name] != wanted[name]
        ]


def _texts(row: dict[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): value.decode("utf-8", "replace") for name, value in row.items()}


def _names(items: Iterable[Any]) -> list[str]:
    return [item.decode() for item in items]


def replay(store: Store, model: Model, calls: list[Call]) -> None:
    """Make the calls of a trace on the store.

    Raises:
        DiffersError: the store answers or has something else than the model; with the trace until there.
    """
    real = Replay(store, model.shape)
    try:
        state = model.start()
        _compare(real, state, [])
        for number, call in enumerate(calls, 1):
            step = model.apply(state, call)
            state = step.state()
            answer = real.call(call)
            done = [*map(str, calls[:number])]
            if answer != step.reply:
                raise DiffersError("\n  ".join([f"the store answers {answer}, the model {step.reply}", *done]))
            _compare(real, state, done)
    finally:
        real.close()


def _compare(real: Replay, state: State, done: list[str]) -> None:
    if problems := real.differences(state):
        raise DiffersError("\n  ".join(["; ".join(problems), "after", *done]))


def replay_all(store: Store, model: Model, every: Iterable[list[Call]]) -> None:
    """Replay traces one after the other, each from the start."""
    for calls in every:
        replay(store, model, calls)


def traces(found: Explored) -> list[list[Call]]:
    """Return the shortest trace to each move and to each answer in each status; one that is the start of another one is left out."""
    ends = dict.fromkeys([*found.moves.values(), *found.replies.values()])
    every = sorted({(*found.trace(state), call) for state, call in ends})
    return [list(one) for one, following in zip(every, [*every[1:], ()], strict=True) if following[: len(one)] != one]


def walk(model: Model, rng: random.Random, length: int) -> list[Call]:
    """Return a random trace; every other call changes something where one can."""
    state, calls = model.start(), []
    for number in range(length):
        possible = list(model.calls(state))
        changing = [call for call in possible if model.apply(state, call).state() != state]
        chosen = changing if changing and number % 2 == 0 else possible
        if not chosen:
            break
        calls.append(rng.choice(chosen))
        state = model.apply(state, calls[-1]).state()
    return calls
