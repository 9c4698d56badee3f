"""What a scheduler tells of a catalog: its summary to the parent, and in the log which flows become valid and which do not.

Also which flows another catalog has too: where the directory of one is within that of the other, each slot and event has two runs.
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from flowq.flows.local_worker.missing_secrets import absent_secrets
from flowq.flows.local_worker.worker import needed_queues
from flowq.flows.served_twice import Start, starts
from flowq.flows.views.text import plural
from flowq.plan import Plan
from flowq.schedules.directory.catalog import FlowChangedError
from flowq.schedules.entries import FlowOfCatalog, FlowsOfDirectory, KnownEntry
from flowq.schedules.slot_runs import compile_slot, first_problem, log
from flowq.worker.secrets import resolve

if TYPE_CHECKING:
    from flowq.store import Store

_COMING: Final = 20  # slots


@dataclass(frozen=True, slots=True)
class Coming:
    """The next slot of a schedule: its id, the slot (ms), the zone of its times."""

    schedule: str
    slot: int
    timezone: str


@dataclass(frozen=True, slots=True)
class Summary:
    """What a catalog has.

    Attributes:
        name: of the catalog.
        flows: the number of flows.
        invalid: paths of those that are not valid.
        schedules: the number of entries of valid flows.
        paused: how many of them are paused, by their file or by a user.
        triggers: the number of triggers of valid flows.
        absent: what the runs of valid flows refer to and this process has not: secrets of jobs, of webhooks, addresses of messages.
        queues: what their jobs wait in.
        coming: the next slots, the earliest first.
    """

    name: str
    flows: int
    invalid: tuple[str, ...]
    schedules: int
    paused: int
    triggers: int
    absent: tuple[str, ...]
    queues: tuple[str, ...]
    coming: tuple[Coming, ...]

    @classmethod
    def of(cls, catalog: FlowsOfDirectory, known: Sequence[KnownEntry], now: int, paused: Container[str] = ()) -> Self:
        """Summarize a catalog and its entries at a time (ms). `paused`: the ids of those that fire no slots now."""
        plans = [flow.compilation.plan for flow in catalog.flows.values()]
        plans += [_plan_of(item, now) for item in known if item.flow.compilation.plan is None]
        valid = [flow for flow in catalog.flows.values() if flow.valid]
        firing = [item for item in known if item.flow.valid]
        active = [item for item in firing if item.id not in paused]
        slots = ((item, item.series.after(now)) for item in active)
        coming = [Coming(item.id, slot, item.entry.timezone) for item, slot in slots if slot is not None]
        return cls(
            catalog.name,
            len(catalog.flows),
            tuple(flow.path for flow in catalog.flows.values() if not flow.valid),
            len(firing),
            len(firing) - len(active),
            sum(len(flow.compilation.triggers) for flow in valid),
            (*_absent_secrets(plans), *(text for flow in valid for text in _absent_references(flow))),
            tuple(sorted({queue for plan in plans if plan is not None for queue in needed_queues(plan)})),
            tuple(sorted(coming, key=lambda item: item.slot)[:_COMING]),
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "name": self.name,
            "flows": self.flows,
            "invalid": list(self.invalid),
            "schedules": self.schedules,
            "paused": self.paused,
            "triggers": self.triggers,
            "absent": list(self.absent),
            "queues": list(self.queues),
            "coming": [[item.schedule, item.slot, item.timezone] for item in self.coming],
        }


def _absent_secrets(plans: Iterable[Plan | None]) -> Iterator[str]:
    """Yield what the jobs of flows lack here, each once: a flow has a plan for each of its entries where params need their values."""
    yield from dict.fromkeys(item.text for plan in plans if plan is not None for item in absent_secrets(plan))


def _absent_references(flow: FlowOfCatalog) -> Iterator[str]:
    """Yield which addresses of messages and keys of webhooks are not here."""
    wanted = [("notify", notice.address, notice.to) for notice in flow.compilation.notify]
    wanted += [
        (f"trigger {item.name}", "webhook", item.secret) for item in flow.compilation.triggers if item.secret is not None
    ]
    for where, name, reference in wanted:
        problem = resolve.problem_of(name, reference)
        if problem is not None:
            yield f"{flow.path}: {where}: {problem}"


def _plan_of(known: KnownEntry, now: int) -> Plan | None:
    """Return the plan of a flow whose params have values only in the runs of an entry."""
    slot = known.series.after(now)
    if slot is None or not known.flow.valid:
        return None
    try:
        return compile_slot(known.flow, known, slot).plan
    except FlowChangedError:  # it is told again when it has been read
        return None


class Validity:
    """Logs each change once, when a look at the directory shows it, not when something is due that cannot run."""

    def __init__(self) -> None:
        self._problems: dict[str, str] = {}

    def compare(self, catalog: FlowsOfDirectory) -> None:
        """Log what has changed since the last call."""
        problems = {flow.path: problem_of(flow) for flow in catalog.flows.values() if not flow.valid}
        for path, problem in problems.items():
            if self._problems.get(path) != problem:
                log.error("%s is not valid, and starts nothing until it is: %s", path, problem)
        for flow in catalog.flows.values():
            if flow.path in self._problems and flow.valid:
                log.info("%s is valid again", flow.path)
        self._problems = problems


def problem_of(flow: FlowOfCatalog) -> str:
    """Return why a flow is not valid: its name is refused, or its errors, the first one in full."""
    if flow.problem:
        return flow.problem
    errors = [item for item in flow.compilation.diagnostics if item.severity == "error"]
    more = f", and {plural(len(errors) - 1, 'more error')}; `flowq validate` shows all" if len(errors) > 1 else ""
    line = f"line {errors[0].line}: " if errors and errors[0].line else ""
    return f"{line}{first_problem(flow.compilation)}{more}"


def rivals(store: "Store", catalog: str, ours: Iterable[Start], now: int) -> dict[str, str]:
    """Return the schedules and triggers of other catalogs that a living scheduler has, and that start runs of a flow file as `ours` do; by its path."""
    names = [name for name in store.schedules.names() if name.partition("/")[0] != catalog]
    records = (record for record in store.schedules.get_many(names) if record is not None)
    own = set(ours)
    return {start.path: name for start, name in starts(records, now) if start in own}
