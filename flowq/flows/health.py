"""The checks of `flowq doctor`: findings from collected facts, each with a code that documentation and scripts can name.

Reading (`read_facts`) and judging (`examine`) are apart: every finding can be had from made-up facts, without a broken server.
"""

import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from flowq import __version__, distribution
from flowq.durations import format_duration
from flowq.exceptions import ServerError, ServerUnavailableError
from flowq.flows.known_holes import holes_of, remedy
from flowq.flows.served_twice import served_twice, starts
from flowq.flows.views.orphans import orphaned
from flowq.flows.views.text import plural
from flowq.store.client.errors import Translated
from flowq.store.schema.records import QueueRecord, WorkerRecord

if TYPE_CHECKING:
    from flowq.store import Store

_CLOCK: Final = 2.0  # s that clocks may differ before times in lists are misleading
_MEMORY: Final = 0.8  # of the limit
_SHOWN: Final = 20  # records that were set aside
_IN_VAIN: Final = 60.0  # s after which a message that was tried and not delivered is told
_RUNS: Final = 200  # latest runs that are looked at
_DAY_MS: Final = 86_400_000
_DISPUTE_MS: Final = 600_000  # since schedulers were seen with different definitions
_SLOW: Final = 0.02  # s for one round trip

OK, NOTE, WARNING, PROBLEM = "ok", "note", "warning", "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. `advice` says what to do, empty when nothing is to be done."""

    code: str
    level: str
    text: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """The collected facts. `server` is the server's INFO, empty if it does not answer that to this user."""

    flowq: str
    python: tuple[int, int, int]
    embedded: bool
    address: str
    server: dict[str, Any] = field(default_factory=dict)
    ahead_ms: int = 0  # of the server's clock, over this machine's
    round_trip: float = 0.0  # s
    suspended: bool = False
    queues: tuple[QueueRecord, ...] = ()
    workers: tuple[WorkerRecord, ...] = ()
    orphaned: tuple[str, ...] = ()  # local runs that have not ended and have no worker
    bash: str | None = None
    set_aside: Mapping[str, str] = field(default_factory=dict)  # why records could not be dealt with, by `<kind>|<id>`
    due: int = 0  # runs past their retention that are still there
    schedules: int = 0  # that a scheduler had within a day
    schedulers: int = 0  # that live
    disputed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # schedules with several definitions -> schedulers
    twice: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # flow files of several served directories -> schedules
    undelivered: tuple[str, ...] = ()  # what messages and webhooks are about that were tried in vain
    foreign: str = ""  # version of another project's distribution in the folder of this one


def read_facts(store: "Store", address: str) -> Facts:
    """Read all facts that the checks need.

    Args:
        store: opened.
        address: of the server, without its password.

    Raises:
        ServerError: the server cannot be asked.
    """
    begun = time.perf_counter()
    store.now_ms()
    took = time.perf_counter() - begun
    server = _info(store)
    before = time.time_ns() // 1_000_000
    ahead = store.now_ms() - (before + time.time_ns() // 1_000_000) // 2
    names = [name for name in store.queues.names() if "/" not in name]  # those of local runs belong to their commands
    queues, unreadable = _queues(store, names)
    schedules, disputed, twice = _schedules(store)
    damaged: dict[str, str] = {}
    return Facts(
        schedules=schedules,
        schedulers=len(store.schedules.schedulers()),
        disputed=disputed,
        twice=twice,
        flowq=__version__,
        python=sys.version_info[:3],
        embedded=store.anchor is not None,
        address=address,
        server=server,
        ahead_ms=ahead,
        round_trip=took,
        suspended=store.queues.suspended(),
        queues=queues,
        workers=tuple(store.workers.live()),
        orphaned=tuple(orphaned(store, store.runs.recent(_RUNS), damaged)),
        set_aside=store.workers.all_set_aside() | unreadable | {f"run|{run}": why for run, why in damaged.items()},
        bash=shutil.which("bash"),
        due=sum(1 for _ in store.runs.due()),
        undelivered=tuple(store.webhooks.undelivered(_IN_VAIN)),
        foreign=distribution.find_foreign(),
    )


def examine(facts: Facts) -> list[Finding]:
    """Return the findings, in the order of their codes."""
    return [
        *_here(facts),
        *_server(facts),
        *_persistence(facts),
        *_memory(facts),
        *_garbage(facts),
        *_work(facts),
        *_scheduling(facts),
        *_messages(facts),
    ]


def _queues(store: "Store", names: list[str]) -> tuple[tuple[QueueRecord, ...], dict[str, str]]:
    """Return the queues, and of those that cannot be read why, by `queue|<name>`."""
    found, unreadable = [], {}
    for name in names:
        try:
            found.append(store.queues.get(name))
        except ServerUnavailableError:
            raise
        except ServerError as error:
            unreadable[f"queue|{name}"] = str(error)
    return tuple(found), unreadable


def _schedules(store: "Store") -> tuple[int, dict[str, tuple[str, ...]], Mapping[str, tuple[str, ...]]]:
    """Return how many schedules a scheduler had within a day, of which schedulers have different definitions now, and which are there twice."""
    now = store.now_ms()
    found = [record for record in store.schedules.get_many(store.schedules.names()) if record is not None]
    disputed = {record.id: record.rivals for record in found if record.rivals and now - record.rivals_ms < _DISPUTE_MS}
    return sum(now - record.seen_ms < _DAY_MS for record in found), disputed, served_twice(starts(found, now))


def _info(store: "Store") -> dict[str, Any]:
    """Return the server's INFO; empty if this user has no right to read it (ACL), or no one has (`rename-command`)."""
    found: dict[str, Any] = {}
    try:
        with Translated("the server"):
            for section in ("server", "memory", "persistence", "replication"):
                found |= store.client.info(section)
    except ServerUnavailableError:
        raise
    except ServerError:
        return {}
    return found


def _here(facts: Facts) -> Iterator[Finding]:
    yield Finding("D101", OK, f"flowq {facts.flowq} on Python {'.'.join(map(str, facts.python))}")
    if facts.foreign:
        yield Finding("D103", PROBLEM, distribution.describe(facts.foreign), distribution.REMEDY)
    if facts.bash is None:
        yield Finding(
            "D102", NOTE, "there is no bash: scripts of jobs run with `sh -eu`", "install bash, or write scripts for sh"
        )
    else:
        yield Finding("D102", OK, f"scripts of jobs run with {facts.bash}")


def _server(facts: Facts) -> Iterator[Finding]:
    kind = "embedded server" if facts.embedded else "server"
    name = "Valkey" if "valkey_version" in facts.server else "Redis"
    number = facts.server.get("valkey_version") or facts.server.get("redis_version")
    yield Finding("D201", OK, f"the {kind} at {facts.address} answers" + (f": {name} {number}" if number else ""))
    if holes := holes_of(facts.server):
        what = "; ".join(f"{hole.name} of {hole.since}: {hole.effect}" for hole in holes)
        yield Finding("D204", WARNING, f"this version of the server has known holes ({what})", remedy(holes, facts.server))
    if facts.round_trip > _SLOW:
        yield Finding(
            "D202",
            NOTE,
            f"one round trip takes {facts.round_trip * 1000:.0f} ms",
            "each job costs one: let workers run near the server",
        )
    if abs(facts.ahead_ms) > _CLOCK * 1000:
        way = "ahead of" if facts.ahead_ms > 0 else "behind"
        yield Finding(
            "D203",
            WARNING,
            f"the server's clock is {format_duration(round(abs(facts.ahead_ms) / 1000))} {way} this machine's",
            "let both follow the same time service; flowq itself goes by the server's clock",
        )


def _persistence(facts: Facts) -> Iterator[Finding]:
    if not facts.server:
        yield Finding("D301", NOTE, "the server does not answer INFO to its user: persistence and memory are not checked")
        return
    if str(facts.server.get("role", "master")) != "master":
        yield Finding("D302", PROBLEM, "the server is a replica and read-only", "use the address of its primary")
    if facts.server.get("loading"):
        yield Finding("D303", PROBLEM, "the server is loading its data", "wait until it has loaded it")
    if str(facts.server.get("aof_enabled", "0")) == "1":
        wrong = str(facts.server.get("aof_last_write_status", "ok")) != "ok"
        yield (
            Finding("D301", PROBLEM, "the server could not write its append-only file", "see its log: is the disk full?")
            if wrong
            else Finding("D301", OK, "the server keeps an append-only file")
        )
    else:
        yield Finding(
            "D301",
            WARNING,
            "the server has no append-only file: a restart forgets runs and queued jobs",
            "set `appendonly yes` (and `appendfsync everysec`)",
        )


def _memory(facts: Facts) -> Iterator[Finding]:
    if not facts.server:
        return
    limit, used = int(facts.server.get("maxmemory", 0)), int(facts.server.get("used_memory", 0))
    policy = str(facts.server.get("maxmemory_policy", "noeviction"))
    if limit and policy != "noeviction":
        yield Finding(
            "D401", PROBLEM, f"a full server evicts keys ({policy}): jobs are lost", "set `maxmemory-policy noeviction`"
        )
    elif limit and used > _MEMORY * limit:
        yield Finding(
            "D401",
            WARNING,
            f"{used / limit:.0%} of the server's memory are in use; full, it refuses new jobs",
            "raise `maxmemory`, or keep runs for a shorter time (`retention`)",
        )
    else:
        yield Finding("D401", OK, f"{used / 1e6:.1f} MB of memory in use" + (f" of {limit / 1e6:.0f} MB" if limit else ""))


def _garbage(facts: Facts) -> Iterator[Finding]:
    if facts.due:
        text = f"{plural(facts.due, 'run')} whose retention has passed, and no worker was there to remove {'it' if facts.due == 1 else 'them'}"
        yield Finding("D402", NOTE, text, "flowq gc")


def _work(facts: Facts) -> Iterator[Finding]:
    if facts.suspended:
        yield Finding("D501", WARNING, "the workers are suspended: no job is started", "`flowq resume` resumes them")
    for queue in facts.queues:
        if queue.queued and not queue.workers:
            jobs = plural(queue.queued, "job")
            yield Finding(
                "D502", WARNING, f"{jobs} in queue {queue.name!r}, and no worker listens on it", f"flowq worker {queue.name}"
            )
    for run in facts.orphaned:
        yield Finding(
            "D505",
            WARNING,
            f"run {run} has no worker: the command that started it has ended",
            f"`flowq run --resume {run}` continues it, `flowq cancel {run}` ends it",
        )
    for name, why in sorted(facts.set_aside.items())[:_SHOWN]:
        kind, _, record = name.partition("|")
        yield Finding(
            "D506",
            PROBLEM,
            f"a record was set aside ({kind} {record}): {why}",
            "it is not what flowq wrote: see what changed it, cancel or delete its run, or requeue its job",
        )
    if len(facts.set_aside) > _SHOWN:
        yield Finding("D506", PROBLEM, f"{len(facts.set_aside) - _SHOWN} more records were set aside")
    others = sorted({worker.version for worker in facts.workers if worker.version and worker.version != facts.flowq})
    if others:
        yield Finding(
            "D503",
            WARNING,
            f"there are workers of flowq {', '.join(others)}, this is {facts.flowq}",
            "use one version everywhere",
        )
    for worker in facts.workers:
        if worker.state == "away":
            text = f"executor {worker.executor} of worker {worker.name} has no place for jobs: its engine cannot be used"
            yield Finding(
                "D509", WARNING, text, "the log of that worker says why; the jobs stay in their queue, and it tries again"
            )
    slots, busy = sum(worker.slots for worker in facts.workers), sum(worker.busy for worker in facts.workers)
    yield Finding("D504", OK, f"{plural(len(facts.workers), 'worker')} with {plural(slots, 'slot')}, {busy} busy")


def _messages(facts: Facts) -> Iterator[Finding]:
    if facts.undelivered:
        about = list(dict.fromkeys(facts.undelivered))
        more = f" and {len(about) - _SHOWN} more" if len(about) > _SHOWN else ""
        text = (
            f"{plural(len(facts.undelivered), 'message or webhook', 'messages or webhooks')} could not be delivered yet, about "
        )
        advice = "the log of a worker says why; `flowq notify FILE --test` tries the addresses of a flow"
        yield Finding("D510", WARNING, f"{text}{', '.join(about[:_SHOWN])}{more}", advice)


def _scheduling(facts: Facts) -> Iterator[Finding]:
    if facts.schedules and not facts.schedulers:
        text = f"no scheduler is alive: {plural(facts.schedules, 'schedule')} of flows will not run"
        yield Finding("D507", WARNING, text, "flowq serve DIR")
    for name, rivals in list(facts.disputed.items())[:_SHOWN]:
        text = f"the schedulers {' and '.join(rivals)} have different definitions of {name}"
        yield Finding(
            "D508", WARNING, text, "give them the same version of the flow files; without that, missed slots are not made up"
        )
    for path, names in list(facts.twice.items())[:_SHOWN]:
        text = f"{path} is served as {' and '.join(names)}: each of its slots and events has as many runs"
        yield Finding("D511", WARNING, text, "serve one of the directories")
