"""Typed outcomes of transitions. A transition never raises because of the state it found: it returns an outcome."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from flowq.plan.bulk import record

_LONGEST: Final = 300  # characters of an error in a line of a log


class Outcome(StrEnum):
    """The reply of a transition."""

    DONE = "done"
    DUPLICATE = "duplicate"  # the same call was carried out before; nothing changed now
    FENCED = "fenced"  # another execution holds the job (or the worker lost it): drop the work
    WRONG_STATE = "wrong_state"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"  # the id is taken
    CYCLE = "cycle"  # the job would wait for itself
    # of a slot of a schedule:
    SUSPENDED = "suspended"  # the schedule or backfill is paused
    TOO_EARLY = "too_early"
    BUSY = "busy"  # as many runs are open as may be: ask again
    SKIPPED = "skipped"  # a run of the schedule is open, and its `overlap` lets the slot pass


class Verdict(StrEnum):
    """The verdict of a heartbeat on one execution."""

    GO_ON = "go_on"
    CANCEL = "cancel"  # a client asked to cancel the job: kill it and report `canceled`
    STOP = "stop"  # a client asked to stop the job (a plain job's stop command): kill it and report `stopped`
    FENCED = "fenced"  # the execution has lost the job: kill it, report nothing


@dataclass(frozen=True, slots=True)
class CacheReport:
    """The effect of an execution's end on the cache.

    `info` is the reason shown to users, JSON, kept in the job's record. With a digest and a record the result is kept; with a digest alone the
    one that is kept under it is taken over. `latest` is what the next execution compares with. `identity` names the job over all runs; `ttl_ms` is how long its results are of use.
    """

    info: str
    identity: str = ""
    digest: str = ""
    record: str = ""
    latest: str = ""
    ttl_ms: int | None = None

    def arguments(self) -> list[object]:
        """Return the arguments of the script `finish`."""
        return [self.info, self.identity, self.digest, self.record, self.latest, self.ttl_ms]


@dataclass(frozen=True, slots=True)
class ArtifactReport:
    """The files of one artifact at the end of an execution.

    `manifest` is opaque here; `contents` are kept on the server, by digest; `keep_ms` is how long, None: as long as the job's record.
    """

    name: str
    manifest: str
    contents: Mapping[str, bytes] = field(default_factory=dict)
    keep_ms: int | None = None

    def arguments(self) -> list[object]:
        """Return its part of the arguments of the script `finish`."""
        values: list[object] = [part for pair in self.contents.items() for part in pair]
        return [self.name, self.keep_ms, self.manifest, len(values), *values]


@record
class Claim:
    """A job handed to a slot. `fields` is the job's record as stored; `payload` is what a plain job executes."""

    id: str
    token: str
    execution: int
    attempt: int
    queue: str
    run: str | None
    ordinal: int | None
    payload: bytes | None
    fields: Mapping[str, str] = field(default_factory=dict)
    canceling: bool = False


@record
class ExecutionReport:
    """The end of one execution, as the worker reports it.

    `outcome` is finished, failed, stopped, canceled or retry (the job asked for it by returning a `Retry`).
    """

    id: str
    token: str
    outcome: str
    reason: str = ""
    value: bytes | None = None  # serialized return value of a success, else the error's text
    allowed: bool = False  # allow_failure applies
    retryable: bool = True  # of failed: retries that are left may be used
    delay_ms: int = -1  # of retry: the wait; -1: by the job's own policy
    max_returns: int = 0  # of retry: how often a returned Retry may repeat the job
    exit_code: int | None = None
    at_front: bool = False
    result_ttl_ms: int | None = None  # how long the record is kept when the job does not say
    unlisted: bool = False  # a failure is not listed in the registry of failed jobs
    cache: CacheReport | None = None  # of a job with `cache`
    artifacts: tuple[ArtifactReport, ...] = ()

    def sentence(self) -> str:
        """Return the end in a line of a log: `finished`, or `failed error: ValueError: no such station`."""
        said = " ".join(word for word in (self.outcome, self.reason) if word)
        text = "" if self.value is None or self.outcome == "finished" else self.value.decode("utf-8", "replace").rstrip()
        return f"{said}: {text.rpartition(chr(10))[2].strip()[:_LONGEST]}" if text else said

    def arguments(self) -> list[object]:
        """Return the arguments of the script `finish`."""
        return [
            *(self.id, self.token, self.outcome, self.reason, self.value is not None, self.value, self.allowed, self.retryable),
            *(self.delay_ms, self.max_returns, self.exit_code, self.at_front, self.result_ttl_ms, self.unlisted),
            [] if self.cache is None else self.cache.arguments(),
            [part for artifact in self.artifacts for part in artifact.arguments()],
        ]


@dataclass(frozen=True, slots=True)
class LogLines:
    """Captured output on its way to the store. `index` counts this execution's entries from 1; a repeated one is ignored."""

    id: str
    token: str
    index: int
    stream: str  # "out", "err", or the streams of its pieces (`flowq.store.schema.log_streams`)
    data: bytes


@record
class ExchangeReply:
    """The answer to one step: an outcome per reported execution, a claim (or None) per asked slot, in order."""

    ended: tuple[Outcome, ...]
    claims: tuple[Claim | None, ...]
    more: bool  # dependents are still to be released: tick soon
    webhooks: bool = False  # a webhook is due


@dataclass(frozen=True, slots=True)
class BeatReply:
    """The answer to a heartbeat: a verdict per execution, in order."""

    verdicts: tuple[Verdict, ...]
    unswept: bool  # no worker sweeps: this one should
    callbacks: bool  # failure callbacks of lost executions wait on one of its queues


@dataclass(frozen=True, slots=True)
class SweepReply:
    """The result of a sweep. `more`: call again at once, the batch limit was reached."""

    reaped: int
    due: int
    released: int
    more: bool
    decide: tuple[str, ...]  # ids of jobs whose `if` this worker should evaluate now
    webhooks: int = 0  # deliveries that are due
    again: float | None = None  # s until work is due that this worker must do
    set_aside: tuple[
        tuple[str, str], ...
    ] = ()  # "<kind>|<id>" of records that could not be processed, and why: this worker logs them
    standby: float = 0.0  # s in which this worker need not sweep because another one does; then nothing was done
