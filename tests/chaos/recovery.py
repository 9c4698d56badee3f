"""How long the jobs of lost workers waited for their next execution."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import dropwhile

from tests.chaos.cast import Strike
from tests.chaos.evidence import Change, Evidence
from tests.chaos.workload import AFAR_QUEUE

WORKER = frozenset({"kill worker", "stop worker"})
HORSE = frozenset({"kill horse", "kill fork server"})
_OUTAGES = frozenset({"kill server", "stop server", "fail over"})
_SLACK = (
    1.0  # s: a process that was hit may still say that it has begun; a worker that goes on needs a moment to send a heartbeat
)


def after_lost_workers(evidence: Evidence) -> Iterator[float]:
    """Yield, for each execution that was lost with its worker, the seconds until its job was started again.

    A worker that was stopped, and went on in time, has lost no job by that. The queue of jobs that are executed on a node has one worker,
    which must be started first: they do not count.
    """
    changes = _by_job(evidence)
    near = {key: worker for key, worker in evidence.lost.items() if evidence.jobs.get(key[0], {}).get("queue") != AFAR_QUEUE}
    for (job, execution), worker in near.items():
        after = _after(changes[job], execution)
        left = after[0].at / 1000 if after else 0.0
        begun = max((change.at / 1000 for change in changes[job] if _starts(change, execution)), default=0.0)
        hits = [
            strike
            for strike in evidence.strikes
            if strike.kind in WORKER and worker in strike.pids and begun < strike.at < left
        ]
        fault = max(hits, key=lambda strike: strike.at, default=None)
        if fault is not None and (fault.kind == "kill worker" or left < fault.until + _SLACK):
            yield from _recovery(evidence, fault, after)


def after_lost_horses(evidence: Evidence) -> Iterator[float]:
    """Yield, for each execution whose process was killed under a worker that went on, the seconds until its job was started again."""
    changes = _by_job(evidence)
    for line in evidence.log:
        if line.what != "begin" or line.key in evidence.ended_well or line.key in evidence.lost:
            continue
        after = _after(changes[line.job], line.execution)
        left, began = (after[0].at / 1000 if after else 0.0), line.time + evidence.epoch - _SLACK
        hits = [strike for strike in evidence.strikes if line.pid in strike.pids and began < strike.at < left]
        fault = max(hits, key=lambda strike: strike.at, default=None)
        if fault is not None and fault.kind in HORSE:
            yield from _recovery(evidence, fault, after)


def _by_job(evidence: Evidence) -> dict[str, list[Change]]:
    found: dict[str, list[Change]] = defaultdict(list)
    for change in evidence.changes:
        found[change.job].append(change)
    return found


def _starts(change: Change, execution: int) -> bool:
    return change.new == "started" and change.execution == execution


def _after(changes: list[Change], execution: int) -> list[Change]:
    """Return the changes of a job from the one that took it from this execution."""
    return list(dropwhile(lambda change: (change.old, change.execution) != ("started", execution), changes))


def _recovery(evidence: Evidence, fault: Strike, after: list[Change]) -> Iterator[float]:
    """Yield the seconds until the job was started again, from the fault on.

    They count from the end of the last outage before that if it is later, and from when a worker was fit again if none was. A job that has
    ended without another execution, and one that waited for a place of its group, do not count.
    """
    again = next((change for change in after if change.new == "started"), None)
    if again is not None and not any(change.new == "deferred" and change.at <= again.at for change in after):
        begun = again.at / 1000
        outages = [(item.at, item.until) for item in evidence.strikes if item.kind in _OUTAGES]
        over = (until for at, until in (*outages, *evidence.idle) if until > fault.at and at < begun)
        yield max(0.0, begun - max(fault.at, *over, fault.at))


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of the values does not exceed; 0 for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
