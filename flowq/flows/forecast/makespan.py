"""The simulation of a run: its duration on some number of slots, and the overhead per job that a measured run had."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Final

from flowq.plan import Plan
from flowq.store.schema.records import JobRecord

_STEPS: Final = 12  # of the bisection: a 4096th of the range
_LARGEST: Final = 5000  # cells of a plan that is simulated so often
_MOST: Final = 0.5  # s of overhead; a larger value has another cause


def makespan(plan: Plan, seconds: Sequence[float], slots: int, overhead: float = 0.0) -> float:
    """Return the seconds a run takes on this many slots, each job as long as given.

    `overhead` is the seconds that each executed job takes besides. A simulation of what the queue does: jobs start in the order of their
    priority, then in the order in which they were released; of a job with `max_parallel` so many cells run at once.
    """
    children = plan.children()
    pending = [len(cell.parents) for cell in plan.cells]
    running: list[tuple[float, int]] = []  # end, ordinal
    queue = _Queue(plan)
    now = 0.0
    todo = [cell.ordinal for cell in plan.cells if not cell.parents]
    while True:
        ended = []
        for ordinal in sorted(todo):
            if seconds[ordinal] <= 0:
                ended.append(ordinal)
            else:
                queue.add(ordinal)
        if not ended:
            while len(running) < slots and (begun := queue.take()) is not None:
                heappush(running, (now + seconds[begun] + overhead, begun))
            if not running:
                return now
            now, last = heappop(running)
            queue.ended(last)
            ended = [last]
        todo = [edge.parent for ordinal in ended for edge in children[ordinal] if _released(pending, edge.parent)]


class _Queue:
    """Released jobs, those first that start first. What `max_parallel` holds back waits beside it."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._ready: list[tuple[int, int, int]] = []  # negative priority, order of release, ordinal
        self._held: defaultdict[int, list[tuple[int, int, int]]] = defaultdict(list)  # by node
        self._running: Counter[int] = Counter()
        self._released = 0

    def add(self, ordinal: int) -> None:
        """Add a job."""
        self._released += 1
        heappush(self._ready, (-self._plan.node_of(self._plan.cells[ordinal]).priority, self._released, ordinal))

    def take(self) -> int | None:
        """Remove and return the job that starts next; None when none may start."""
        while self._ready:
            entry = heappop(self._ready)
            node = self._plan.cells[entry[2]].node
            limit = self._plan.nodes[node].max_parallel
            if limit is None or self._running[node] < limit:
                self._running[node] += 1
                return entry[2]
            heappush(self._held[node], entry)
        return None

    def ended(self, ordinal: int) -> None:
        """Admit the next job that waited for this one."""
        node = self._plan.cells[ordinal].node
        self._running[node] -= 1
        if self._held[node]:
            heappush(self._ready, heappop(self._held[node]))


def _released(pending: list[int], ordinal: int) -> bool:
    pending[ordinal] -= 1
    return pending[ordinal] == 0


def overhead_of(plan: Plan, records: Sequence[JobRecord | None]) -> float:
    """Return the seconds between two jobs that a measured run must have had, so that its simulation takes as long as it did.

    The number of slots is what ran at once at most. 0 where nothing can be said.
    """
    times = [(r.started_ms, r.ended_ms) if r and r.started_ms and r.ended_ms else None for r in records]
    known = [time for time in times if time is not None]
    if not known or len(plan.cells) > _LARGEST:
        return 0.0
    measured = (max(end for _start, end in known) - min(start for start, _end in known)) / 1000
    seconds = [0.0 if time is None else max(0.001, (time[1] - time[0]) / 1000) for time in times]
    slots = _most_at_once(known)
    low, high = 0.0, _MOST
    if makespan(plan, seconds, slots, high) < measured:
        return 0.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if makespan(plan, seconds, slots, middle) < measured:
            low = middle
        else:
            high = middle
    return low


def _most_at_once(times: Sequence[tuple[int, int]]) -> int:
    changes = sorted(change for start, end in times for change in ((start, 1), (end, -1)))
    running = most = 0
    for _at, change in changes:
        running += change
        most = max(most, running)
    return max(1, most)
