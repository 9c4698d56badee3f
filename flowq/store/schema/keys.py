"""The names of all keys, for Python and Lua alike: in Lua, `K.job(id)` is replaced by the entry of the table below.

Every key starts with the namespace as a hash tag, `{flowq}:`, so that one namespace lives in one slot of a Cluster and every
script is atomic over all of it. Nothing outside this package builds a key.
"""

import re
from typing import Final

TEMPLATES: Final[dict[str, str]] = {
    "meta": "meta",  # hash: schema, incarnation, created, sequence counters (also of `let_go`), the server's run id, `suspended`
    # -- a job
    "job": "job:{}",  # hash: the mutable state
    "payload": "payload:{}",  # string: the call of a plain job
    "result": "result:{}",  # string: value or error text of the latest execution; absent for null
    "results": "results:{}",  # list: earlier executions, newest first
    "ledger": "ledger:{}",  # hash: token of an earlier execution -> how it ended
    "children": "children:{}",  # list: "<child id>|<condition>", of a plain child "<id>|<nonce>|<condition>"
    "parents": "parents:{}",  # list: "<parent id>|<condition>" of a plain job
    "drafted": "drafted:{}",  # set: drafts that name this job as a parent
    "let_go": "let-go:{}",  # list: as of `parents`, of a job that has ended or was replaced, which its parents are still to learn
    "arrived": "arrived:{}",  # list: wakes clients that wait for a result; short-lived
    "artifacts": "artifacts:{}",  # hash: name -> "<kept until, ms, or -> <manifest>" of the files that a job of a run has left
    "artifact_files": "artifact-files:{}:{}",  # hash of an artifact of a job: digest -> content
    "meta_data": "meta:{}",  # string: the user's `job.meta`
    # -- queues and registries
    "queue": "queue:{}",  # zset: id -> (priority, sequence)
    "ranked": "ranked:{}:{}:{}",  # zset per run, priority and queue: queued job with a rank -> (rank, sequence); a lost one costs order only
    "ttls": "ttls:{}",  # zset: id -> deadline of a queued job's ttl
    "wake": "wake:{}",  # list: capped hints "a job was queued"
    "queues": "queues",  # set: names
    "registry": "registry:{}:{}",  # zset per status and queue: id -> expiry, lease, due time
    # -- groups of plain jobs
    "group": "group:{}",  # hash: counts by status; lives as long as the last record of its jobs
    "members": "members:{}",  # zset: job -> when its record expires
    "groups": "groups",  # zset: name -> when its last record expires
    "gathered": "gathered:{}",  # list: wakes clients that wait for the end of a group; short-lived
    # -- what is due
    "leases": "leases",  # zset: started job -> lease deadline
    "timers": "timers",  # zset: "<kind>|<id>" -> due
    "outbox": "outbox",  # list: "<kind>|<id>|<cursor>", work that a transition left for bounded steps
    "decide": "decide",  # zset: job for which a supervisor has to evaluate something (`if`, a list, a group) -> when (again)
    "callbacks": "callbacks:{}",  # zset per queue: "<execution>:<nonce>|<id>" of a lost execution whose on_failure is to be called -> when (again)
    "set_aside": "set-aside",  # hash: "<kind>|<id>" of a record that could not be processed -> why
    "set_aside_lately": "set-aside-lately",  # list: fields of `set_aside` that no worker has logged yet
    # -- semaphores
    "holders": "holders:{}",  # zset: holder -> until when (a place in a queue), or without an end; of runs: since when
    "waiters": "waiters:{}",  # zset: waiter -> order
    "limits": "limits:{}",  # hash of a rate limit: what its jobs carry -> how many of them
    "starts": "starts:{}",  # list: when the latest executions under a rate limit began; lives as long as its period
    "limited": "limited",  # set: rate limits that have jobs
    # -- webhooks
    "webhook": "webhook:{}",  # hash: a delivery with all it needs
    "webhooks": "webhooks",  # zset: delivery -> when it is due, or its claim expires
    "notified": "notified",  # hash: flow, event and notice -> "<due, ms>|<delivery>" of the latest message
    "latest": "latest",  # hash: file of a flow, or its name without one -> its run that finished last, most of it not from the cache
    "outcomes": "outcomes",  # hash: flow -> how its last run with `notify` ended: finished or failed
    "durations": "durations",  # hash: flow -> how long its latest runs with `notify` took that finished: ms, newest first
    "traced": "traced",  # string: the position in `ended` up to which traces were sent
    "ended": "ended",  # stream: runs that have ended
    "stats": "stats",  # hash: series -> what was counted, see lib/stats.lua
    "counted_names": "counted-names:{}",  # set per sort (flow, queue, schedule): names with series of their own
    # -- earlier results of jobs with `cache`
    "cache": "cache:{}",  # hash: the record of each result, see lib/cache.lua
    "cached": "cached:{}",  # hash: digest -> result
    # -- workers
    "workers": "workers",  # zset: name -> last beat
    "worker": "worker:{}",  # hash
    "call": "call:{}",  # list: wakes one worker for a command
    # -- cron
    "cron": "cron:{}",  # hash of an entry: slot (the latest one that was dealt with), job, at
    "cron_jobs": "cron-jobs:{}",  # zset per name: job -> its slot
    "cron_names": "cron-names",  # zset: name -> when a job of it was created last
    "schedulers": "schedulers",  # zset: cron scheduler -> last beat
    "scheduler": "scheduler:{}",  # hash
    # -- schedules of flows
    "schedule": "schedule:{}",  # hash: slot (the latest that was dealt with), since, def; paused, by, note, until; run
    "schedule_log": "schedule-log:{}",  # stream: what became of its slots
    "events_seen": "events-seen:{}",  # zset: key of an event of a trigger that was dealt with -> when it was there last
    "schedules": "schedules",  # zset: schedule -> when a scheduler had it last
    "loops": "schedule-loops",  # zset: scheduler -> last beat
    "catalogs": "catalogs",  # hash: name of a catalog -> identity of its directory
    "backfill": "backfill:{}",  # hash
    "backfills": "backfills",  # zset: backfill -> created
    "backfills_open": "backfills-open",  # set: those that have not ended
    # -- users of the page
    "access": "access:{}",  # hash of a token, session or link, by the digest of its secret: kind, name, role, flows, created, expires, used, parent
    "accesses": "accesses",  # zset: digest -> when it expires
    "audit": "audit",  # stream: what users changed
    "pages": "pages",  # zset: process that serves the page -> last beat
    "page_texts": "page-texts",  # hash: the same -> what it says of itself
    # -- runs
    "run": "run:{}",  # hash
    "plan": "plan:{}",  # string
    "kept": "kept:{}",  # zset per flow or entry of a schedule with `keep`: ended run -> its number in the order of ends
    "staging": "staging:{}",  # list: a retry's jobs before its flip
    "draft": "draft:{}",  # string: the plan that a run gets with a retry, before its flip
    "handlers": "handlers:{}",  # list: ordinals of the jobs that are not part of the graph
    "items": "items:{}",  # hash of a foreach: index -> the item's JSON
    "events": "events:{}",  # stream per run; "-" for plain jobs
    "logs": "logs:{}",  # stream: output of a run, or of a plain job; of a job of a run: marks in the output of its run (job/append_logs)
    "bundle": "bundle:{}",  # string: the archive of the files that travel with runs, by their hash
    "bundle_runs": "bundle-runs:{}",  # set: the runs that have it
    "runs": "runs",  # zset: run -> created
    "run_ids": "run-ids",  # zset, all scores 0: prefix search
    "directory": "directory:{}",  # zset per directory (hashed): run -> created
}


class Keys:
    """The keys of one namespace."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.prefix = f"{{{namespace}}}:"

    def __call__(self, name: str, *parts: str) -> str:
        """Return the key of this name, e.g. `keys("job", "ab12cd34-0")`."""
        return self.prefix + TEMPLATES[name].format(*parts)


def with_keys(lua: str) -> str:
    """Return a Lua text in which each `K.job(id)` is the expression of that key, `(NS .. 'job:' .. id)`.

    The text's own lines stay where they are. That is for speed: a function for each key would be made again by every call of a script.
    """
    out, end = [], 0
    for match in _BUILDER.finditer(lua):
        if match.start() < end:
            continue  # inside the arguments of another one
        arguments, behind = _arguments(lua, match.end())
        out += [lua[end : match.start()], _expression(match["name"], arguments)]
        end = behind
    return "".join([*out, lua[end:]])


_BUILDER: Final = re.compile(r"\bK\.(?P<name>\w+)\(")
_SIMPLE: Final = re.compile(r"[\w.]+")


def _arguments(lua: str, start: int) -> tuple[list[str], int]:
    """Return the arguments of a call, and where it ends. `start` is behind the opening parenthesis."""
    found, begun, depth, position = [], start, 1, start
    while depth:
        character = lua[position]
        if character in "'\"":
            position = lua.index(character, position + 1)
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        if (character == "," and depth == 1) or not depth:
            found.append(lua[begun:position].strip())
            begun = position + 1
        position += 1
    return [item for item in found if item], position


def _expression(name: str, arguments: list[str]) -> str:
    pieces = TEMPLATES[name].split("{}")
    assert len(arguments) == len(pieces) - 1, f"K.{name} takes {len(pieces) - 1} arguments, not {arguments}"
    parts = ["NS"]
    for index, piece in enumerate(pieces):
        if piece:
            parts.append(f"'{piece}'")
        if index < len(arguments):
            argument = with_keys(arguments[index])
            parts.append(argument if _SIMPLE.fullmatch(argument) else f"({argument})")
    return f"({' .. '.join(parts)})"
