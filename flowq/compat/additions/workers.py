"""Names of RQ's workers. What a worker of flowq does by itself does nothing here."""

import logging
import signal
from typing import Any, Self

from flowq import defaults, worker
from flowq.compat.additions import add, add_constants
from flowq.worker import registration
from flowq.worker.methods import declare_own
from flowq.worker.options import WorkerOptions
from flowq.worker.worker import Worker


def signal_name(number: int) -> str:
    """Return the name of a signal, such as "SIGTERM"; of an unknown one "SIG_UNKNOWN"."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return "SIG_UNKNOWN"


class _WorkerNames(Worker):
    redis_worker_namespace_prefix = "rq:worker:"
    redis_workers_keys = "rq:workers"

    @property
    def key(self) -> str:
        """What RQ calls its key."""
        return f"rq:worker:{self.name}"

    @classmethod
    def find_by_key(cls, worker_key: str, connection: Any = None, **options: Any) -> Self | None:  # noqa: ARG003 - RQ's signature
        """Return the living worker of what RQ calls its key, None if there is none.

        Raises:
            ValueError: it is not the key of a worker.
        """
        if not worker_key.startswith("rq:worker:"):
            raise ValueError(f"expected a key that begins with rq:worker:, found {worker_key!r}")
        return cls.find(worker_key.removeprefix("rq:worker:"), connection)

    def register_birth(self) -> None:
        """Register the worker without working, as monitors do in their tests. `work` does it by itself."""
        registration.register(self.store, WorkerOptions(tuple(self.queue_names()), name=self.name))

    def register_death(self) -> None:
        """Unregister a worker that was registered here."""
        self.store.workers.leave(self.name)

    def clean_registries(self) -> None:
        """Do nothing: expired entries leave by themselves."""

    def run_maintenance_tasks(self) -> None:
        """Do nothing, for the same reason."""


add(Worker, _WorkerNames)
declare_own(_WorkerNames)
add_constants(
    worker,
    {
        "BaseWorker": Worker,
        "DEFAULT_RESULT_TTL": int(defaults.RESULT_TTL),
        "SHUTDOWN_SIGNAL": signal.SIGKILL,
        "logger": logging.getLogger("rq.worker"),
        "signal_name": signal_name,
    },
)
