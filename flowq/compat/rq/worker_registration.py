"""`rq.worker_registration`: the list of workers, which `Worker.work` keeps by itself."""

from typing import Any, Final

from flowq.connections.stores import store_for

REDIS_WORKER_KEYS: Final = "rq:workers"  # names of keys under which nothing is stored
WORKERS_BY_QUEUE_KEY: Final = "rq:workers:%s"
MAX_KEYS: Final = 1000


def register(worker: Any, pipeline: Any = None) -> None:
    """Do nothing: `Worker.work` registers the worker."""


def unregister(worker: Any, pipeline: Any = None) -> None:
    """Do nothing: `Worker.work` does it."""


def get_keys(queue: Any = None, connection: Any = None) -> set[str]:
    """Return what RQ calls the keys of the living workers; with `queue`, of those that serve it."""
    store = store_for(connection if queue is None else queue.store)
    return {f"rq:worker:{record.name}" for record in store.workers.live() if queue is None or queue.name in record.queues}


def clean_worker_registry(queue: Any) -> None:
    """Do nothing: a worker that is silent is not listed."""
