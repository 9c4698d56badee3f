"""The flow's policies for a failed job: whether the failure is allowed (`allow_failure`) and whether it is retried (`retry`, filter `on`)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from flowq.exceptions import ServerError
from flowq.plan import Json, RetryPolicy
from flowq.states import Reason
from flowq.worker.supervisor.expressions.job_scope import JobScopes, UnpreparableError

if TYPE_CHECKING:
    from flowq.store.schema.outcomes import Claim
    from flowq.worker.ipc.messages import TaskResult


class FailurePolicy:
    """The policies applied to the outcomes of claimed jobs. If the plan cannot be read, a failure counts and may be retried."""

    def __init__(self, scopes: JobScopes) -> None:
        self._scopes = scopes

    def allowed(self, claim: "Claim", outcome: "TaskResult | None") -> bool:
        """Return whether this is a failure that the flow allows. `outcome`: of the execution, None for a job that could not be prepared."""
        if claim.run is None or claim.ordinal is None or (outcome is not None and outcome.get("outcome") != "failed"):
            return False
        try:
            rule = self._scopes.find(claim.run, claim.ordinal, claim.fields).node.allow_failure
        except (UnpreparableError, ServerError):
            return False
        return rule if isinstance(rule, bool) else outcome is not None and outcome["exit_code"] in rule

    def retryable(self, claim: "Claim", outcome: "TaskResult") -> bool:
        """Return whether the job's `retry` covers this failure; of no failure: True."""
        if claim.run is None or claim.ordinal is None or outcome.get("outcome") != "failed":
            return True
        try:
            policy = self._scopes.find(claim.run, claim.ordinal, claim.fields).node.retry
        except (UnpreparableError, ServerError):
            return True
        return covers(policy, outcome)


def covers(policy: RetryPolicy | None, outcome: Mapping[str, Json]) -> bool:
    """Return whether a retry policy covers a failed outcome of a horse, if attempts are left.

    `failure` stands for every failure of the job itself, `timeout` for its timeout, `exit:3` for an exit code, anything else for an
    exception: `ConnectionError` fits a class of that name anywhere, `requests.ConnectionError` one of the package `requests` (in any
    module of it), and both fit derived classes. The store judges lost executions.
    """
    if policy is None or not policy.on:
        return True
    reason = outcome.get("reason")
    if reason == Reason.TIMEOUT:
        return Reason.TIMEOUT in policy.on
    names = [outcome.get("exception") or "", *outcome.get("bases", ())]
    return any(_fits(rule, names, outcome.get("exit_code")) for rule in policy.on)


def _fits(rule: str, names: list[str], exit_code: int | None) -> bool:
    if rule == "failure":
        return True
    if rule.startswith("exit:"):
        return exit_code is not None and rule == f"exit:{exit_code}"
    return any(_is_called(name, rule) for name in names)


def _is_called(name: str, wanted: str) -> bool:
    parts, asked = name.removeprefix("builtins.").split("."), wanted.removeprefix("builtins.").split(".")
    return parts[-1] == asked[-1] and (len(asked) == 1 or parts[0] == asked[0])
