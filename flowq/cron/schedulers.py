"""The registry of live schedulers: heartbeats, and the published state of their entries."""

import json
import logging
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from flowq import processes
from flowq.connections import stores
from flowq.cron.job import CronJob
from flowq.exceptions import DuplicateSchedulerError, SchedulerNotFound

if TYPE_CHECKING:
    from flowq.store import Store
    from flowq.store.cron import CronBeat

_here: dict[str, str] = {}  # name -> nonce of the live schedulers of this process


class Listed:
    """The registry methods of a scheduler. A heartbeat renews its registration and returns the state of its entries."""

    name: str
    hostname: str
    pid: int
    config_file: str
    created_at: datetime
    _jobs: list[CronJob]
    _nonce: str

    @property
    def store(self) -> "Store":
        """The store that the jobs go to."""
        raise NotImplementedError

    def register_birth(self) -> None:
        """Register the scheduler.

        Raises:
            DuplicateSchedulerError: another scheduler of this name is alive.
        """
        self._beat()

    def heartbeat(self) -> None:
        """Renew the registration; `start` does this itself."""
        self._beat()

    def register_death(self, pipeline: Any = None) -> None:  # noqa: ARG002 - RQ's signature
        """Unregister the scheduler."""
        if _here.get(self.name) == self._nonce:
            del _here[self.name]
        self.store.crons.leave(self.name, self._nonce)

    @property
    def last_heartbeat(self) -> datetime | None:
        """The time of the last heartbeat; None if it is not alive."""
        row = self.store.crons.scheduler(self.name)
        return None if row is None else datetime.fromtimestamp(int(row["beat"]) / 1000, UTC)

    @classmethod
    def all(cls, connection: Any = None, cleanup: bool = True) -> list[Self]:  # noqa: ARG003 - RQ's signature
        """Return the live schedulers, read-only."""
        store = stores.store_for(connection)
        rows = ((name, store.crons.scheduler(name)) for name in store.crons.schedulers())
        return [cls._restored(name, row, store) for name, row in rows if row is not None]

    @classmethod
    def fetch(cls, name: str, connection: Any = None) -> Self:
        """Return the live scheduler of a name, read-only.

        Raises:
            SchedulerNotFound: there is none.
        """
        store = stores.store_for(connection)
        row = store.crons.scheduler(name)
        if row is None:
            raise SchedulerNotFound(f"no cron scheduler {name!r} is alive: it has not started, or has stopped")
        return cls._restored(name, row, store)

    @classmethod
    def _restored(cls, name: str, row: dict[str, str], store: "Store") -> Self:
        found = cls(stores.connection_of(store), logging.NOTSET, name)  # type: ignore[call-arg] # of the scheduler
        found.hostname, found.pid = row["hostname"], int(row["pid"])
        found.config_file = row["config_file"]
        found.created_at = datetime.fromisoformat(row["created_at"])
        found._jobs = [CronJob.from_dict(data) for data in json.loads(row["cron_jobs"])]
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the published state as JSON."""
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
        fields = self.to_dict() | {"process": processes.identity()}
        beat = self.store.crons.beat(self.name, self._nonce, fields, entries)
        if beat.holder is not None:
            host, pid, process = beat.holder
            if not self._is_dead(process):
                raise DuplicateSchedulerError(
                    f"another cron scheduler named {self.name!r} is alive (process {pid} on {host}): stop it, or choose another name"
                )
            beat = self.store.crons.beat(self.name, self._nonce, fields, entries, force=True)
        _here[self.name] = self._nonce
        return beat

    def _is_dead(self, process: str) -> bool:
        """Return whether the process that holds the name is known to be dead, so that a restart after a crash need not wait."""
        if process and process == processes.identity():  # this very process: unless another scheduler of it has the name
            return _here.get(self.name, self._nonce) == self._nonce
        return processes.is_running(process) is False

    def _keys(self) -> list[str]:
        """Return the identity of each entry; equal registrations are numbered in order."""
        seen: Counter[str] = Counter()
        keys = []
        for job in self._jobs:
            key = job.key()
            keys.append(f"{key}-{seen[key]}" if seen[key] else key)
            seen[key] += 1
        return keys

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Listed) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r})"
