"""Webhook deliveries: workers take due ones, send them and report them. `lua/lib/webhooks.lua` creates them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from flowq.store.schema.outcomes import Outcome

if TYPE_CHECKING:
    from flowq.store.client.session import Session

MARGIN: Final = 30.0  # s above its timeout after which a delivery that was not reported is due again

_OLDEST: Final = 1000  # deliveries that are looked at for those that were tried in vain


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook that was taken. `tries` counts this one; `timeout` in seconds; `spec` is the webhook as it was given, JSON."""

    id: str
    tries: int
    timeout: float
    spec: str
    job: str
    func: str
    status: str
    execution: int
    enqueued_ms: int | None
    ended_ms: int
    error: str | None


@dataclass(frozen=True, slots=True)
class NoticeDelivery:
    """One message about a run, or about a schedule, that was taken.

    `tries` counts this one; `timeout` in seconds; `spec` and `signed` are the notice (`flowq.plan.notice`); `count` is how many events it
    is about, of which this is the last. `job` is the id of the job that it is about, `schedule` and `slot_ms` the slot.
    """

    id: str
    tries: int
    timeout: float
    spec: str
    signed: str
    event: str
    flow: str
    run: str
    attempt: int
    job: str
    slot_ms: int | None
    error: str | None
    count: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class PendingNotice:
    """A message that is not sent yet: the notice (`flowq.plan.notice`), and the seconds until it is tried, or tried again."""

    spec: str
    due_in: float

    @property
    def is_taken(self) -> bool:
        """Whether a worker sends it now, and has it for longer than any wait before another try that matters here."""
        return self.due_in > MARGIN

    def taken_for(self, timeout: float) -> float:
        """Return the seconds since a worker has taken it. `timeout`: of one try."""
        return MARGIN + timeout - self.due_in


Taken: TypeAlias = Delivery | NoticeDelivery


class Webhooks:
    """The store's view of webhooks."""

    def __init__(self, session: "Session") -> None:
        self._session = session

    def take(self, limit: int, *, job: str = "") -> list[Taken]:
        """Take up to `limit` deliveries that are due, with `job` those of one job only."""
        rows = self._session.run("webhook/claim", limit, int(MARGIN * 1000), job)
        return [_delivery(name.decode(), int(tries), flat) for name, tries, flat in rows]

    def pending(self, run: str) -> list[PendingNotice]:
        """Return the messages about a run that are not sent yet and are due."""
        client, now = self._session.client, self._session.now_ms()
        with self._session.translated:
            found = client.zrangebyscore(self._session.keys("webhooks"), "-inf", now + int(MARGIN * 2000), withscores=True)
            pipe = client.pipeline(transaction=False)
            for name, _ in found:
                pipe.hmget(self._session.keys("webhook", name.decode()), "run", "spec")
            rows = pipe.execute(raise_on_error=False)
        waits = ((due - now) / 1000 for _, due in found)
        return [
            PendingNotice((row[1] or b"").decode("utf-8", "replace"), wait)
            for row, wait in zip(rows, waits, strict=True)
            if isinstance(row, list) and row[0] == run.encode()  # else of a damaged one
        ]

    def undelivered(self, age: float) -> list[str]:
        """Return what the oldest deliveries are about that were tried in vain and are older than `age` seconds: `run ID`, `job ID`, or a flow."""
        client, found = self._session.client, []
        before = self._session.now_ms() - int(age * 1000)
        with self._session.translated:
            pipe = client.pipeline(transaction=False)
            for name in client.zrange(self._session.keys("webhooks"), 0, _OLDEST - 1):
                pipe.hmget(self._session.keys("webhook", name.decode()), "tries", "ended_at", "run", "job", "flow")
            rows = pipe.execute(raise_on_error=False)
        for row in rows:
            try:
                tries, ended, *about = row
                if int(tries or 0) <= 0 or int(ended or 0) >= before:
                    continue
            except (TypeError, ValueError):
                continue  # it is damaged: a worker sets it aside
            run, job, flow = ((value or b"").decode("utf-8", "replace") for value in about)
            found.append(f"run {run}" if run else f"job {job}" if job else flow)
        return found

    def over(self, delivery: Taken) -> Outcome:
        """Report that a delivery was made, or is given up."""
        return self._report(delivery, "over")

    def again(self, delivery: Taken, delay: float) -> Outcome:
        """Report that a delivery is to be tried again after `delay` seconds."""
        return self._report(delivery, "again", delay)

    def back(self, delivery: Taken) -> Outcome:
        """Hand a delivery back that was not tried."""
        return self._report(delivery, "back")

    def _report(self, delivery: Taken, outcome: str, delay: float = 0.0) -> Outcome:
        reply = self._session.run("webhook/acknowledge", delivery.id, delivery.tries, outcome, int(delay * 1000))
        return Outcome(reply[0].decode())


def _delivery(name: str, tries: int, flat: list[bytes]) -> Taken:
    fields: Mapping[str, str] = {
        flat[index].decode(): flat[index + 1].decode("utf-8", "replace") for index in range(0, len(flat), 2)
    }
    if "signed" in fields:
        return NoticeDelivery(
            id=name,
            tries=tries,
            timeout=int(fields["timeout"]) / 1000,
            spec=fields["spec"],
            signed=fields["signed"],
            event=fields["status"],
            flow=fields["flow"],
            run=fields.get("run", ""),
            attempt=int(fields.get("attempt", 1)),
            job=fields.get("job", ""),
            slot_ms=int(fields["slot"]) if "slot" in fields else None,
            error=fields.get("error"),
            count=int(fields["count"]),
            at_ms=int(fields["at"]),
        )
    return Delivery(
        id=name,
        tries=tries,
        timeout=int(fields["timeout"]) / 1000,
        spec=fields["spec"],
        job=fields["job"],
        func=fields["func"],
        status=fields["status"],
        execution=int(fields["execution"]),
        enqueued_ms=int(fields["enqueued_at"]) if fields["enqueued_at"] else None,
        ended_ms=int(fields["ended_at"]),
        error=fields.get("error"),
    )
