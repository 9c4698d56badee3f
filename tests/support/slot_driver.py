"""A driver in place of a worker: it claims and ends jobs over a real connection, one call at a time, under the test's control."""

import json
import os
import select
from collections.abc import Callable, Sequence

from flowq import ids
from flowq.store import Store
from flowq.store.client.async_connection import Reply
from flowq.store.schema.outcomes import BeatReply, Claim, ExchangeReply, ExecutionReport, LogLines, Outcome, SweepReply, Verdict
from flowq.store.schema.records import Registration
from tests.support.wait import until


class Driver:
    """One slot of a worker named `name`, working on `queues`."""

    def __init__(self, store: Store, *queues: str, name: str = "driver", lease: float = 10.0) -> None:
        self.store = store
        self.queues = list(queues) or ["default"]
        self.link = store.link(name, lease)
        self.link.connect()
        self._asked = ""  # id of a claim that was not answered
        self.name = name
        self.registration = Registration(name, tuple(self.queues), "test", os.getpid(), lease=lease)
        self.list_of: Callable[[str], Sequence[object]] = lambda _job: [0, 1]  # the list of a foreach, by the job's id
        self.holds: Callable[[str], bool] = lambda _job: True  # the value of an `if`, by the job's id

    def close(self) -> None:
        self.link.close()

    def reply(self) -> Reply:
        """Wait for the answer to the request."""
        while True:
            readable, _, _ = select.select([self.link], [], [], 10)
            assert readable, "the server did not answer"
            answer = self.link.receive()
            if answer is not None:
                return answer

    def step(self, *ended: ExecutionReport, claims: int = 0, logs: tuple[LogLines, ...] = ()) -> ExchangeReply:
        self.link.exchange(self.queues, logs=logs, ended=ended, claims=[ids.nonce() for _ in range(claims)])
        answer = self.reply()
        assert isinstance(answer, ExchangeReply)
        return answer

    def claim(self) -> Claim | None:
        return self.step(claims=1).claims[0]

    def claim_again(self) -> Claim | None:
        """Claim a job as a worker does whose last request was refused: with the same id until there is an answer."""
        self._asked = self._asked or ids.nonce()
        self.link.exchange(self.queues, logs=(), ended=(), claims=[self._asked])
        answer = self.reply()
        assert isinstance(answer, ExchangeReply)
        self._asked = ""
        return answer.claims[0]

    def take(self) -> Claim:
        """Claim a job; there must be one."""
        claim = self.claim()
        assert claim is not None, "nothing to claim"
        return claim

    def end(self, claim: Claim, outcome: str = "finished", **more: object) -> Outcome:
        return self.step(execution(claim, outcome, **more)).ended[0]

    def tick(self) -> SweepReply:
        self.link.sweep()
        answer = self.reply()
        assert isinstance(answer, SweepReply)
        return answer

    def swept(self) -> bool:
        """Sweep once; return True, for use in `until`."""
        self.tick()
        return True

    def let_time_pass(self) -> None:
        """Wait until the clock of the server has gone on by some milliseconds, so that what is measured in them is not 0."""
        begun = self.store.now_ms()
        until(lambda: self.store.now_ms() > begun + 2)

    def settle(self) -> None:
        """Sweep until nothing is due, evaluating pending expressions."""
        while True:
            answer = self.tick()
            for job in answer.decide:
                self.decide(job)
            if not answer.more and not answer.decide:
                return

    def decide(self, job: str) -> None:
        """Evaluate the `if` or the list of a waiting job."""
        if not self.holds(job):
            self.store.jobs.decide(job, "skipped", "if_false")
        elif self.store.jobs.decide(job, "go_on") is Outcome.WRONG_STATE:
            self.store.jobs.expand(job, [json.dumps(item).encode() for item in self.list_of(job)])

    def lose(self, claim: Claim) -> None:
        """Expire the lease of this claim, as if its worker had died."""
        keys = self.store.session.keys
        self.store.client.zadd(keys("leases"), {claim.id: 1}, xx=True)
        self.settle()

    def beat(self, *claims: Claim) -> list[Verdict]:
        self.link.heartbeat(self.registration, "busy", [(claim.id, claim.token) for claim in claims])
        answer = self.reply()
        assert isinstance(answer, BeatReply)
        return list(answer.verdicts)


def execution(claim: Claim, outcome: str = "finished", **more: object) -> ExecutionReport:
    """Return the report of the end of a claim's execution."""
    reasons = {"failed": "error", "canceled": "canceled"}
    settings: dict[str, object] = {
        "reason": reasons.get(outcome, ""),
        "value": b"null" if outcome == "finished" else b"boom",
        **more,
    }
    return ExecutionReport(claim.id, claim.token, outcome, **settings)  # type: ignore[arg-type]
