"""The order of starts and ends in the event streams, checked event by event with rules of its own."""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

ENDED = frozenset({"finished", "failed", "stopped", "canceled", "skipped"})
_FAILED = {"failed", "stopped"}
_HOLDS = {
    "success": {"finished"},
    "failure": _FAILED,
    "ran": {"finished", *_FAILED},
    "done": ENDED,
}

Edges: TypeAlias = Iterable[tuple[str, str]]


class History:
    """The events of all jobs until now. `depends` states the edges of a job before its creation is taken."""

    def __init__(self) -> None:
        self._status: dict[str, str] = {}
        self._edges: dict[str, list[tuple[str, str]]] = {}
        self._met: set[tuple[str, str]] = set()  # (job, parent): an end of the parent has met the job's condition
        self._changes: list[str] = []  # for a message
        self._over: set[tuple[str, int]] = set()  # (job, number of an execution) that has had its end

    def depends(self, job: str, edges: Edges) -> None:
        """State the `(parent, condition)` of a job that has just been created."""
        self._edges[job] = list(edges)

    def take(self, event: Mapping[str, str]) -> None:
        """Check the next event of a stream.

        Raises:
            AssertionError: an execution has ended twice, or a job became ready before the ends that its conditions need.
        """
        job, before, after = event["j"], event["f"], event["t"]
        self._changes.append(f"{job} {before} -> {after} {event['r']}, execution {event['x']}")
        if not job:  # of a run itself
            return
        if before == "started" and after in ENDED:
            assert (job, int(event["x"])) not in self._over, f"execution {event['x']} of {job} ended twice"
            self._over.add((job, int(event["x"])))
        if after == "-":
            self._delete(job)
            return
        if before == "-" or after == "deferred":
            self._wait(job, again=before in ENDED - {"skipped"})
        if after in {"queued", "scheduled"} and before in {"-", "deferred"}:
            missing = [parent for parent, _ in self._edges.get(job, ()) if (job, parent) not in self._met]
            assert not missing, f"{job} is ready, {missing} have not ended as it needs: {self._changes}"
        self._status[job] = after
        if after in ENDED:
            self._meet(job, after)

    def _wait(self, job: str, *, again: bool) -> None:
        """Look at the parents that have ended already. With `again` it is reset with its run, and earlier ends do not count."""
        for parent, condition in self._edges.get(job, ()):
            if again:
                self._met.discard((job, parent))
            if self._status.get(parent) in _HOLDS[condition]:
                self._met.add((job, parent))

    def _meet(self, parent: str, status: str) -> None:
        for job, edges in self._edges.items():
            self._met |= {(job, parent) for other, condition in edges if other == parent and status in _HOLDS[condition]}

    def _delete(self, job: str) -> None:
        self._status.pop(job, None)
        self._met = {pair for pair in self._met if pair[0] != job}
        self._over = {pair for pair in self._over if pair[0] != job}
