"""`rq.scheduler`: the process that enqueues due jobs in RQ. In flowq every worker does that."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from flowq import defaults
from flowq.connections.stores import store_for


class SchedulerStatus(StrEnum):
    """The states of a scheduler."""

    STARTED = "started"
    WORKING = "working"
    STOPPED = "stopped"


class RQScheduler:
    """A scheduler that is accepted and not needed.

    Args:
        queues: queues or their names; the due jobs of all queues are enqueued.
        connection: a redis-py client.
        interval: makes no difference, like further options.
    """

    Status = SchedulerStatus

    def __init__(self, queues: Iterable[Any], connection: Any = None, interval: float = 1, **options: Any) -> None:  # noqa: ARG002
        items = [queues] if isinstance(queues, str) else list(queues)
        self._queue_names = {item if isinstance(item, str) else item.name for item in items}
        self._store = store_for(connection)
        self.interval = interval
        self.status = SchedulerStatus.STOPPED

    @property
    def connection(self) -> Any:
        """The redis-py client."""
        return self._store.client

    @property
    def acquired_locks(self) -> set[str]:
        """No locks: any number of workers enqueue what is due, each job once."""
        return set()

    def acquire_locks(self, auto_start: bool = False) -> set[str]:  # noqa: ARG002
        """Return no locks."""
        return set()

    def release_locks(self) -> None:
        """Do nothing."""

    def start(self) -> None:
        """Do nothing: every worker enqueues what is due."""

    def stop(self) -> None:
        """Do nothing."""

    def enqueue_scheduled_jobs(self) -> None:
        """Enqueue what is due now, in place of the next worker."""
        while self._store.workers.sweep(defaults.LEASE).more:
            pass
