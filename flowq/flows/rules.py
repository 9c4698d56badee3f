"""The rules of the graph in plain Python: which edges hold, why a job is skipped, how a group ends.

The store decides the same things inside its transitions (`store/lua/release.lua`); this is the form that people read, that the
retry of a run computes with, and that the tests hold the store against.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from flowq.states import Condition, JobStatus, Reason

FAILING: Final = frozenset({JobStatus.FAILED, JobStatus.STOPPED})


@dataclass(frozen=True, slots=True)
class End:
    """How a job ended, as far as its dependents care. `mixed`: a group that finished although some of its cells were skipped."""

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


def group_end(cells: Iterable[End]) -> End:
    """Return how a group ends whose cells ended so. An empty group succeeds."""
    finished = skipped = canceled = False
    for cell in cells:
        if cell.succeeded:
            finished = True
        elif cell.status in FAILING:
            return End(JobStatus.FAILED)
        elif cell.status is JobStatus.CANCELED:
            canceled = True
        else:
            skipped = True
    if canceled:
        return End(JobStatus.CANCELED)
    if skipped and not finished:
        return End(JobStatus.SKIPPED)
    return End(JobStatus.FINISHED, mixed=skipped)
