"""A worker that a test controls step by step: real transitions on a real server, so that every state can be inspected."""

import os
import select
from typing import Any

from flowq import ids
from flowq.store import Store
from flowq.store.client.async_connection import WorkerConnection
from flowq.store.schema.outcomes import Claim, ExchangeReply, ExecutionReport, LogLines, SweepReply
from flowq.store.schema.records import Registration


class HandWorker:
    """A worker that claims, prints and ends jobs on request. It serves the queues from its first claim on."""

    def __init__(self, store: Store, *queues: str, name: str = "hand") -> None:
        own = Store(store.client, store.namespace, follow=False)
        own.workers.register(Registration(name, queues, "test", os.getpid()))
        self._link = WorkerConnection(own.session, name)
        self._link.connect()
        self._queues = list(queues)
        self._index = 0
        self.latest: Claim | None = None

    def claim(self) -> Claim:
        """Claim the next job."""
        (claim,) = self._step(claims=[ids.nonce()]).claims
        assert claim is not None, f"nothing to claim on {self._queues}"
        self.latest = claim
        return claim

    def print(self, claim: Claim, text: str, stream: str = "out") -> None:
        """Store output of a claimed job."""
        self._index += 1
        self._step(logs=[LogLines(claim.id, claim.token, self._index, stream, text.encode("utf-8", "surrogatepass"))])

    def finish(self, claim: Claim, value: bytes = b"null") -> None:
        """Finish a claimed job with a JSON value."""
        self._end(ExecutionReport(claim.id, claim.token, "finished", value=value))

    def fail(
        self, claim: Claim, error: str, *, reason: str = "error", exit_code: int | None = None, allowed: bool = False
    ) -> None:
        """Fail a claimed job."""
        value = error.encode("utf-8", "surrogatepass")
        self._end(
            ExecutionReport(claim.id, claim.token, "failed", reason=reason, value=value, exit_code=exit_code, allowed=allowed)
        )

    def close(self) -> None:
        """Close the connection."""
        self._link.close()

    def _end(self, execution: ExecutionReport) -> None:
        self._step(ended=[execution])
        while self._tick().more:
            continue

    def _tick(self) -> SweepReply:
        self._link.sweep()
        reply = self._receive()
        assert isinstance(reply, SweepReply)
        return reply

    def _step(self, **parts: Any) -> ExchangeReply:
        self._link.exchange(self._queues, **parts)
        reply = self._receive()
        assert isinstance(reply, ExchangeReply)
        return reply

    def _receive(self) -> object:
        while (reply := self._link.receive()) is None:
            select.select([self._link.fileno()], [], [], 10)
        return reply
