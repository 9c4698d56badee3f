"""`CronScheduler`: the loop that enqueues jobs when they are due."""

import logging
import os
import select
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from flowq import defaults, ids
from flowq.connections import stores
from flowq.cron import registration
from flowq.cron.job import CronJob
from flowq.cron.schedulers import Listed
from flowq.dotted_names import load_class
from flowq.exceptions import DuplicateSchedulerError, ServerError
from flowq.queue import Queue
from flowq.serializers import resolve_serializer
from flowq.worker.signals import StopSignals

if TYPE_CHECKING:
    from datetime import tzinfo

    from flowq.store import Store

_BEAT: Final = 10.0  # maximal s between heartbeats
_LATER: Final = 1.0  # s before another try when the server is unreachable
_SHORTEST: Final = 0.002  # s
_LONGEST: Final = 60.0  # maximal result of `calculate_sleep_interval` in s, as in RQ


class CronScheduler(Listed):
    """A scheduler that enqueues jobs when they are due. Any number of schedulers with the same entries create each job once.

    Args:
        connection: a redis-py client; None: the configured server.
        logging_level: log to standard error from this level on, unless logging is set up already; the logger is `flowq.cron`.
        name: the name under which it is listed; by default made from host and process.
        timezone: for entries that name none; by default the local one.
        queue_class: class of the queues, or its dotted name.
        job_class: class of the jobs, or its dotted name.
        serializer: the serializer of the jobs.
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
        self._store = None if connection is None else stores.store_for(connection)
        self.hostname = socket.gethostname()
        self.pid = os.getpid()
        self.name = name or f"{self.hostname}:{self.pid}:{ids.nonce()[:6]}"
        self.timezone = timezone
        self.config_file = ""
        self.created_at = datetime.now(UTC)
        self.log = logging.getLogger("flowq.cron")
        self._queue_class: type[Queue] = load_class(queue_class, Queue)
        self.serializer = resolve_serializer(serializer)
        self._job_class = job_class
        self._jobs: list[CronJob] = []
        self._nonce = ids.nonce()
        self._stopped = False
        self._trouble = ""  # the last message about a server that cannot be used
        _set_up_logging(self.log, logging_level)

    @property
    def connection(self) -> Any:
        """The redis-py client; one that is set is used from then on."""
        return stores.connection_of(self.store)

    @connection.setter
    def connection(self, connection: Any) -> None:
        self._store = None if connection is None else stores.store_for(connection)

    @property
    def store(self) -> "Store":
        """The store that the jobs go to; the configured server's where no connection was given."""
        if self._store is None:
            self._store = stores.store_for(None)
        return self._store

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
        given = dict(locals())
        del given["self"]
        given |= given.pop("options")
        if timezone is None and cron:
            given["timezone"] = self.timezone
        job = CronJob(**given)
        job.check(self._queue(job))
        self._jobs.append(job)
        self.log.info("registered %s on queue %s, %s", job.name, queue_name, job.when())
        return job

    def get_jobs(self) -> list[CronJob]:
        """Return the entries."""
        return self._jobs

    def load_config_from_file(self, config_path: str) -> None:
        """Add the entries of a configuration.

        Args:
            config_path: a Python file, or the dotted name of a module.

        Raises:
            UsageError: it cannot be found or executed, or registers nothing; the message names the line.
        """
        for data in registration.load(config_path):
            self.register(data.pop("func"), data.pop("queue_name"), **registration.given(data))
        self.config_file = config_path

    # -- working --------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Enqueue jobs until stopped by SIGINT, SIGTERM or `request_stop`. Wait while the server is unreachable.

        Raises:
            DuplicateSchedulerError: another scheduler of this name is alive.
        """
        with StopSignals() as signals:
            self.log.info(
                "cron scheduler %s watches %d %s", self.name, len(self._jobs), "entry" if len(self._jobs) == 1 else "entries"
            )
            self._stopped = False
            with suppress(ServerError):  # the first iteration reports it
                self.register_birth()
            try:
                while not signals.count and not self._stopped:
                    pause = self._turn()
                    select.select([signals], [], [], pause)
            finally:
                self._say_goodbye()
        self.log.info("cron scheduler %s has stopped", self.name)

    def request_stop(self) -> None:
        """Let `start` return before its next iteration."""
        self._stopped = True

    def enqueue_jobs(self) -> list[CronJob]:
        """Enqueue a job for every entry that is due; return those entries.

        Raises:
            ServerError: the server cannot be used; the remaining entries are due at the next call.
        """
        beat = self._beat()
        fired = []
        for entry, job, latest, had_job in zip(self._keys(), self._jobs, beat.latest, beat.had_job, strict=True):
            slot, known, has_job = job.due(latest, beat.now_ms), latest, had_job
            if slot is not None:
                created, known = job.fire(self._queue(job), entry, latest, slot)
                has_job = has_job or known != latest
                if created is not None:
                    fired.append(job)
                    self.log.info("enqueued %s on queue %s as %s", job.name, job.queue_name, created.id)
            job.see(known, beat.now_ms, has_job=has_job)
        if fired:
            self._beat()  # publish the changed entries
        return fired

    def _queue(self, job: CronJob) -> Queue:
        return self._queue_class(job.queue_name, self.connection, job_class=self._job_class, serializer=self.serializer)

    def calculate_sleep_interval(self) -> float:
        """Return the seconds until the next entry is due, by the server's clock; at most 60."""
        return max(0.0, min(self._until_next(self.store.now_ms()), _LONGEST))

    def _turn(self) -> float:
        """Enqueue the due jobs; return the seconds until the next iteration."""
        try:
            self.enqueue_jobs()
            pause = max(_SHORTEST, min(self._until_next(self.store.now_ms()), _BEAT))
        except DuplicateSchedulerError as error:
            self.log.error("%s", error)  # noqa: TRY400 - the sentence says it all
            self._stopped = True
            return 0
        except ServerError as error:
            if str(error) != self._trouble:  # log it once, not every second
                self._trouble = str(error)
                self.log.warning("%s; it is waited for", error)
            return _LATER
        if self._trouble:
            self._trouble = ""
            self.log.info("the server is back")
        return pause

    def _until_next(self, now: int) -> float:
        times = [job.next_enqueue_time for job in self._jobs if job.next_enqueue_time is not None]
        return (min(times).timestamp() * 1000 - now) / 1000 if times else _LONGEST

    def _say_goodbye(self) -> None:
        try:
            self.register_death()
        except ServerError as error:
            self.log.warning("%s", error)


def create_cron(connection: Any = None) -> CronScheduler:
    """Return a scheduler with the entries that were registered in this process and not used yet."""
    scheduler = CronScheduler(connection)
    for data in registration.taken():
        scheduler.register(data.pop("func"), data.pop("queue_name"), **data)
    return scheduler


def _set_up_logging(logger: logging.Logger, level: str | int) -> None:
    if level == logging.NOTSET or logger.hasHandlers():
        return
    logger.setLevel(level.upper() if isinstance(level, str) else level)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger.addHandler(handler)
