"""Suspending all workers: they finish what they execute and claim nothing until they are resumed."""

from typing import Any

from flowq.connections.stores import store_for
from flowq.durations import parse_duration


def suspend(connection: Any = None, ttl: float | str | None = None) -> None:
    """Suspend all workers.

    Args:
        connection: a redis-py client; without one, the configured server.
        ttl: seconds after which they resume by themselves.
    """
    store_for(connection).queues.suspend(None if ttl is None else parse_duration(ttl))


def resume(connection: Any = None) -> bool:
    """Resume all workers; return whether they were suspended."""
    return store_for(connection).queues.resume()


def is_suspended(connection: Any = None, worker: Any = None) -> bool:  # noqa: ARG001 - the signature of RQ
    """Return whether workers are suspended; `worker` makes no difference, all are or none."""
    return store_for(connection).queues.suspended()
