"""Which failures a job's `retry` is for: the filter `on`."""

from collections.abc import Mapping

from flowq.plan import Json, RetryPolicy
from flowq.states import Reason


def may_retry(policy: RetryPolicy | None, outcome: Mapping[str, Json]) -> bool:
    """Return whether a failed outcome of a horse may be tried again, if attempts are left.

    `failure` stands for every failure of the job itself, `timeout` for its timeout, `exit:3` for an exit code, anything else for an
    exception: `ConnectionError` fits a class of that name anywhere, `requests.ConnectionError` one whose package is `requests` (where
    in the package it is defined is nobody's business), and so do classes derived from it. Lost executions are the store's to judge.
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
