"""`CronJob`: one entry of a schedule."""

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from flowq import defaults
from flowq.connections import stores
from flowq.dotted_names import reference
from flowq.durations import format_duration, parse_duration
from flowq.exceptions import UsageError
from flowq.jobs.call import Call
from flowq.jobs.options import as_arguments, bind_options, enqueue_options, is_option, parse_options
from flowq.jobs.prepared import EnqueueData
from flowq.queue import Queue
from flowq.slots.schedule import CronExpression, Interval, Timetable
from flowq.slots.timezones import name_of, named
from flowq.store.schema.outcomes import Outcome

if TYPE_CHECKING:
    from datetime import tzinfo

    from flowq.job import Job
    from flowq.store import Store

GRACE: Final = 60_000  # ms by which a slot may be late and still be kept with `catch_up=False`
_SHOWN: Final = ("job_timeout", "result_ttl", "ttl", "failure_ttl", "meta")
_REFUSED: Final = (
    "job_id",
    "id",
    "unique",
    "depends_on",
    "pipeline",
)  # options of `enqueue` that make no sense for repeated jobs


class CronJob:
    """A call that a scheduler enqueues periodically.

    Args:
        queue_name: the queue.
        func: the function, or its dotted name.
        func_name: its dotted name, in place of `func`.
        args: its positional arguments.
        kwargs: its keyword arguments.
        interval: seconds (or a string such as "5m") between jobs; the first is due at once.
        cron: a cron expression; give this or `interval`.
        name: the name under which its jobs are listed; by default the function's.
        timezone: the time zone of the expression, such as "Europe/Berlin"; by default the local one.
        catch_up: whether a job is created for the latest of the slots that were missed because no scheduler ran.
        result_ttl: how long its jobs are kept after success.
        **options: further options of its jobs, as in `Queue.enqueue`.

    Raises:
        UsageError: an argument is wrong; the message names it.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - RQ's signature
        self,
        queue_name: str,
        func: Callable[..., Any] | str | None = None,
        func_name: str | None = None,
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
        catch_up: bool = True,
        **options: Any,
    ) -> None:
        if func is None and not func_name:
            raise UsageError("a cron job needs func=… or func_name=…")
        if (not interval) == (not cron):
            raise UsageError("a cron job needs either interval=… (seconds) or cron=… (an expression), and not both")
        refused = [option for option in _REFUSED if options.get(option) is not None]
        if refused:
            raise UsageError(f"{refused[0]}=… is of one job and cannot be given to all jobs of a schedule")
        self.func = func if callable(func) else func_name or func
        self.func_name = reference(self.func) if self.func is not None else ""
        self.name = name or self.func_name
        self.args = as_arguments(args)
        self.kwargs = dict(kwargs or {})
        self.interval = interval
        self.cron = cron
        self.timezone = named(timezone)
        self.catch_up = catch_up
        self.queue_name = queue_name
        given = enqueue_options(locals()) | {"webhooks": list(webhooks) if webhooks else None, **options}
        self.job_options = {option: value for option, value in given.items() if value is not None}
        self.schedule: Timetable = Interval.of(interval) if interval else CronExpression.of(cron, self.timezone)
        self.latest_enqueue_time: datetime | None = None
        self.next_enqueue_time: datetime | None = None if interval else self.get_next_enqueue_time()
        if self.func is not None:
            self._data()  # report errors now

    # -- when -----------------------------------------------------------------------------------------------------------------

    def get_next_enqueue_time(self) -> datetime:
        """Return when the next job is due after now."""
        slot = self.schedule.next_slot(_millis(self.latest_enqueue_time), int(datetime.now(UTC).timestamp() * 1000))
        return datetime.max.replace(tzinfo=UTC) if slot is None else _time(slot)

    def should_run(self) -> bool:
        """Return whether a job is due by this machine's clock. Schedulers use the server's clock."""
        if self.next_enqueue_time is None:
            return self.latest_enqueue_time is None
        return datetime.now(UTC) >= self.next_enqueue_time

    def set_enqueue_time(self, time: datetime) -> None:
        """Set the time of the latest job, from which the next one is computed."""
        self.latest_enqueue_time = time
        millis = int(time.timestamp() * 1000)
        slot = self.schedule.next_slot(millis, millis)
        self.next_enqueue_time = None if slot is None else time + timedelta(milliseconds=slot - millis)

    def due(self, latest: int | None, now: int) -> int | None:
        """Return the slot for which a job is due, or None.

        Args:
            latest: the latest slot that was handled, in ms; None: none yet.
            now: the server's time, in ms.
        """
        slot = self.schedule.missed_slot(latest, now)
        if slot is not None and not self.catch_up and slot < now - GRACE:
            return None
        return slot

    def see(self, latest: int | None, now: int, *, has_job: bool) -> int | None:
        """Update the entry from the store (`has_job`: a job of slot `latest` exists), and return the next slot."""
        self.latest_enqueue_time = _time(latest) if has_job and latest is not None else None
        slot = self.schedule.next_slot(latest, now)
        self.next_enqueue_time = None if slot is None else _time(slot)
        return slot

    # -- enqueueing -----------------------------------------------------------------------------------------------------------

    def key(self) -> str:
        """Return the identity of the entry, which is the same in every process and after a restart."""
        zone = name_of(self.timezone) if self.cron else ""
        parts = [self.name, self.func_name, self.queue_name, self.cron or str(self.interval), zone, self.args, self.kwargs]
        return hashlib.sha256(json.dumps(_plain(parts)).encode()).hexdigest()[:24]

    def enqueue(self, connection: Any = None) -> "Job":
        """Enqueue a job now, whether one is due or not; it is among those of its name, and the schedule does not change."""
        queue = Queue(self.queue_name, connection=connection)
        job, new = queue.submission(self._data())
        queue.store.crons.enqueue(self.name, new)
        return job

    def check(self, queue: Queue) -> None:
        """Check that its jobs can be stored.

        Raises:
            UsageError, TooLargeError: they cannot; the message says why.
        """
        queue.submission(self._data())[1].check()

    def fire(self, queue: Queue, entry: str, latest: int | None, slot: int) -> tuple["Job | None", int | None]:
        """Create the job of a slot unless another scheduler has; return the job, and the latest slot now."""
        job, new = queue.submission(self._data())
        outcome, known = queue.store.crons.fire(entry, self.name, latest, slot, new)
        return (job if outcome in {Outcome.DONE, Outcome.DUPLICATE} else None), known

    def _data(self) -> EnqueueData:
        """Return the data of one job.

        Raises:
            UsageError: the function or an option is wrong.
        """
        if self.func is None:
            raise UsageError(f"cron job {self.name!r} names no function")
        unknown = [option for option in sorted(self.job_options) if not is_option(option)]
        if unknown:
            raise UsageError(f"a cron job has no option {unknown[0]}=")
        return EnqueueData(Call.of(self.func, self.args, self.kwargs), parse_options(bind_options(self.job_options)))

    def get_job_ids(self, connection: Any = None, start: int = 0, end: int = -1) -> list[str]:
        """Return the ids of the jobs created under its name, the newest first."""
        return get_cron_job_ids(self.name, connection, start, end)

    # -- reading --------------------------------------------------------------------------------------------------------------

    def when(self) -> str:
        """Return the schedule in words: `every 5m`, `'30 2 * * *' (Europe/Berlin)`."""
        if self.interval:
            return f"every {format_duration(parse_duration(self.interval))}"
        return f"{self.cron!r} ({name_of(self.timezone)})"

    def to_dict(self) -> dict[str, Any]:
        """Return the entry as JSON; values that JSON cannot hold become text."""
        return {
            "func_name": self.func_name,
            "name": self.name,
            "queue_name": self.queue_name,
            "args": _plain(self.args),
            "kwargs": _plain(self.kwargs),
            "interval": self.interval,
            "cron": self.cron,
            "timezone": name_of(self.timezone),
            "catch_up": self.catch_up,
            **{name: _plain(self.job_options[name]) for name in _SHOWN if name in self.job_options},
            "latest_enqueue_time": _text(self.latest_enqueue_time),
            "next_enqueue_time": _text(self.next_enqueue_time),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "CronJob":
        """Return a read-only entry from the result of `to_dict`."""
        try:
            zone = named(data.get("timezone"))
        except UsageError:  # its function cannot be imported here, or has no name
            zone = UTC
        made = cls(
            data["queue_name"],
            func_name=data["func_name"],
            args=tuple(data.get("args") or ()),
            kwargs=data.get("kwargs"),
            interval=data.get("interval"),
            cron=data.get("cron"),
            name=data.get("name", ""),
            timezone=zone,
            catch_up=data.get("catch_up", True),
            **{name: data.get(name) for name in _SHOWN},
        )
        latest, coming = data.get("latest_enqueue_time"), data.get("next_enqueue_time")
        made.latest_enqueue_time = datetime.fromisoformat(latest) if latest else None
        made.next_enqueue_time = datetime.fromisoformat(coming) if coming else None
        return made

    def __repr__(self) -> str:
        return f"<CronJob {self.name} on {self.queue_name}, {self.when()}>"


def get_cron_job_ids(name: str, connection: Any = None, start: int = 0, end: int = -1) -> list[str]:
    """Return the ids of the jobs that were created under a name, the newest first; `start` and `end` are inclusive."""
    store: Store = stores.store_for(connection)
    return store.crons.job_ids(name, start, end)


def _plain(value: Any) -> Any:
    """Return a value as JSON, equal in every process: sets sorted, objects without their address."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in sorted(value.items(), key=lambda pair: str(pair[0]))}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((_plain(item) for item in value), key=str)
    text = repr(value)
    return text if " at 0x" not in text else f"{type(value).__module__}.{type(value).__qualname__}"


def _millis(time: datetime | None) -> int | None:
    return None if time is None else int(time.timestamp() * 1000)


def _time(slot: int) -> datetime:
    return datetime.fromtimestamp(slot / 1000, UTC)


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()
