"""`Worker`: executing jobs from a program of one's own, as users of RQ know it.

`Worker([queue]).work()` clones the calling process once; the clone forks a work horse for each job, so imports, paths and patches of
the caller are there in its jobs.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flowq import binding, defaults
from flowq.exceptions import UsageError
from flowq.worker.options import WorkerOptions
from flowq.worker.supervisor import Supervisor

if TYPE_CHECKING:
    from flowq.queue import Queue
    from flowq.store import Store


class Worker:
    """Executes the jobs of queues, each in a forked process.

    Args:
        queues: a queue, a queue's name, or several, in order of priority.
        name: how it is listed; random otherwise.
        connection: a redis-py client; without one that of the first queue, else the configured server.
    """

    def __init__(
        self, queues: "Queue | str | Iterable[Queue | str]", name: str | None = None, *, connection: Any = None
    ) -> None:
        items = [queues] if isinstance(queues, str) or not isinstance(queues, Iterable) else list(queues)
        if not items:
            raise UsageError("a worker needs at least one queue")
        self.name = name or WorkerOptions(()).name
        self._names = tuple(item if isinstance(item, str) else item.name for item in items)
        bound = next((item.store for item in items if not isinstance(item, str)), None)
        self.store: Store = binding.store_for(connection if connection is not None or bound is None else bound)

    def work(
        self,
        burst: bool = False,
        *,
        max_jobs: int | None = None,
        max_idle_time: float | None = None,
        slots: int = 1,
        lease: float = defaults.LEASE,
    ) -> bool:
        """Execute jobs until stopped (SIGINT or SIGTERM: running jobs finish first; a second one hands them back).

        Args:
            burst: stop when the queues are empty.
            max_jobs: stop after that many jobs.
            max_idle_time: stop after that many seconds without a job.
            slots: jobs at once.
            lease: seconds after which a job of a worker that has died is given to another.

        Returns:
            Whether a job was executed.
        """
        from flowq.store import Store

        options = WorkerOptions(
            queues=self._names,
            slots=slots,
            name=self.name,
            burst=burst,
            max_jobs=max_jobs,
            max_idle=max_idle_time,
            clone=True,
            lease=lease,
        )
        own = Store(self.store.client, self.store.namespace, follow=False, anchor=self.store.anchor)
        binding.set_default_store(self.store)
        supervisor = Supervisor(own.open(), options)
        supervisor.run()
        return supervisor.executed > 0
