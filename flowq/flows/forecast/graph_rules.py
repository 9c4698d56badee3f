"""The rules of the graph in plain Python: which edges hold, why a job is skipped, how a group ends.

The store decides the same things inside its transitions (`store/lua/lib/conditions.lua`); this is the readable form, which
retries compute with and the tests compare the store with.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from flowq.states import Condition, JobStatus, Reason, RunStatus

FAILING: Final = frozenset({JobStatus.FAILED, JobStatus.STOPPED})


@dataclass(frozen=True, slots=True)
class End:
    """The end of a job, as far as it matters to its dependents. `mixed`: a group that finished although some of its cells were skipped."""

    status: JobStatus
    allowed: bool = False
    mixed: bool = False

    @property
    def succeeded(self) -> bool:
        """Whether it is a success: finished, or failed and allowed to."""
        return (self.status is JobStatus.FINISHED and not self.mixed) or (self.status is JobStatus.FAILED and self.allowed)


def holds(parent: End, condition: str) -> bool:
    """Return whether an edge with this condition holds below a parent that ended so."""
    match Condition(condition):
        case Condition.SUCCESS:
            return parent.succeeded
        case Condition.OK:
            return parent.succeeded or parent.mixed or parent.status is JobStatus.SKIPPED
        case Condition.FAILURE:
            return parent.status in FAILING and not parent.succeeded
        case Condition.SKIPPED:
            return parent.status is JobStatus.SKIPPED
        case Condition.DONE:
            return True


def skip_reason(parent: End) -> Reason:
    """Return the reason of a job that is skipped because its edge from this parent does not hold."""
    if parent.succeeded:
        return Reason.UPSTREAM_FINISHED
    if parent.status is JobStatus.CANCELED:
        return Reason.UPSTREAM_CANCELED
    if parent.mixed or parent.status is JobStatus.SKIPPED:
        return Reason.UPSTREAM_SKIPPED
    return Reason.UPSTREAM_FAILED


def tally(cells: Iterable[End]) -> tuple[int, int, int, int]:
    """Return how many members of a group finished, failed, were skipped, were canceled.

    A member that is a group of which some were skipped counts as finished and as skipped, as its cells would in its place.
    """
    finished = failed = skipped = canceled = 0
    for cell in cells:
        finished += cell.succeeded or cell.mixed
        failed += cell.status in FAILING and not cell.succeeded
        skipped += cell.mixed or cell.status is JobStatus.SKIPPED
        canceled += cell.status is JobStatus.CANCELED
    return finished, failed, skipped, canceled


def group_end(cells: Iterable[End]) -> End:
    """Return how a group ends whose cells ended so. An empty group succeeds."""
    finished, failed, skipped, canceled = tally(cells)
    if failed:
        return End(JobStatus.FAILED)
    if canceled:
        return End(JobStatus.CANCELED)
    if skipped and not finished:
        return End(JobStatus.SKIPPED)
    return End(JobStatus.FINISHED, mixed=skipped > 0)


def outcome(ends: Iterable[End]) -> RunStatus:
    """Return how a run ends whose graph's jobs (no groups, no handlers) ended so."""
    found = list(ends)
    if any(end.status in FAILING and not end.succeeded for end in found):
        return RunStatus.FAILED
    if any(end.status is JobStatus.CANCELED for end in found):
        return RunStatus.CANCELED
    return RunStatus.FINISHED


HANDLERS: Final = {RunStatus.FINISHED: "success", RunStatus.FAILED: "failure", RunStatus.CANCELED: "cancel"}
"""The phase of the handlers that fit an outcome; those of `exit` always do, after the others."""
