"""The order in which a worker serves its queues."""

import random
from collections.abc import Sequence


class QueueOrder:
    """Queues in the order of a strategy: as they were given ("default"), "round_robin", or "random"."""

    def __init__(self, queues: Sequence[str], strategy: str) -> None:
        self._queues = list(queues)
        self._strategy = strategy

    def next(self) -> list[str]:
        """Return the queues in the order of the next claim."""
        if self._strategy == "random":
            random.shuffle(self._queues)
        return self._queues

    def served(self, queue: str) -> None:
        """Record that a job of a queue was claimed: round-robin moves that queue and those before it behind all others."""
        if self._strategy == "round_robin" and queue in self._queues:
            cut = self._queues.index(queue) + 1
            self._queues = self._queues[cut:] + self._queues[:cut]
