"""`Dependency`: the jobs that a job waits for, and the ends that it accepts."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from flowq.exceptions import UsageError
from flowq.states import ENDED, RAN, Condition, JobStatus


def cycle_message(job_id: str, cycle: str) -> str:
    """Return the text for dependencies that are refused. `cycle`: its ids, joined by ` -> `; "" if too many jobs depend on the id to say."""
    if cycle:
        return (
            f"job {job_id} would wait for itself: {cycle}: use another id, or wait until the jobs that depend on it have ended"
        )
    return f"too many jobs depend on {job_id} to check its new dependencies for a cycle: use another id"


MET: Final = "met"
"""The condition of an edge that is decided: the parent has ended so, and its record may have expired."""

ENDS: Final[Mapping[str, frozenset[JobStatus]]] = {
    str(Condition.SUCCESS): frozenset({JobStatus.FINISHED}),
    RAN: frozenset({JobStatus.FINISHED, JobStatus.FAILED, JobStatus.STOPPED}),
    str(Condition.DONE): ENDED,
}
"""The ends of a parent that each condition of a plain job accepts."""


def _may_be_met(job: Any) -> bool:
    if job.is_new:
        return False
    known = job.state.record
    return known is None or not known.ended or known.status is JobStatus.FINISHED


class Dependency:
    """Jobs that must end before another is enqueued.

    Args:
        jobs: a job, a job's id, or several.
        allow_failure: the job is enqueued also when some of them failed (or were stopped); one that was canceled still holds it back.
        enqueue_at_front: it then goes to the front of its queue.

    Raises:
        UsageError: nothing that could be waited for.
    """

    def __init__(self, jobs: Any, allow_failure: bool = False, enqueue_at_front: bool = False) -> None:
        self.dependencies: list[Any] = list(jobs) if isinstance(jobs, Sequence) and not isinstance(jobs, str) else [jobs]
        if not self.dependencies:
            raise UsageError("a Dependency needs at least one job")
        for item in self.dependencies:
            if not isinstance(item if isinstance(item, str) else getattr(item, "id", None), str):
                raise UsageError(f"a Dependency is on jobs or ids of jobs, found {item!r}")
        self.allow_failure = allow_failure
        self.enqueue_at_front = enqueue_at_front

    @property
    def ids(self) -> list[str]:
        """The ids of the jobs."""
        return [item if isinstance(item, str) else item.id for item in self.dependencies]

    @property
    def edges(self) -> list[tuple[str, str]]:
        """The stored form: ids, each with the condition on its end."""
        condition = RAN if self.allow_failure else str(Condition.SUCCESS)
        return [(job, condition) for job in self.ids]

    def without_ended(self, job_id: str) -> "Dependency | None":
        """Return the dependency without a job that is gone, None when nothing is left of it.

        Ids stay, and so do handles on jobs that were never enqueued or are known to have failed.
        """
        rest = [item for item in self.dependencies if isinstance(item, str) or item.id != job_id or not _may_be_met(item)]
        return Dependency(rest, self.allow_failure, self.enqueue_at_front) if rest else None

    def __repr__(self) -> str:
        return f"Dependency({self.ids}, allow_failure={self.allow_failure}, enqueue_at_front={self.enqueue_at_front})"
