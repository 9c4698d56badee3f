"""Webhook deliveries: workers take due ones, send them and report them. `lua/lib/webhooks.lua` creates them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowq.store.schema.outcomes import Outcome

if TYPE_CHECKING:
    from flowq.store.client.session import Session

MARGIN: Final = 30.0  # s above its timeout after which a delivery that was not reported is due again


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


class Webhooks:
    """The store's view of webhooks."""

    def __init__(self, session: "Session") -> None:
        self._session = session

    def take(self, limit: int, *, job: str = "") -> list[Delivery]:
        """Take up to `limit` deliveries that are due, with `job` those of one job only."""
        rows = self._session.run("webhook/claim", limit, int(MARGIN * 1000), job)
        return [_delivery(name.decode(), int(tries), flat) for name, tries, flat in rows]

    def over(self, delivery: Delivery) -> Outcome:
        """Report that a delivery was made, or is given up."""
        return self._report(delivery, "over")

    def again(self, delivery: Delivery, delay: float) -> Outcome:
        """Report that a delivery is to be tried again after `delay` seconds."""
        return self._report(delivery, "again", delay)

    def back(self, delivery: Delivery) -> Outcome:
        """Hand a delivery back that was not tried."""
        return self._report(delivery, "back")

    def _report(self, delivery: Delivery, outcome: str, delay: float = 0.0) -> Outcome:
        reply = self._session.run("webhook/acknowledge", delivery.id, delivery.tries, outcome, int(delay * 1000))
        return Outcome(reply[0].decode())


def _delivery(name: str, tries: int, flat: list[bytes]) -> Delivery:
    fields: Mapping[str, str] = {
        flat[index].decode(): flat[index + 1].decode("utf-8", "replace") for index in range(0, len(flat), 2)
    }
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
