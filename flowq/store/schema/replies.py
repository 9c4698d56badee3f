"""Arguments and replies of the scripts that workers call: the only definition of their shapes.

Two transports use them: `store.workers`, which waits for the answer, and `store.client.async_connection`, which does not.
"""

from collections.abc import Sequence
from typing import Any, Final

from flowq.ids import split_member_id
from flowq.store.schema.outcomes import BeatReply, Claim, ExchangeReply, ExecutionReport, LogLines, Outcome, SweepReply, Verdict
from flowq.store.schema.records import Registration

_SILENT_LEASES: Final = 6  # without a heartbeat for so many leases a worker is forgotten
_SWEEP_BATCH: Final = 100  # entries of each kind that one sweep processes


def exchange_arguments(
    worker: str,
    lease_ms: int,
    queues: Sequence[str],
    *,
    logs: Sequence[LogLines],
    ended: Sequence[ExecutionReport],
    claims: Sequence[str],
) -> list[object]:
    """Return the arguments of `worker/exchange`: output, ended executions, and a fresh id for each claim."""
    flat: list[object] = [worker, lease_ms, list(queues), len(logs)]
    for entry in logs:
        flat += [entry.id, entry.token, entry.index, entry.stream, entry.data]
    flat.append(len(ended))
    for execution in ended:
        flat += execution.arguments()
    return [*flat, list(claims)]


def heartbeat_arguments(
    worker: Registration, state: str, *, counters: tuple[int, int, int], executions: Sequence[tuple[str, str]]
) -> list[object]:
    """Return the arguments of `worker/heartbeat`.

    Args:
        worker: its registration; if the server has removed the worker, it is listed again.
        state: "idle", "busy", "away" (the engine of its executor has no place for jobs) or "stopping".
        counters: executions that finished, that failed, and the milliseconds they took, since the start of the worker.
        executions: `(job id, token)` of each one that runs.
    """
    pairs = [part for pair in executions for part in pair]
    lease_ms = int(worker.lease * 1000)
    return [worker.name, lease_ms, state, *counters, list(worker.queues), worker.fields(), len(executions), *pairs]


def sweep_arguments(lease_ms: int, queues: Sequence[str], *, punctual: bool, turn: str = "") -> list[object]:
    """Return the arguments of `worker/sweep`.

    Args:
        lease_ms: of the worker.
        queues: on which it listens.
        punctual: it can come back at a given time.
        turn: its name if it sweeps only when no other worker does, else "".
    """
    return [lease_ms, _SWEEP_BATCH, lease_ms * _SILENT_LEASES, punctual, turn, list(queues)]


def read_beat(reply: Any) -> BeatReply:
    """Return the reply of a heartbeat."""
    verdicts, unswept, callbacks = reply
    return BeatReply(tuple(Verdict(item.decode()) for item in verdicts), bool(unswept), bool(callbacks))


def read_sweep(reply: Any) -> SweepReply:
    """Return the reply of a sweep."""
    reaped, due, released, more, decide, webhooks, again_ms, lately, standby_ms = reply
    jobs = tuple(item.decode() for item in decide)
    again = None if again_ms < 0 else again_ms / 1000
    texts = [item.decode("utf-8", "replace") for item in lately]
    set_aside = tuple(zip(texts[::2], texts[1::2], strict=True))
    return SweepReply(
        int(reaped), int(due), int(released), bool(more), jobs, int(webhooks), again, set_aside, standby_ms / 1000
    )


def read_claim(row: Any) -> Claim | None:
    """Return the claim of a reply of `job/claim` or `job/claim_by_id`, None of an empty one."""
    if not row:
        return None
    job, token, payload = row[-3:]
    fields = {
        row[index].decode(): value.decode("utf-8", "replace") if isinstance(value := row[index + 1], bytes) else str(value)
        for index in range(0, len(row) - 3, 2)
    }
    run = fields.get("run")
    name = job.decode()
    return Claim(
        id=name,
        token=token.decode(),
        execution=int(token.partition(b"-")[0]),
        attempt=int(fields["attempt"]),
        queue=fields.get("queue", ""),
        run=run,
        ordinal=split_member_id(name)[1] if run else None,
        payload=None if run else payload,
        fields=fields,
        canceling=fields.get("cancel") == "1",
    )


def read_exchange(reply: Any) -> ExchangeReply:
    """Return the reply of an exchange."""
    outcomes, claims, more = reply
    return ExchangeReply(
        ended=tuple(map(Outcome, outcomes.decode().split())),
        claims=tuple(read_claim(item) for item in claims),
        more=bool(more),
        webhooks=more == 2,
    )
