"""The simulation of a run: its duration on some number of slots, and the overhead per job that a measured run had."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Final, TypeAlias

from flowq.plan import Plan
from flowq.store.schema.records import JobRecord

_STEPS: Final = 12  # of the bisection: a 4096th of the range
_LARGEST: Final = 5000  # cells of a plan that is simulated so often
_MOST: Final = 0.5  # s of overhead; a larger value has another cause
_DIGITS: Final = 15  # of a rank


def delays_of(plan: Plan, seconds: Sequence[float]) -> tuple[float, ...]:
    """Return the `delay` of each job that is executed, 0 of all others."""
    nodes = (plan.node_of(cell) for cell in plan.cells)
    return tuple(node.delay or 0.0 if taken > 0 else 0.0 for node, taken in zip(nodes, seconds, strict=True))


def makespan(
    plan: Plan,
    seconds: Sequence[float],
    slots: int,
    overhead: float = 0.0,
    *,
    delays: Sequence[float] | None = None,
    ranks: Sequence[int] = (),
) -> float:
    """Return the seconds a run takes on this many slots, each job as long as given.

    `overhead` is the seconds that each executed job takes besides, `delays` what each waits before it is queued; None: its `delay`. A
    simulation of what the queue does: jobs start in the order of their priority, then of their ranks if they have some, then in the order in
    which they were released; of a job with `max_parallel`, and in a concurrency group, so many run at once. Approvals and delays occupy no slot.
    """
    children = plan.children()
    pending = [len(cell.parents) for cell in plan.cells]
    waits = delays_of(plan, seconds) if delays is None else delays
    running: list[tuple[float, int]] = []  # end, ordinal
    timers: list[tuple[float, int]] = []  # end of a delay or an approval, ordinal
    queue = _Queue(plan, ranks)
    now = 0.0
    todo = [cell.ordinal for cell in plan.cells if not cell.parents]
    while True:
        ended = [ordinal for ordinal in sorted(todo) if seconds[ordinal] <= 0]
        for ordinal in sorted(todo):
            wait = seconds[ordinal] if queue.is_timer(ordinal) else waits[ordinal]
            if seconds[ordinal] > 0 and wait > 0:
                heappush(timers, (now + wait, ordinal))
            elif seconds[ordinal] > 0:
                queue.add(ordinal)
        while not ended:
            while len(running) < slots and (begun := queue.take()) is not None:
                heappush(running, (now + seconds[begun] + overhead, begun))
            if timers and (not running or timers[0] <= running[0]):
                now, last = heappop(timers)
                if not queue.is_timer(last):
                    queue.add(last)
                    continue
            elif running:
                now, last = heappop(running)
                queue.ended(last)
            else:
                return now
            ended = [last]
        todo = [edge.parent for ordinal in ended for edge in children[ordinal] if _released(pending, edge.parent)]


_Limit: TypeAlias = tuple[str, int]  # its name; how many run at once
_Entry: TypeAlias = tuple[int, int, int, int]  # negative priority, negative rank, order of release, ordinal


class _Queue:
    """Released jobs, those first that start first. What `max_parallel` or a concurrency group holds back waits beside it."""

    def __init__(self, plan: Plan, ranks: Sequence[int]) -> None:
        self._plan = plan
        self._ranks = ranks
        self._ready: list[_Entry] = []
        self._held: defaultdict[str, list[_Entry]] = defaultdict(list)  # by the limit that it waits for
        self._running: Counter[str] = Counter()
        self._released = 0

    def is_timer(self, ordinal: int) -> bool:
        """Return whether a job takes time and no slot: an approval."""
        return self._plan.node_of(self._plan.cells[ordinal]).action.kind == "approval"

    def add(self, ordinal: int) -> None:
        """Add a job."""
        self._released += 1
        rank = self._ranks[ordinal] if self._ranks else 0
        heappush(self._ready, (-self._plan.node_of(self._plan.cells[ordinal]).priority, -rank, self._released, ordinal))

    def take(self) -> int | None:
        """Remove and return the job that starts next; None when none may start."""
        while self._ready:
            entry = heappop(self._ready)
            ordinal = entry[-1]
            limits = self._limits(ordinal)
            full = next((name for name, most in limits if self._running[name] >= most), None)
            if full is None:
                self._running.update(name for name, _most in limits)
                return ordinal
            heappush(self._held[full], entry)
        return None

    def ended(self, ordinal: int) -> None:
        """Admit the next job that waited for this one."""
        for name, _most in self._limits(ordinal):
            self._running[name] -= 1
            if self._held[name]:
                heappush(self._ready, heappop(self._held[name]))

    def _limits(self, ordinal: int) -> list[_Limit]:
        """Return the limits of a job. A group whose name is computed in the run is left out: who shares it is not known."""
        number = self._plan.cells[ordinal].node
        node = self._plan.nodes[number]
        found = [] if node.max_parallel is None else [(f"job {number}", node.max_parallel)]
        if node.concurrency is not None and isinstance(node.concurrency.group, str):
            found.append((f"group {node.concurrency.group}", node.concurrency.max))
        return found


def _released(pending: list[int], ordinal: int) -> bool:
    pending[ordinal] -= 1
    return pending[ordinal] == 0


def _rank_of(record: JobRecord) -> int:
    text = record.fields.get("rank", "")
    return int(text) if text.isdecimal() and len(text) <= _DIGITS else 0  # a damaged one orders nothing in the queue either


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
    ranks = [0 if record is None else _rank_of(record) for record in records]
    low, high = 0.0, _MOST
    if makespan(plan, seconds, slots, high, ranks=ranks) < measured:
        return 0.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if makespan(plan, seconds, slots, middle, ranks=ranks) < measured:
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
