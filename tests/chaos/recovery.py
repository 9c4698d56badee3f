"""How long the jobs of lost workers waited for their next execution."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from tests.chaos.cast import Strike
from tests.chaos.evidence import Change, Evidence
from tests.support.invariants import ENDED

WORKER = frozenset({"kill worker", "stop worker"})
HORSE = frozenset({"kill horse", "kill fork server"})
_LONGEST = 40.0  # s an execution takes; an older one of the same pid was another process
_OUTAGES = frozenset({"kill server", "stop server"})


def recoveries(evidence: Evidence, kinds: frozenset[str]) -> Iterator[float]:
    """Yield, for each execution that a fault of these kinds interrupted, the seconds until the job was started again.

    They count from the later of the fault and the end of the last outage of the server before the new start. An execution that came to its
    end (its worker went on in time), and a job that has ended without another one, do not count.
    """
    later: dict[str, list[Change]] = defaultdict(list)
    for change in evidence.changes:
        if change.new == "started" or change.new in ENDED:
            later[change.job].append(change)
    outages = [strike for strike in evidence.strikes if strike.kind in _OUTAGES]
    for strike in evidence.strikes:
        for job, execution in _interrupted(evidence, strike) if strike.kind in kinds else ():
            again = next((change for change in later[job] if change.execution > execution), None)
            if again is not None and again.new == "started":
                begun = again.at / 1000
                over = (outage.until for outage in outages if outage.until > strike.at and outage.at < begun)
                yield max(0.0, begun - max(strike.at, *over, strike.at))


def _interrupted(evidence: Evidence, strike: Strike) -> Iterator[tuple[str, int]]:
    """Yield the executions that a fault hit: those of its processes that had begun, and never came to their end."""
    for line in evidence.log:
        if line.what == "begin" and line.pid in strike.pids and line.key not in evidence.ended_well:
            began = line.time + evidence.epoch
            if strike.at - _LONGEST < began < strike.at:
                yield line.key


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of the values does not exceed; 0 for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
