"""Options of a worker: one frozen record, made once by the caller that starts it."""

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flowq import defaults, ids

if TYPE_CHECKING:
    from flowq.worker.executor_settings import ExecutorSettings


def _default_name() -> str:
    return f"{socket.gethostname()}.{os.getpid()}.{ids.nonce()[:6]}"


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """Options of one worker. Times in seconds.

    Attributes:
        queues: the store's names of its queues, in order of priority.
        slots: jobs executed at once.
        name: its unique name in lists.
        burst: stop when the queues are empty.
        max_jobs: stop after that many jobs.
        max_idle: stop after that long without a job.
        until_run: stop when this run has ended.
        lifeline: an inherited descriptor; its end means that the parent is gone, and stops the worker cold.
        preload: modules that fork servers import at their start.
        warm: let fork servers keep harmless modules imported.
        clone: horses are forked from a clone of this process, not from a fresh interpreter.
        alone: this process is only a worker: it may adopt and kill its orphaned descendants.
        strategy: in what order queues are served: "default" as given, "round_robin", or "random".
        result_ttl: how long finished plain jobs are kept that do not say so themselves.
        unlisted: failed plain jobs are not listed in the registry of failed jobs.
        stop_within: how long a stop waits for what runs before that is handed back; None: until it has ended.
        deaf: horses ignore stop signals, which some hosts send to every process.
        path: of jobs that are not clones: where they look for modules; the current directory unless given.
        environment: variables of plain jobs beyond the inherited ones.
        hooks: of jobs that are not clones: names of what is to be installed in them, see `flowq.worker.horse.callbacks.adopt`.
        isolation: by queue, and "" for all others: "job", "batch" or "batch:20", see `flowq.isolation`. Clones have a horse for each job.
        allow: patterns of what may be called, see `flowq.worker.horse.allowlist`; none allow everything.
        executor: executes the jobs elsewhere; None: forked here.
        killed: called with the id and the end of a plain job when its horse has died without an outcome.
        lease, beat, sweep, grace: see `flowq.defaults`.
    """

    queues: tuple[str, ...]
    slots: int = 1
    name: str = field(default_factory=_default_name)
    burst: bool = False
    max_jobs: int | None = None
    max_idle: float | None = None
    until_run: str | None = None
    lifeline: int | None = None
    preload: tuple[str, ...] = ()
    warm: bool = True
    clone: bool = False
    alone: bool = False
    strategy: str = "default"
    result_ttl: float | None = None
    unlisted: bool = False
    stop_within: float | None = None
    deaf: bool = False
    path: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    hooks: Mapping[str, Any] = field(default_factory=dict)
    isolation: Mapping[str, str] = field(default_factory=dict)
    allow: tuple[str, ...] = ()
    executor: "ExecutorSettings | None" = None
    killed: Callable[[str, Any], None] | None = None
    lease: float = defaults.LEASE
    beat: float = defaults.BEAT
    sweep: float = defaults.SWEEP
    grace: float = defaults.TIMEOUT_GRACE
