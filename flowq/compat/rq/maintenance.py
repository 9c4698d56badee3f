"""`rq.maintenance`: nothing to maintain."""

from typing import Any


def clean_intermediate_queue(worker: Any, queue: Any) -> None:
    """Do nothing: a job is taken from its queue and given to its worker in one step, so none is in between."""
