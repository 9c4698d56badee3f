"""`rq.intermediate_queue`: jobs between a queue and a worker, of which flowq has none."""

from typing import Any


class IntermediateQueue:
    """An intermediate queue, always empty: a job is taken from its queue and given to its worker in one step."""

    def __init__(self, queue_key: str, connection: Any) -> None:
        self.queue_key = queue_key
        self.connection = connection
        self.key = self.get_intermediate_queue_key(queue_key)

    @classmethod
    def get_intermediate_queue_key(cls, queue_key: str) -> str:
        """Return the name of its key, under which nothing is stored."""
        return f"{queue_key}:intermediate"

    def get_job_ids(self) -> list[str]:
        """Return no ids."""
        return []

    def cleanup(self, worker: Any, queue: Any) -> None:
        """Do nothing."""
