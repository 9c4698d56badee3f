"""Reading what a claim gave: the one place that knows the shape of its reply."""

from typing import Any

from flowq.ids import split_member_id
from flowq.store.outcomes import Claim


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
