"""The conditions of a job that are evaluated before it continues: its `if`, the list of a foreach, its concurrency group, an approval's question."""

import json
import logging
import time
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowq import defaults
from flowq.exceptions import CorruptRecordError, DataLostError, ServerError
from flowq.expr import EvalError, evaluate, render, to_text
from flowq.ids import split_member_id
from flowq.plan import Json, Node
from flowq.states import Reason
from flowq.store.schema.outcomes import Outcome
from flowq.store.semaphores import group_semaphore
from flowq.worker.supervisor.expressions.job_scope import JobPlace, JobScopes, NewerPlanError, UnpreparableError

if TYPE_CHECKING:
    from flowq.store import Store


_log = logging.getLogger("flowq.worker")


@dataclass(frozen=True, slots=True)
class Resolution:
    """The values of a job's conditions, in the store's terms. `items`: the list of a foreach that continues."""

    verdict: str  # go_on, skipped or failed
    reason: str = ""
    text: str = ""
    semaphore: str = ""
    message: str = ""
    items: tuple[bytes, ...] | None = None


class Conditions:
    """An evaluator of conditions. It reads the store, so its methods may raise `ServerError`: repeat the call later."""

    def __init__(self, store: "Store", scopes: JobScopes) -> None:
        self._store = store
        self._scopes = scopes
        self._jobs: deque[str] = deque()

    @property
    def pending(self) -> bool:
        """Whether jobs wait for `resolve`."""
        return bool(self._jobs)

    def add(self, jobs: Iterable[str]) -> None:
        """Take over jobs whose conditions this worker is to evaluate."""
        self._jobs.extend(job for job in jobs if job not in self._jobs)

    def forget(self) -> None:
        """Drop all jobs. The store hands them out again after some seconds."""
        self._jobs.clear()

    def resolve(self, seconds: float) -> bool:
        """Evaluate conditions and report them to the store, for at most that many seconds; return whether a job can continue.

        Heartbeats and ends of running jobs must not wait for a hundred evaluations.

        Raises:
            DataLostError: the data of the server is gone.
        """
        until = time.monotonic() + seconds
        resolved = False
        while self._jobs and time.monotonic() < until:
            job = self._jobs.popleft()
            try:
                resolved = self._store_resolution(job, self.evaluate(job)) is Outcome.DONE or resolved
            except DataLostError:
                raise
            except NewerPlanError:
                continue  # it is handed out again
            except ServerError as error:
                _log.warning("%s", error)
                break
            except (CorruptRecordError, ValueError, KeyError, TypeError, IndexError) as error:
                self._set_aside(job, f"it cannot be decided: {error}")
        return resolved

    def _set_aside(self, job: str, text: str) -> None:
        with suppress(ServerError):  # it is handed out again
            self._store.workers.set_aside("decide", job, text)

    def _store_resolution(self, job: str, found: Resolution) -> Outcome:
        if found.items is not None:
            return self._store.jobs.expand(job, found.items)
        return self._store.jobs.decide(
            job, found.verdict, found.reason, found.text, semaphore=found.semaphore, message=found.message
        )

    def evaluate(self, job: str) -> Resolution:
        """Evaluate the conditions of a job."""
        run_id, ordinal = split_member_id(job)
        try:
            record = self._store.jobs.get(job)
            place = self._scopes.find(run_id, ordinal, record.fields if record is not None else {})
        except NewerPlanError:
            raise
        except UnpreparableError as error:
            return Resolution("failed", Reason.ERROR, str(error))
        try:
            return self._evaluate(place)
        except EvalError as error:
            return Resolution("failed", Reason.ERROR, f"{place.where}: {error}")

    def _evaluate(self, place: JobPlace) -> Resolution:
        node = place.node
        scope = self._scopes.scope(place, attempt=1)
        scope["env"] = {**scope["env"], **_known_environment(node, scope)}
        if node.condition is not None and place.group is None:
            value = _evaluated("if", node.condition, scope)
            if value is False:
                return Resolution("skipped", Reason.IF_FALSE)
            if value is not True:
                raise EvalError(f"if: expected true or false, `{node.condition}` gives {to_text(value)!r}")
        if place.cell.group and node.foreach is not None:
            return Resolution("go_on", items=_items(node.foreach, scope))
        semaphore = message = ""
        if node.concurrency is not None and not isinstance(node.concurrency.group, str):
            group = to_text(render(node.concurrency.group, scope))
            semaphore = f"{node.concurrency.max} {group_semaphore('job', group)}"
        if node.action.kind == "approval" and node.action.message is not None:
            message = to_text(render(node.action.message, scope))
        return Resolution("go_on", semaphore=semaphore, message=message)


def _known_environment(node: Node, scope: Mapping[str, Json]) -> dict[str, str]:
    """Return the variables of a job's own environment that are known before it continues: those that use `item`, say, are absent."""
    env: dict[str, str] = {}
    for name, value in node.env.items():
        with suppress(EvalError):  # an expression that uses it fails with "no such name"
            env[name] = to_text(render(value, scope))
    return env


def _evaluated(what: str, source: str, scope: Mapping[str, Json]) -> Json:
    try:
        return evaluate(source, scope)
    except EvalError as error:
        raise EvalError(f"{what}: {error}") from error


def _items(source: str, scope: Mapping[str, Json]) -> tuple[bytes, ...]:
    value = _evaluated("foreach", source, scope)
    if not isinstance(value, list):
        raise EvalError(f"foreach: expected a list, `{source}` gives {to_text(value)[:100]!r}")
    if len(value) > defaults.MAX_ITEMS:
        raise EvalError(f"foreach: the list has {len(value):,} items, at most {defaults.MAX_ITEMS:,} are allowed")
    return tuple(json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass") for item in value)
