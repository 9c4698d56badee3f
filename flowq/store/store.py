"""`Store`: the parts of this package on one session."""

from functools import cached_property
from typing import TYPE_CHECKING

from flowq.store.cache import Caches
from flowq.store.client.async_connection import WakeupConnection, WorkerConnection, is_stand_in
from flowq.store.client.session import Session
from flowq.store.cron import Crons
from flowq.store.groups import Groups
from flowq.store.jobs import Jobs
from flowq.store.queues import Queues
from flowq.store.runs import Runs
from flowq.store.semaphores import Semaphores
from flowq.store.webhooks import Webhooks
from flowq.store.workers import Workers

if TYPE_CHECKING:
    import redis

    from flowq.embedded.attach import Attachment
    from flowq.store.backfills import Backfills
    from flowq.store.files.artifacts import Artifacts
    from flowq.store.files.bundles import Bundles
    from flowq.store.page.access import Accesses
    from flowq.store.page.job_logs import JobLogs
    from flowq.store.page.live import LiveStreams
    from flowq.store.page.stats import Stats
    from flowq.store.schedules import Schedules


class Store:
    """Everything flowq keeps on a server, in one namespace.

    Args:
        client: a redis-py client made by `flowq.connections.clients.open_client` (no response decoding, no retries of its own).
        namespace: the hash tag of all keys.
        follow: see `Session`.
        anchor: an object to keep alive as long as the store, e.g. the attachment to the embedded server.
    """

    def __init__(
        self, client: "redis.Redis", namespace: str = "flowq", *, follow: bool = True, anchor: "Attachment | None" = None
    ) -> None:
        self.client = client
        self.anchor = anchor
        self.session = Session(client, namespace, follow=follow)
        self.jobs = Jobs(self.session)
        self.runs = Runs(self.session, self.jobs)
        self.queues = Queues(self.session)
        self.workers = Workers(self.session)
        self.webhooks = Webhooks(self.session)
        self.groups = Groups(self.session)
        self.semaphores = Semaphores(self.session)
        self.crons = Crons(self.session)
        self.caches = Caches(self.session)

    # Few processes look at these: the others need not spend milliseconds on the import.

    @cached_property
    def schedules(self) -> "Schedules":
        """The schedules of flows."""
        from flowq.store.schedules import Schedules

        return Schedules(self.session)

    @cached_property
    def backfills(self) -> "Backfills":
        """The past dates that schedules are to make up for."""
        from flowq.store.backfills import Backfills

        return Backfills(self.session)

    @cached_property
    def stats(self) -> "Stats":
        """The counters for observers."""
        from flowq.store.page.stats import Stats

        return Stats(self.session)

    @cached_property
    def accesses(self) -> "Accesses":
        """The tokens and sessions of the HTTP server, and what was done with them."""
        from flowq.store.page.access import Accesses

        return Accesses(self.session)

    @cached_property
    def bundles(self) -> "Bundles":
        """The files that travel with runs."""
        from flowq.store.files.bundles import Bundles

        return Bundles(self.session)

    @cached_property
    def job_logs(self) -> "JobLogs":
        """Where the output of jobs is in the logs of their runs."""
        from flowq.store.page.job_logs import JobLogs

        return JobLogs(self.session)

    @cached_property
    def artifacts(self) -> "Artifacts":
        """The files that jobs have left."""
        from flowq.store.files.artifacts import Artifacts

        return Artifacts(self.session)

    @cached_property
    def live(self) -> "LiveStreams":
        """What changes, as the page shows it at once."""
        from flowq.store.page.live import LiveStreams

        return LiveStreams(self.session)

    @property
    def namespace(self) -> str:
        """The hash tag of all keys."""
        return self.session.keys.namespace

    def open(self) -> "Store":
        """Check schema and incarnation (and with that the server); returns itself."""
        self.session.open()
        return self

    def open_to_read(self) -> "Store":
        """Do the same; a server that refuses changes will do, see `Session.refusal`."""
        self.session.open_to_read()
        return self

    def now_ms(self) -> int:
        """Return the server's clock in milliseconds."""
        return self.session.now_ms()

    def is_full(self) -> bool:
        """Return whether the server has reached its maxmemory; False also for a user without the right to ask (ACL)."""
        from redis.exceptions import ResponseError

        try:
            memory = self.client.info("memory")
        except ResponseError:
            return False
        limit = int(memory.get("maxmemory", 0))
        return 0 < limit <= int(memory.get("used_memory", 0))

    def is_stand_in(self) -> bool:
        """Return whether the server is a stand-in in the memory of this process, such as fakeredis."""
        return is_stand_in(self.session)

    def link(self, worker: str, lease: float) -> WorkerConnection:
        """Return a worker's own connection for its transitions. `lease` in seconds."""
        return WorkerConnection(self.session, worker, lease)

    def waiter(self, worker: str) -> WakeupConnection:
        """Return a worker's second connection, which waits for hints."""
        return WakeupConnection(self.session, worker)

    def close(self) -> None:
        """Close the connections, and give up the use of the embedded server where that is what the store is on."""
        self.client.close()
        if self.anchor is not None:
            self.anchor.close()
