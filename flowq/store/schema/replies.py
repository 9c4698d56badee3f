"""Reading what a claim or a step gave: the one place that knows the shape of their replies."""

from typing import Any

from flowq.ids import split_member_id
from flowq.store.schema.outcomes import Claim, ExchangeReply, Outcome


def read_claim(row: Any) -> Claim | None:
    """Return the claim of a reply of `claim` or `take`, None of an empty one."""
    if not row:
        return None
    job, token, payload, flat = row
    fields = {flat[index].decode(): flat[index + 1].decode("utf-8", "replace") for index in range(0, len(flat), 2)}
    run = fields.get("run")
    name = job.decode()
    return Claim(
        id=name,
        token=token.decode(),
        execution=int(token.partition(b"-")[0]),
        attempt=int(fields["attempt"]),
        queue=fields.get("origin", ""),
        run=run,
        ordinal=split_member_id(name)[1] if run else None,
        payload=None if run else payload,
        fields=fields,
        canceling=fields.get("cancel") == "1",
    )


def read_step(reply: Any) -> ExchangeReply:
    """Return the reply of `step`."""
    outcomes, claims, more = reply
    return ExchangeReply(
        ended=tuple(Outcome(item.decode()) for item in outcomes),
        claims=tuple(read_claim(item) for item in claims),
        more=bool(more),
        webhooks=more == 2,
    )
