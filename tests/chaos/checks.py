"""What must hold after a round, as functions from the evidence to problems in words."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from flowq.ids import member_id, run_of
from flowq.store import Store
from tests.chaos.cast import NAMESPACE
from tests.chaos.evidence import Change, Evidence, Line
from tests.chaos.slots import wrong_events, wrong_slots
from tests.support import invariants
from tests.support.expected_ends import inconsistencies
from tests.support.invariants import ENDED

READY: Final = frozenset({"queued", "scheduled"})
OF_THE_NAMESPACE: Final = frozenset({"events:-", "wake:@decide"})
"""Keys that are of no job or run, and are capped: the stream of all plain jobs, and hints for workers that decide, of which the last may stay."""
_NOT_ADMITTED: Final = frozenset({"concurrency", "canceling"})
"""Reasons of runs that are running only to end: their group has turned them away, or they were canceled while they waited for it."""

LASTING: Final = frozenset(
    {
        "meta",
        "worker",
        "workers",
        "queues",
        "ended",
        "schedule",
        "schedules",
        "schedule-log",
        "schedule-loops",
        "stats",
        "counted-names",
        "catalogs",
        "backfill",
        "backfills",
        "events-seen",
        "pages",
        "page-texts",
        "access",
        "accesses",
    }
)
"""The first words of keys that do not belong to a job or a run. All others must be gone when all jobs and runs
are, or expire by themselves."""


def lost(evidence: Evidence) -> Iterator[str]:
    """What the server has accepted is there."""
    for run in sorted(evidence.accepted_runs - evidence.begun_runs):
        yield f"run {run} was accepted, and is gone"
    for run, plan in evidence.plans.items():
        # A cell without a name is one of before a retry that has evaluated its list again.
        members = (member_id(run, cell.ordinal) for cell in plan.cells if cell.name)
        yield from (f"job {job} of run {run} is gone" for job in members if job not in evidence.picture.jobs)
    for job in sorted(evidence.accepted_jobs - evidence.jobs.keys()):
        yield f"job {job} was accepted, and is gone"


def duplicated(evidence: Evidence) -> Iterator[str]:
    """An execution begins once, and ends its job once."""
    begun = Counter(line.key for line in evidence.log if line.what == "begin")
    ended = Counter(
        (change.job, change.execution) for change in evidence.changes if change.old == "started" and change.new in ENDED
    )
    for what, counts in (("began", begun), ("ended its job", ended)):
        yield from (f"execution {number} of {job} {what} {count} times" for (job, number), count in counts.items() if count > 1)
    created = Counter(change.job for change in evidence.changes if change.old == "-" and change.job in evidence.parents)
    yield from (f"{job} was created {count} times" for job, count in created.items() if count > 1)


def early(evidence: Evidence) -> Iterator[str]:
    """A job becomes ready after the ends of its parents, and begins after they have been executed."""
    last: dict[str, str] = {}
    for change in evidence.changes:
        if change.old == "deferred" and change.new in READY:
            waiting = [parent for parent, _ in evidence.edges.get(change.job, ()) if last.get(parent, "finished") not in ENDED]
            if waiting:
                yield f"{change.job} was {change.new} before {waiting} had ended"
        if change.job:
            last[change.job] = change.new
    done: set[str] = set()
    for line in evidence.log:
        if line.what == "end":
            done.add(line.job)
        else:
            missing = [parent for parent in _executed_parents(evidence, line) if parent not in done]
            if missing:
                yield f"execution {line.execution} of {line.job} began before {missing} had ended"


def _executed_parents(evidence: Evidence, line: Line) -> Iterator[str]:
    """Yield the parents that must have been executed well before: the job depends on their success, and they did not fail.

    The cells of a foreach are those of its latest list: they count for the latest execution of a dependent, and for earlier ones if
    they existed.
    """
    token = evidence.jobs.get(line.job, {}).get("token", "")
    is_latest = token.partition("-")[0] == str(line.execution)
    for parent, condition in evidence.edges.get(line.job, ()):
        row = evidence.jobs.get(parent, {})
        existed = is_latest or evidence.created.get(parent, 0.0) < line.time + evidence.epoch
        executed = "token" in row and row["status"] == "finished" and "allow_failure" not in row
        if condition == "success" and executed and existed:
            yield parent


def unearned(evidence: Evidence) -> Iterator[str]:
    """A job is finished by an execution that came to its end, and has its result."""
    for change in evidence.changes:
        if change.old == "started" and change.new == "finished" and (change.job, change.execution) not in evidence.ended_well:
            yield f"{change.job} is finished by execution {change.execution}, which did not come to its end"
    for job, value in evidence.values.items():
        token = evidence.jobs[job].get("token", "").partition("-")[0]
        if token and f"{job}:{token}".encode() not in value and len(value) > 2:
            yield f"{job} has the result {value[:80]!r}, execution {token} returned another one"


def overlapping(evidence: Evidence) -> Iterator[str]:
    """No more jobs, and no more runs, of a group are started at once than it allows; in the end all places are free."""
    limits: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for job, row in evidence.picture.jobs.items():
        for line in row["semaphores"].split("\n") if row.get("semaphores") else ():
            number, name = line.split(" ", 1)
            at_once = row["rate_limit"].partition("|")[0] if "rate_limit" in row else number
            if at_once:
                limits[job].append((name, int(at_once)))
    for run, row in evidence.picture.runs.items():
        if "semaphore" in row:
            limits[f"run {run}"].append((row["semaphore"], int(row["max_runs"])))
    inside: dict[str, set[str]] = defaultdict(set)
    # Within a millisecond only the order of one job's changes is known: one that is claimed again and ends in it is out.
    last = {(change.at, change.job or f"run {change.stream}"): change for change in evidence.changes}
    for (_, who), change in sorted(last.items(), key=lambda item: (item[0][0], _enters(item[1]))):
        for name, most in limits.get(who, ()):
            if _enters(change):
                inside[name].add(who)
                if len(inside[name]) > most:
                    yield f"{sorted(inside[name])} were in {name} at once, which takes {most}"
            else:
                inside[name].discard(who)
    yield from (f"{sorted(held)} hold {name} in the end" for name, held in evidence.picture.holders.items() if held)
    yield from (f"{waiting} wait for {name} in the end" for name, waiting in evidence.picture.waiters.items() if waiting)


def _enters(change: Change) -> bool:
    if change.job:
        return change.new == "started"
    return change.new == "running" and change.reason not in _NOT_ADMITTED


def too_fast(evidence: Evidence) -> Iterator[str]:
    """No more jobs under a rate limit start within its period than it allows. A job that is given back to its execution does not start."""
    starts: dict[tuple[str, int, int], list[int]] = defaultdict(list)
    seen: set[tuple[str, int]] = set()
    for change in evidence.changes:
        row = evidence.picture.jobs.get(change.job, {})
        _, most, within = row.get("rate_limit", "||").split("|")
        if most and change.new == "started" and (change.job, change.execution) not in seen:
            seen.add((change.job, change.execution))
            starts[row["semaphores"], int(most), int(within)].append(change.at)
    for (name, rate, period), times in starts.items():
        for first, last in zip(sorted(times), sorted(times)[rate:], strict=False):
            if last - first < period:
                yield f"{rate + 1} jobs under {name.partition(' ')[2]} were started within {last - first} ms, {rate} may be in {period} ms"


def badly_shared(evidence: Evidence) -> Iterator[str]:
    """A process takes another job only after one that came to its end, and none that refuses to share."""
    alone = {
        member_id(run, cell.ordinal)
        for run, plan in evidence.plans.items()
        for cell in plan.cells
        if plan.node_of(cell).isolation == "job"
    }
    for lines in evidence.shared:
        yield from (
            f"execution {line.execution} of {line.job} has shared process {line.pid}" for line in lines if line.job in alone
        )
        yield from (
            f"process {line.pid} went on after execution {line.execution} of {line.job}, which did not come to its end"
            for line in lines[:-1]
            if line.key not in evidence.ended_well
        )


def over_attempts(evidence: Evidence) -> Iterator[str]:
    """No job was tried more often than its retries allow."""
    yield from invariants.attempts(evidence.picture)


def inconsistent(evidence: Evidence) -> Iterator[str]:
    """Records, queues, registries, counters, timers and streams agree, and the ends in a graph do not contradict each other."""
    for check in (
        invariants.fields,
        invariants.structures,
        invariants.counters,
        invariants.reachable,
        invariants.histories,
        invariants.semaphores,
        invariants.timers,
        invariants.limits,
    ):
        yield from check(evidence.picture)
    yield from (f"{name} was set aside: {why}" for name, why in evidence.picture.set_aside.items())
    for run, plan in evidence.plans.items():
        found = ((cell.name, evidence.picture.jobs.get(member_id(run, cell.ordinal))) for cell in plan.cells if not cell.group)
        rows = {name: row for name, row in found if row is not None}  # `lost` tells of others
        ends = {name: f"{row['status']}/{row.get('reason', '')}".rstrip("/") for name, row in rows.items()}
        if all(row["status"] in ENDED for row in rows.values()):
            yield from inconsistencies(plan, ends, [name for name, row in rows.items() if row.get("allowed") == "1"])


CHECKS: Final[Mapping[str, Callable[[Evidence], Iterator[str]]]] = {
    "lost": lost,
    "duplicated transitions": duplicated,
    "early dependents": early,
    "finished without a good execution": unearned,
    "over their limits": overlapping,
    "over their rates": too_fast,
    "shared processes": badly_shared,
    "slots": wrong_slots,
    "events": wrong_events,
    "attempts over the bound": over_attempts,
    "inconsistent": inconsistent,
}


def orphans(store: Store) -> Iterator[str]:
    """When all runs and plain jobs have been deleted, nothing of them is left. What was uploaded and never made a run goes when its time is over."""
    prefix = f"{{{NAMESPACE}}}:"
    client: Any = store.client
    uploads = set(left_uploads(store))
    for raw in client.scan_iter(match=prefix.replace("{", "\\{").replace("}", "\\}") + "*", count=1000):
        key = raw.decode()[len(prefix) :]
        kind, _, name = key.partition(":")
        if key == "timers":
            timers = [item.decode().partition("|") for item in client.zrange(raw, 0, -1)]
            yield from (  # that of `admit` is due in seconds
                f"the timer {what} of {whose} lasts" for what, _, whose in timers if what != "admit" and whose not in uploads
            )
        elif name in uploads or run_of(name) in uploads:
            continue
        elif key not in OF_THE_NAMESPACE and kind not in LASTING and client.ttl(raw) == -1:
            yield f"the key {key} lasts"


def left_uploads(store: Store) -> Iterator[str]:
    """Yield the runs of which a process has uploaded jobs, and that never began: a timer collects them a minute later."""
    client: Any = store.client
    timers = (item.decode().partition("|") for item in client.zrange(store.session.keys("timers"), 0, -1))
    for run in (whose for what, _, whose in timers if what == "collect"):
        if client.hget(store.session.keys("run", run), "status") in {b"staging", b"collecting"}:
            yield run
