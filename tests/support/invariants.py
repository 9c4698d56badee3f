"""The invariants of a namespace, which hold after every transition and are checked after every test with a store.

They read all keys with a plain client and independent code, so that a mistake of the package is not repeated here.
"""

import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from flowq.ids import run_of
from flowq.states import TRANSITIONS
from flowq.store import Store
from flowq.store.schema.job_fields import field_of
from flowq.store.schema.keys import TEMPLATES

ENDED = {"finished", "failed", "stopped", "canceled", "skipped"}
LEGAL = {edge for edges in TRANSITIONS.values() for edge in edges}


@dataclass
class Picture:
    """All data of a namespace."""

    jobs: dict[str, dict[str, str]] = field(default_factory=dict)
    runs: dict[str, dict[str, str]] = field(default_factory=dict)
    queues: dict[str, dict[str, float]] = field(default_factory=dict)  # queue -> job -> place
    ranked: dict[tuple[str, ...], list[str]] = field(default_factory=dict)  # run, priority and queue -> jobs
    registries: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    leases: set[str] = field(default_factory=set)
    timers: set[str] = field(default_factory=set)
    decide: set[str] = field(default_factory=set)
    outbox: list[str] = field(default_factory=list)
    holders: dict[str, dict[str, float]] = field(default_factory=dict)  # semaphore -> holder -> deadline
    waiters: dict[str, list[str]] = field(default_factory=dict)
    limits: dict[str, dict[str, str]] = field(default_factory=dict)
    limited: set[str] = field(default_factory=set)
    deliveries: set[str] = field(default_factory=set)  # ids of webhook deliveries
    due: set[str] = field(default_factory=set)
    groups: dict[str, dict[str, str]] = field(default_factory=dict)  # with "ends", the time of expiry
    members: dict[str, dict[str, float]] = field(default_factory=dict)  # group -> job -> expiry of its record
    index: dict[str, float] = field(default_factory=dict)  # of groups
    expiries: dict[str, float] = field(default_factory=dict)  # of the records of jobs in groups
    set_aside: dict[str, str] = field(default_factory=dict)
    satellites: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))  # kind -> ids
    events: dict[str, list[dict[str, str]]] = field(default_factory=dict)


_PATTERNS = {
    name: re.compile("^" + re.escape(template).replace(r"\{\}", "(.+)", 1).replace(r"\{\}", "(.+)") + "$")
    for name, template in TEMPLATES.items()
    if name != "registry"
} | {"registry": re.compile(r"^registry:([a-z_]+):(.+)$")}
_NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?")
_SATELLITES = ("payload", "result", "results", "ledger", "parents", "artifacts", "artifact_files")
_AT_ONCE = 1000  # questions in one message


def _items(reply: Iterable[bytes]) -> list[str]:
    return [item.decode() for item in reply]


def _set(reply: Iterable[bytes]) -> set[str]:
    return set(_items(reply))


def _scores(reply: Iterable[tuple[bytes, float]]) -> dict[str, float]:
    return {item.decode(): score for item, score in reply}


def _texts(row: dict[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): value.decode("utf-8", "replace") for name, value in row.items()}


def _rows(reply: Iterable[tuple[bytes, dict[bytes, bytes]]]) -> list[dict[str, str]]:
    return [_texts(row) for _, row in reply]


_READ: dict[str, tuple[str, str, Callable[[Any], Any]]] = {
    "job": ("hgetall", "jobs", _texts),
    "run": ("hgetall", "runs", _texts),
    "group": ("hgetall", "groups", _texts),
    "limits": ("hgetall", "limits", _texts),
    "set_aside": ("hgetall", "set_aside", _texts),
    "queue": ("scores", "queues", _scores),
    "ranked": ("zrange", "ranked", _items),
    "registry": ("zrange", "registries", _items),
    "waiters": ("zrange", "waiters", _items),
    "leases": ("zrange", "leases", _set),
    "timers": ("zrange", "timers", _set),
    "decide": ("zrange", "decide", _set),
    "webhooks": ("zrange", "due", _set),
    "limited": ("smembers", "limited", _set),
    "holders": ("scores", "holders", _scores),
    "members": ("scores", "members", _scores),
    "groups": ("scores", "index", _scores),
    "outbox": ("lrange", "outbox", _items),
    "events": ("xrange", "events", _rows),
}
"""The kinds of keys that are read: by which command, for which field of the picture, and how the field has what the reply says."""


def check(store: Store) -> None:
    """Assert every invariant of the store's namespace."""
    picture = read(store.client, store.namespace)
    problems = [
        *fields(picture),
        *structures(picture),
        *ranks(picture),
        *counters(picture),
        *reachable(picture),
        *attempts(picture),
        *histories(picture),
        *semaphores(picture),
        *timers(picture),
        *limits(picture),
        *webhooks(picture),
        *groups(picture),
        *[f"{name} was set aside: {why}" for name, why in picture.set_aside.items()],
    ]
    assert not problems, "invariants broken:\n  " + "\n  ".join(problems[:20])


def read(client: Any, namespace: str) -> Picture:
    """Read a whole namespace; an unknown key is an error."""
    prefix = f"{{{namespace}}}:"
    picture = Picture()
    keys: list[tuple[bytes, str, tuple[str, ...]]] = []  # with its kind, and what stands for {} in the template
    for raw in client.scan_iter(match=prefix.replace("{", "\\{").replace("}", "\\}") + "*", count=1000):
        key = raw.decode()[len(prefix) :]
        kind, groups = next(((name, m.groups()) for name, p in _PATTERNS.items() if (m := p.match(key))), (None, ()))
        assert kind is not None, f"a key of no known form: {key}"
        if kind == "webhook":
            picture.deliveries.add(groups[0])
        elif kind in _READ or kind in _SATELLITES:
            keys.append((raw, kind, groups))
    replies = _ask(client, [(_READ[kind][0] if kind in _READ else "pttl", raw) for raw, kind, _ in keys])
    ending = [raw for (raw, kind, _), reply in zip(keys, replies, strict=True) if _has_end(kind, reply)]
    ends = dict(zip(ending, _ask(client, [("pexpiretime", raw) for raw in ending]), strict=True))
    for (raw, kind, names), reply in zip(keys, replies, strict=True):
        end = ends.get(raw, -1)  # in ms
        _take(picture, kind, names, reply, float("inf") if end == -1 else float(end))
    return picture


def _has_end(kind: str, reply: Any) -> bool:
    """Return whether the expiry of a key is part of the picture."""
    return (kind == "group" and bool(reply)) or (kind == "job" and b"group_id" in reply)


def _ask(client: Any, questions: list[tuple[str, bytes]]) -> list[Any]:
    """Return the replies to commands, each of a key. Many go in one message: of thousands, each alone would take longer than its test."""
    replies: list[Any] = []
    for start in range(0, len(questions), _AT_ONCE):
        pipeline = client.pipeline(transaction=False)
        for command, key in questions[start : start + _AT_ONCE]:
            match command:
                case "zrange" | "lrange":
                    getattr(pipeline, command)(key, 0, -1)
                case "scores":
                    pipeline.zrange(key, 0, -1, withscores=True)
                case _:
                    getattr(pipeline, command)(key)
        replies += pipeline.execute()
    return replies


def _take(picture: Picture, kind: str, names: tuple[str, ...], reply: Any, end: float) -> None:
    """Add what a key holds; records of jobs and groups last until `end`."""
    if kind in _SATELLITES:
        if reply == -1:
            picture.satellites[kind].append(names[0])
        return
    _, name, convert = _READ[kind]
    if kind in {"job", "group"} and not reply:  # it has expired between the scan and the question
        return
    value = convert(reply)
    if kind == "group":
        value["ends"] = str(end)
    elif _has_end(kind, reply):
        picture.expiries[names[0]] = end
    if names:
        getattr(picture, name)[names if len(names) > 1 else names[0]] = value
    else:
        setattr(picture, name, value)


DRIFT = 5  # ms; in a script of Redis 7.0 the time goes on, and an expiry counts from its command


def groups(picture: Picture) -> list[str]:
    """A group lists its jobs with the expiry of their records, counts them, and expires with the last of them."""
    problems = []
    now = time.time() * 1000 + 50
    for job, row in picture.jobs.items():
        name = row.get("group_id")
        if name is None or picture.expiries[job] < now:
            continue
        listed = picture.members.get(name, {}).get(job)
        if listed is None or not listed <= picture.expiries[job] <= listed + DRIFT:
            problems.append(f"job {job} lasts until {picture.expiries[job]}, its group {name} says {listed}")
    for name, members in picture.members.items():
        living = {job: picture.jobs[job] for job, score in members.items() if score > now and job in picture.jobs}
        problems += [
            f"group {name} lists {job}, which is gone" for job, score in members.items() if score > now and job not in living
        ]
        group = picture.groups.get(name, {})
        counts = {key[5:]: int(value) for key, value in group.items() if key.startswith("jobs:")}
        actual = Counter(row["status"] for row in living.values())
        if any(counts.get(status, 0) < count for status, count in actual.items()) or min(counts.values(), default=0) < 0:
            problems.append(f"group {name} counts {counts}, its jobs are {dict(actual)}")
        still_open = sum(row["status"] not in ENDED for row in living.values())
        if int(group.get("open", -1)) != still_open or still_open != sum(n for s, n in counts.items() if s not in ENDED):
            problems.append(f"group {name} has open={group.get('open')}, counts {counts}, and {still_open} are")
        ends = max(members.values())
        if {float(group.get("ends", -1)), picture.index.get(name)} != {ends}:
            problems.append(
                f"group {name} ends {group.get('ends')}, listed until {picture.index.get(name)}, its jobs until {ends}"
            )
    problems += [f"group {name} exists without jobs" for name in picture.groups if name not in picture.members]
    problems += [
        f"group {name} is listed without jobs"
        for name, end in picture.index.items()
        if end > now and name not in picture.members
    ]
    return problems


def fields(picture: Picture) -> list[str]:
    """Each field of a job is declared, and has the declared type."""
    problems = []
    for job, row in picture.jobs.items():
        for name, value in row.items():
            declared = field_of(name)
            if declared is None:
                problems.append(f"job {job} has the field {name}, which is not declared")
            elif declared.type not in {"text", "json"} and not _NUMBER.fullmatch(value):
                problems.append(f"job {job} has {name}={value}, declared as {declared.type}")
            elif declared.type == "flag" and value != "1":
                problems.append(f"job {job} has {name}={value}, declared as flag")
    return problems


def structures(picture: Picture) -> list[str]:
    """Each job is in exactly the structure of its status."""
    places: dict[str, list[str]] = defaultdict(list)
    for queue, queued in picture.queues.items():
        for job in queued:
            places[job].append(f"queued:{queue}")
    for (status, queue), ids in picture.registries.items():
        for job in ids:
            if job in picture.jobs or status not in ENDED:  # entries of expired jobs are removed later, and do not count
                places[job].append(f"{status}:{queue}")
    problems = []
    for job, row in picture.jobs.items():
        found = places.pop(job, [])
        wanted = _place(row, found)
        if found != wanted and not _on_its_way(picture, row):
            problems.append(f"job {job} is {row['status']} but stands in {found or 'nothing'}")
        if (row["status"] == "started") != (job in picture.leases):
            problems.append(f"job {job} is {row['status']} and {'has' if job in picture.leases else 'has no'} lease")
        if (row["status"] == "scheduled") != (f"promote|{job}" in picture.timers):
            problems.append(f"job {job} is {row['status']} and its timer does not agree")
        if job in picture.decide and row["status"] != "deferred":
            problems.append(f"job {job} waits for a decision but is {row['status']}")
    problems += [f"{job} stands in {where} but does not exist" for job, where in places.items()]
    return problems


def ranks(picture: Picture) -> list[str]:
    """The jobs that are ordered by rank are those that are queued, have a rank, and do not stand at the front."""
    wanted: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for queue, places in picture.queues.items():
        for job, place in places.items():
            row = picture.jobs.get(job, {})
            priority = row.get("priority", "0")
            if "rank" in row and place > -(2**42) * int(priority):
                wanted[row["run"], priority, queue].add(job)
    found = {order: set(jobs) for order, jobs in picture.ranked.items()}
    return [] if wanted == found else [f"ordered by rank are {found}, not {dict(wanted)}"]


def _place(row: dict[str, str], found: list[str]) -> list[str]:
    """Return where a job is to be, given where it is."""
    if row.get("kind") == "group" or row["status"] == "created" or "unlisted" in row:
        return []
    place = [f"{row['status']}:{row['queue']}"]
    if row["status"] == "skipped" and "run" in row:
        return place if found == place else []  # earlier versions have listed it
    return place


def _on_its_way(picture: Picture, row: dict[str, str]) -> bool:
    """Return whether a job is not listed yet, because its run is being staged, waits for its turn or has work left in the outbox."""
    run = picture.runs.get(row.get("run", ""), {})
    listed_nowhere = {"staging", "collecting", "queued"}
    return row["status"] == "deferred" and (int(run.get("outbox", 0)) > 0 or run.get("status") in listed_nowhere)


def counters(picture: Picture) -> list[str]:
    """A run's counters equal the counts of its jobs' statuses, and it ends exactly when no job is open."""
    problems = []
    by_run: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in picture.jobs.values():
        if "run" in row:
            by_run[row["run"]].append(row)
    in_outbox = Counter(_run_of(picture, entry) for entry in picture.outbox)
    for run, record in picture.runs.items():
        if record["status"] in {"staging", "collecting"}:
            continue
        rows = by_run[run]
        counted = {name[5:]: int(value) for name, value in record.items() if name.startswith("jobs:") and int(value)}
        actual = dict(Counter(row["status"] for row in rows if row.get("kind") != "group"))
        gone = {
            name[8:]: int(value) for name, value in record.items() if name.startswith("expired:")
        }  # jobs that expired before the run
        actual = {status: actual.get(status, 0) + gone.get(status, 0) for status in {*actual, *gone}}
        if counted != actual:
            problems.append(f"run {run} counts {counted}, its jobs are {actual}")
        if int(record["total"]) != sum(actual.values()):
            problems.append(f"run {run} has total={record['total']}, its jobs are {sum(actual.values())}")
        still_open = sum(row["status"] not in ENDED and _takes_part(row, record) for row in rows)
        if int(record["open"]) != still_open:
            problems.append(f"run {run} has open={record['open']}, {still_open} are")
        if int(record["outbox"]) != in_outbox[run]:
            problems.append(f"run {run} has outbox={record['outbox']}, {in_outbox[run]} entries are there")
        if record["status"] != "queued" and (record["status"] == "running") != (still_open > 0 or in_outbox[run] > 0):
            problems.append(f"run {run} is {record['status']} with {still_open} open jobs and {in_outbox[run]} outbox entries")
    return problems


def _takes_part(row: dict[str, str], run: dict[str, str]) -> bool:
    """Return whether a job counts as open; a handler does only from its turn on."""
    turn = {"": None, "early": "early", "exit": "exit"}[run.get("phase", "")]
    phase = row.get("phase")
    return phase is None or turn == "exit" or (turn == "early" and phase != "exit")


def _run_of(picture: Picture, entry: str) -> str:
    kind, rest = entry.split("|", 1)
    name = rest.rsplit("|", 1)[0]
    if kind == "admit":
        return ""
    if kind == "drop":  # <run>-<first ordinal>:<count>
        return name.rpartition("-")[0]
    if kind in {"cells", "halt_cells"}:
        return run_of(name)
    return picture.jobs.get(name, {}).get("run", "") if kind == "edges" else name


def reachable(picture: Picture) -> list[str]:
    """No persistent key belongs to a job that does not exist."""
    staged = {run for run, record in picture.runs.items() if record["status"] in {"staging", "collecting"}}
    return [
        f"{kind} of {job} lasts, but the job does not exist"
        for kind, ids in picture.satellites.items()
        for job in ids
        if job not in picture.jobs and run_of(job) not in staged
    ]


def attempts(picture: Picture) -> list[str]:
    """No job was attempted more often than its retries allow."""
    problems = []
    for job, row in picture.jobs.items():
        allowed = 1 + int(row.get("retry", "0").partition("|")[0]) + int(row.get("returns", 0))
        if int(row.get("attempt", 0)) > allowed:
            problems.append(f"job {job} had {row['attempt']} attempts, {allowed} are allowed")
    return problems


def histories(picture: Picture) -> list[str]:
    """In the stream, each change starts from the previous status and is legal, and each dependent is released once per attempt."""
    problems = []
    for stream, events in picture.events.items():
        last: dict[str, str] = {}
        released: Counter[str] = Counter()
        for event in events:
            job = event["j"]
            if not job:
                continue
            if job in last and last[job] != event["f"] and event["f"] != "-":
                problems.append(f"{stream}: {job} went {event['f']} -> {event['t']} after it was {last[job]}")
            if (event["f"], event["t"]) not in LEGAL:
                problems.append(f"{stream}: {job} went {event['f']} -> {event['t']}, which no transition does")
            if event["t"] == "deferred":
                released[job] = 0
            if event["f"] == "deferred":
                released[job] += 1
                if released[job] > 1:
                    problems.append(f"{stream}: {job} was released {released[job]} times")
            last[job] = event["t"]
        problems += [
            f"{stream}: {job} is {picture.jobs[job]['status']}, its last event says {status}"
            for job, status in last.items()
            if job in picture.jobs and picture.jobs[job]["status"] != status and picture.jobs[job].get("kind") != "group"
        ]
    return problems


def _jobs_and_runs(picture: Picture, name: str, held: dict[str, float]) -> list[str]:
    """Return the holders of a semaphore, without deleted jobs whose processes still run."""
    return [who for who in held if f"vacate|{name}\n{who}" not in picture.timers]


_HOLDS = {"run": {"running"}, "schedule": {"running", "queued"}, "backfill": {"running", "queued"}}
"""The statuses of runs that hold a semaphore, by its kind."""
_WAITS = {"run": "queued", "schedule": "queued", "rate": "rate_limited"}


def semaphores(picture: Picture) -> list[str]:
    """Holders are queued, started or running; waiters wait; the number of holders is within the limit."""
    problems = []
    for name, held in picture.holders.items():
        kind = name.partition("/")[0]
        statuses = _HOLDS.get(kind, {"queued", "started"})
        for who in _jobs_and_runs(picture, name, held):
            status = (picture.runs if kind in _HOLDS else picture.jobs).get(who, {}).get("status", "gone")
            if status not in statuses:
                problems.append(f"{who} holds {name} and is {status}")
    for name, waiting in picture.waiters.items():
        kind = name.partition("/")[0]
        for who in waiting:
            status = (picture.runs if kind in _HOLDS else picture.jobs).get(who, {}).get("status", "gone")
            if status != _WAITS.get(kind, "deferred"):
                problems.append(f"{who} waits for {name} and is {status}")
    started: Counter[str] = Counter()
    most: dict[str, int] = {}
    for job, row in picture.jobs.items():
        for line in row.get("semaphores", "").split("\n") if row["status"] == "started" and row.get("semaphores") else []:
            limit, name = line.split(" ", 1)
            started[name] += 1
            most[name] = max(most.get(name, 0), int(limit))
            if picture.holders.get(name, {}).get(job) != float("inf"):
                problems.append(f"job {job} is started without holding {name}")
    problems += [
        f"{count} jobs are started under {name}, {most[name]} may"
        for name, count in started.items()
        if count > most[name] and not name.startswith("rate/")
    ]
    return problems


def webhooks(picture: Picture) -> list[str]:
    """Each delivery has a due time, and each due time a delivery."""
    return [f"webhook {name} is half there" for name in picture.deliveries ^ picture.due]


def limits(picture: Picture) -> list[str]:
    """A rate limit counts its jobs, and is listed while it has some."""
    carrying: dict[str, Counter[str]] = defaultdict(Counter)
    for row in picture.jobs.values():
        if "rate_limit" in row and row["status"] in {"rate_limited", "queued", "started"}:
            carrying[row["semaphores"].partition(" ")[2]][row["rate_limit"]] += 1
    counted = {name: Counter({limit: int(count) for limit, count in row.items()}) for name, row in picture.limits.items()}
    problems = [] if counted == carrying else [f"rate limits count {counted}, their jobs are {dict(carrying)}"]
    return problems if picture.limited == set(carrying) else [*problems, f"rate limits {picture.limited} are listed"]


def timers(picture: Picture) -> list[str]:
    """Each timer belongs to a pending event."""
    problems = []
    for timer in picture.timers:
        kind, who = timer.split("|", 1)
        job, run = picture.jobs.get(who, {}), picture.runs.get(who, {})
        if kind == "lapse" and job.get("reason") != "approval":
            problems.append(f"a timer waits for the decision about {who}, which is {job.get('status', 'gone')}")
        if kind == "timeout" and (run.get("status") != "running" or "phase" in run or "outcome" in run):
            problems.append(f"a timer waits for the graph of run {who}, which has ended")
    return problems
