"""`CronScheduler`: watches entries and puts their jobs on queues when they are due."""

import json
import logging
import os
import select
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from flowq import binding, defaults, ids
from flowq.callables import load_class
from flowq.cron import registering
from flowq.cron.job import CronJob
from flowq.exceptions import DuplicateSchedulerError, SchedulerNotFound, ServerError
from flowq.queue import Queue
from flowq.worker.signals import StopSignals

if TYPE_CHECKING:
    from datetime import tzinfo

    from flowq.store import Store
    from flowq.store.crons import CronBeat

_here: dict[str, str] = {}  # name -> nonce of the schedulers that live in this process

_BEAT: Final = 10.0  # s between looks at the store at most
_LATER: Final = 1.0  # s until the next try when the server cannot be used
_SHORTEST: Final = 0.002  # s
_LONGEST: Final = 60.0  # s that `calculate_sleep_interval` answers at most, as in RQ


class CronScheduler:
    """Puts jobs on queues at their times. Any number of schedulers with the same entries create each job once.

    Args:
        connection: a redis-py client; without one the configured server.
        logging_level: log to standard error from this level on, unless logging is set up already; the logger is `flowq.cron`.
        name: how it is listed; made of host and process unless given.
        timezone: for entries that do not say theirs; the local one unless given.
        queue_class: class of the queues, or its dotted name.
        job_class: class of the jobs, or its dotted name.
        serializer: of the jobs.
    """

    def __init__(  # noqa: PLR0913 - RQ's signature, and what the jobs are made of
        self,
        connection: Any = None,
        logging_level: str | int = logging.INFO,
        name: str = "",
        *,
        timezone: "tzinfo | str | None" = None,
        queue_class: Any = None,
        job_class: Any = None,
        serializer: Any = None,
    ) -> None:
        self.store: Store = binding.store_for(connection)
        self.hostname = socket.gethostname()
        self.pid = os.getpid()
        self.name = name or f"{self.hostname}:{self.pid}:{ids.nonce()[:6]}"
        self.timezone = timezone
        self.config_file = ""
        self.created_at = datetime.now(UTC)
        self.log = logging.getLogger("flowq.cron")
        self._queue_class: type[Queue] = load_class(queue_class, Queue)
        self._queue_options = {"job_class": job_class, "serializer": serializer}
        self._jobs: list[CronJob] = []
        self._nonce = ids.nonce()
        self._stopped = False
        _set_up_logging(self.log, logging_level)

    @property
    def connection(self) -> Any:
        """The redis-py client that the server is reached with."""
        return self.store.client

    # -- entries --------------------------------------------------------------------------------------------------------------

    def register(  # noqa: PLR0913, PLR0917 - RQ's signature
        self,
        func: Callable[..., Any] | str,
        queue_name: str,
        args: Any = None,
        kwargs: Mapping[str, Any] | None = None,
        interval: float | str | None = None,
        cron: str | None = None,
        job_timeout: float | str | None = None,
        result_ttl: float | str | None = defaults.RESULT_TTL,
        ttl: float | str | None = None,
        failure_ttl: float | str | None = None,
        meta: Mapping[str, Any] | None = None,
        webhooks: Any = None,
        name: str = "",
        *,
        timezone: "tzinfo | str | None" = None,
        **options: Any,
    ) -> CronJob:
        """Add an entry. Arguments as of `CronJob`.

        Raises:
            UsageError: something of it is not possible; says what.
        """
        job = CronJob(
            queue_name,
            func,
            args=args,
            kwargs=kwargs,
            interval=interval,
            cron=cron,
            job_timeout=job_timeout,
            result_ttl=result_ttl,
            ttl=ttl,
            failure_ttl=failure_ttl,
            meta=meta,
            webhooks=webhooks,
            name=name,
            timezone=self.timezone if timezone is None and cron else timezone,
            **options,
        )
        job.check(self._queue(job))
        self._jobs.append(job)
        self.log.info("registered %s on queue %s, %s", job.name, queue_name, job.when())
        return job

    def get_jobs(self) -> list[CronJob]:
        """Return the entries."""
        return self._jobs

    def load_config_from_file(self, config_path: str) -> None:
        """Add the entries that a configuration registers.

        Args:
            config_path: a Python file, or the dotted name of a module.

        Raises:
            UsageError: it cannot be found or executed, or registers nothing; names the line.
        """
        for data in registering.load(config_path):
            self.register(data.pop("func"), data.pop("queue_name"), **data)
        self.config_file = config_path

    # -- working --------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Put jobs on queues until stopped (SIGINT or SIGTERM, or `request_stop`). Waits for a server that goes away.

        Raises:
            DuplicateSchedulerError: another scheduler of this name lives.
        """
        with StopSignals() as signals:
            self.log.info(
                "cron scheduler %s watches %d %s", self.name, len(self._jobs), "entry" if len(self._jobs) == 1 else "entries"
            )
            self._stopped = False
            try:
                self.register_birth()
            except ServerError as error:
                self.log.warning("%s", error)
            try:
                while not signals.count and not self._stopped:
                    pause = self._turn()
                    select.select([signals], [], [], pause)
            finally:
                self._say_goodbye()
        self.log.info("cron scheduler %s has stopped", self.name)

    def request_stop(self) -> None:
        """Let `start` return before its next look."""
        self._stopped = True

    def enqueue_jobs(self) -> list[CronJob]:
        """Put a job on its queue for every entry that is due; return those entries.

        Raises:
            ServerError: the server cannot be used; what was not done is due at the next call.
        """
        beat = self._beat()
        fired = []
        for entry, job, latest in zip(self._keys(), self._jobs, beat.latest, strict=True):
            slot, known = job.due(latest, beat.now_ms), latest
            if slot is not None:
                created, known = job.fire(self._queue(job), entry, latest, slot)
                if created is not None:
                    fired.append(job)
                    self.log.info("enqueued %s on queue %s as %s", job.name, job.queue_name, created.id)
            job.see(known, beat.now_ms)
        if fired:
            self._beat()  # what is shown of the entries has changed
        return fired

    def _queue(self, job: CronJob) -> Queue:
        return self._queue_class(job.queue_name, self.store, **self._queue_options)

    def calculate_sleep_interval(self) -> float:
        """Return the seconds until the next entry is due, by the server's clock; 60 at most."""
        return max(0.0, min(self._until_next(self.store.now_ms()), _LONGEST))

    def _turn(self) -> float:
        """Do what is due and return for how long there is nothing to do."""
        try:
            self.enqueue_jobs()
            return max(_SHORTEST, min(self._until_next(self.store.now_ms()), _BEAT))
        except DuplicateSchedulerError as error:
            self.log.error("%s", error)  # noqa: TRY400 - the sentence says it all
            self._stopped = True
            return 0
        except ServerError as error:
            self.log.warning("%s", error)
            return _LATER

    def _until_next(self, now: int) -> float:
        times = [job.next_enqueue_time for job in self._jobs if job.next_enqueue_time is not None]
        return (min(times).timestamp() * 1000 - now) / 1000 if times else _LONGEST

    # -- being listed ---------------------------------------------------------------------------------------------------------

    def register_birth(self) -> None:
        """Put the scheduler on the list of those that live.

        Raises:
            DuplicateSchedulerError: another one of this name does.
        """
        self._beat()

    def heartbeat(self) -> None:
        """Say that it lives; `start` does."""
        self._beat()

    def register_death(self, pipeline: Any = None) -> None:  # noqa: ARG002 - RQ's signature
        """Take the scheduler off the list."""
        if _here.get(self.name) == self._nonce:
            del _here[self.name]
        self.store.crons.leave(self.name, self._nonce)

    @property
    def last_heartbeat(self) -> datetime | None:
        """When it was last heard of, None when it does not live."""
        row = self.store.crons.scheduler(self.name)
        return None if row is None else datetime.fromtimestamp(int(row["beat"]) / 1000, UTC)

    @classmethod
    def all(cls, connection: Any = None, cleanup: bool = True) -> "list[CronScheduler]":  # noqa: ARG003 - RQ's signature
        """Return the schedulers that live, to look at."""
        store = binding.store_for(connection)
        rows = ((name, store.crons.scheduler(name)) for name in store.crons.schedulers())
        return [cls._restored(name, row, store) for name, row in rows if row is not None]

    @classmethod
    def fetch(cls, name: str, connection: Any = None) -> "CronScheduler":
        """Return the scheduler of a name, to look at.

        Raises:
            SchedulerNotFound: there is none that lives.
        """
        store = binding.store_for(connection)
        row = store.crons.scheduler(name)
        if row is None:
            raise SchedulerNotFound(f"no cron scheduler {name!r} lives: it has not started, or has stopped")
        return cls._restored(name, row, store)

    @classmethod
    def _restored(cls, name: str, row: dict[str, str], store: "Store") -> "CronScheduler":
        found = cls(store, logging.NOTSET, name)
        found.hostname, found.pid = row["hostname"], int(row["pid"])
        found.config_file = row["config_file"]
        found.created_at = datetime.fromisoformat(row["created_at"])
        found._jobs = [CronJob.from_dict(data) for data in json.loads(row["cron_jobs"])]
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return what is shown of it."""
        return {
            "hostname": self.hostname,
            "pid": self.pid,
            "name": self.name,
            "created_at": self.created_at.isoformat(),
            "config_file": self.config_file,
            "cron_jobs": json.dumps([job.to_dict() for job in self._jobs]),
        }

    def _beat(self) -> "CronBeat":
        entries = [(key, job.interval is None) for key, job in zip(self._keys(), self._jobs, strict=True)]
        beat = self.store.crons.beat(self.name, self._nonce, self.to_dict(), entries)
        if beat.holder is not None:
            host, pid = beat.holder
            if not self._is_dead(host, pid):
                raise DuplicateSchedulerError(
                    f"another cron scheduler named {self.name!r} lives (process {pid} on {host}): stop it, or choose another name"
                )
            beat = self.store.crons.beat(self.name, self._nonce, self.to_dict(), entries, force=True)
        _here[self.name] = self._nonce
        return beat

    def _is_dead(self, hostname: str, pid: int) -> bool:
        """Return whether the process that has the name is known to be gone, so that a restart after a crash need not wait."""
        if hostname != self.hostname:
            return False
        if pid == os.getpid():  # as in a container that was started again: unless it is one of this very process
            return _here.get(self.name, self._nonce) == self._nonce
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False

    def _keys(self) -> list[str]:
        """Return the identity of each entry; those that are registered twice alike are told apart by their order."""
        seen: Counter[str] = Counter()
        keys = []
        for job in self._jobs:
            key = job.key()
            keys.append(f"{key}-{seen[key]}" if seen[key] else key)
            seen[key] += 1
        return keys

    def _say_goodbye(self) -> None:
        try:
            self.register_death()
        except ServerError as error:
            self.log.warning("%s", error)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CronScheduler) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r})"


def create_cron(connection: Any = None) -> CronScheduler:
    """Return a scheduler with the entries that were registered in this process and not taken yet."""
    scheduler = CronScheduler(connection)
    for data in registering.taken():
        scheduler.register(data.pop("func"), data.pop("queue_name"), **data)
    return scheduler


def _set_up_logging(logger: logging.Logger, level: str | int) -> None:
    if level == logging.NOTSET or logger.hasHandlers():
        return
    logger.setLevel(level.upper() if isinstance(level, str) else level)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger.addHandler(handler)
