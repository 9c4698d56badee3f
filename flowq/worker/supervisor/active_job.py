"""A claimed job in this worker's hands, from the claim to the acknowledged report of its end."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from flowq import signing
from flowq.durations import milliseconds
from flowq.retry import Retry
from flowq.states import Reason
from flowq.store.schema.log_streams import combine
from flowq.store.schema.outcomes import ArtifactReport, CacheReport, Claim, ExecutionReport, LogLines
from flowq.worker.supervisor.ends import Ended, KillCause
from flowq.worker.supervisor.expressions.job_scope import UnpreparableError
from flowq.worker.supervisor.plain_jobs import unreadable
from flowq.worker.supervisor.slot import Slot

if TYPE_CHECKING:
    from flowq.worker.ipc.messages import TaskResult


class FollowUp(StrEnum):
    """The reports about a claim other than its end."""

    RETURN = "return"  # the job goes back to its queue, uncharged
    RELEASE = "release"  # its place under a rate limit is free: it was taken away, and its processes are gone
    ACKNOWLEDGE = "acknowledge"  # the failure callback of a lost execution was called


@dataclass(slots=True)
class ActiveJob:
    """One execution. `leased` is the boot time at which the lease was last asked for and granted, `started` that of its start."""

    claim: Claim
    leased: float
    slot: Slot | None = None
    started: float | None = None
    reported: bool = False
    logged: int = 0
    end: Ended | None = None  # the job's outcome, while another horse calls one of its callbacks
    result_ttl: float | None = None  # the worker's default, s
    unlisted: bool = False  # the worker does not list failures
    fenced: bool = False  # it was taken away while it ran
    slots: int = 1  # of this worker, that it takes
    lost: bool = False  # of another worker, lost with it: this worker only calls its failure callback

    def log(self, pieces: list[tuple[str, bytes]]) -> list[LogLines]:
        """Return captured output as entries with numbers, so that the store takes each entry once."""
        entries = list(combine(pieces))
        first = self.logged + 1
        self.logged += len(entries)
        return [LogLines(self.claim.id, self.claim.token, index, *entry) for index, entry in enumerate(entries, start=first)]

    def ended(self, end: Ended, *, allowed: bool, retryable: bool = True) -> ExecutionReport:
        """Return the report of an end. `allowed`, `retryable`: the flow's policies for such a failure."""
        match end.cause:
            case KillCause.CANCEL:
                return self._execution("canceled", Reason.CANCELED, "canceled", allowed=False)
            case KillCause.STOP:
                return self._execution("stopped", "", "stopped by request", allowed=False)
            case _:
                return self._by_outcome(end.outcome, allowed, retryable)

    def failed(self, reason: Reason, text: str, *, allowed: bool, retryable: bool) -> ExecutionReport:
        """Return the report of a failure for which no horse was needed."""
        return self._execution("failed", reason, text, allowed=allowed, retryable=retryable)

    def sentence(self, error: Exception) -> str:
        """Return why a job could not be prepared. An error that is not the flow's is one of the job's stored data."""
        if isinstance(error, UnpreparableError):
            return str(error)
        return unreadable(self.claim.id, error)

    def _by_outcome(self, outcome: TaskResult, allowed: bool, retryable: bool) -> ExecutionReport:
        claim = self.claim
        match outcome["outcome"]:
            case "finished":
                return ExecutionReport(
                    claim.id,
                    claim.token,
                    "finished",
                    value=outcome["value"] if claim.run is not None else _sealed(claim, outcome["value"]),
                    exit_code=outcome["exit_code"],
                    result_ttl_ms=None if self.result_ttl is None else milliseconds(self.result_ttl),
                    cache=cache_report(outcome),
                    artifacts=artifact_reports(claim.id, outcome),
                )
            case "retry":
                returns = int(claim.fields.get("returns") or 0)
                intervals = outcome["intervals"] or [0.0]
                wait = intervals[min(returns, len(intervals) - 1)]
                return ExecutionReport(
                    claim.id,
                    claim.token,
                    "retry",
                    delay_ms=int(wait * 1000),
                    max_returns=outcome["max"],
                    at_front=outcome["at_front"],
                    value=_asked(outcome).encode(),
                    artifacts=artifact_reports(claim.id, outcome),
                )
            case _:
                failure = self._execution(
                    "failed",
                    outcome["reason"],
                    outcome["error"],
                    allowed=allowed,
                    retryable=retryable,
                    exit_code=outcome["exit_code"],
                )
                return replace(failure, cache=cache_report(outcome), artifacts=artifact_reports(claim.id, outcome))

    def _execution(
        self, outcome: str, reason: str, text: str, *, allowed: bool, retryable: bool = True, exit_code: int | None = None
    ) -> ExecutionReport:
        return ExecutionReport(
            self.claim.id,
            self.claim.token,
            outcome,
            reason=reason,
            value=text.encode("utf-8", "backslashreplace"),
            allowed=allowed,
            retryable=retryable,
            exit_code=exit_code,
            unlisted=self.unlisted,
        )


def _asked(outcome: TaskResult) -> str:
    retry = Retry(outcome["max"], outcome["intervals"] or 0, outcome["at_front"])
    return f"the job asked for another attempt by returning Retry: {retry.stored()}"


def _sealed(claim: Claim, value: bytes) -> bytes:
    return signing.seal(value, "result of job", claim.id) if value else value


def cache_report(outcome: TaskResult) -> CacheReport | None:
    """Return the cache part of an outcome, None for a job without a cache."""
    said = outcome.get("cache")
    if said is None:
        return None
    info = json.dumps({key: said.get(key) for key in ("hit", "reason", "run")}, ensure_ascii=False)
    if "digest" not in said:
        return CacheReport(info)
    return CacheReport(info, said["id"], said["digest"], said.get("record", ""), said.get("latest", ""), said["ttl"])


def artifact_reports(job: str, outcome: TaskResult) -> tuple[ArtifactReport, ...]:
    """Return the files that an execution has left."""
    said = outcome.get("artifacts")
    if said is None:
        return ()
    from flowq.artifacts.manifest import written  # few jobs have some

    contents = said["contents"]
    return tuple(
        ArtifactReport(
            item["name"],
            written(item["files"], remote=item["remote"], job=job, name=item["name"]),
            {row[2]: contents[row[2]] for row in item["files"] if row[2] in contents},
            item["keep"],
        )
        for item in said["items"]
    )
