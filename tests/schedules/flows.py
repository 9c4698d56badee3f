"""A catalog in memory: flows whose texts and entries a test says."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flowq.compiler import Compilation, compile_text
from flowq.plan.notice import Notice
from flowq.plan.schedule import Entry, Scheduled
from flowq.plan.trigger import Trigger
from flowq.slots.timezones import date_in

FLOW = "jobs: {a: {run: 'true'}}\n"


@dataclass(frozen=True)
class Flow:
    """A flow with the entries of its schedule."""

    name: str
    entries: tuple[Entry, ...] = ()
    text: str = FLOW
    directory: str = "/flows"
    triggers: tuple[Trigger, ...] = ()
    notify: tuple[Notice, ...] = ()
    problem: str = ""

    @property
    def path(self) -> str:
        return f"{self.directory}/{self.name}.yaml"

    @property
    def compilation(self) -> Compilation:
        return self.compile()

    @property
    def valid(self) -> bool:
        return self.compilation.plan is not None

    def compile(self, *, scheduled: Scheduled | None = None, params: Mapping[str, Any] | None = None) -> Compilation:
        date = "2026-01-01" if scheduled is None else date_in(scheduled.at, scheduled.timezone)
        found = compile_text(self.text, name=f"{self.name}.yaml", params=params or {}, date=date)
        plan = None if found.plan is None else replace(found.plan, sources={self.path: str(hash(self.text))})
        return Compilation(plan, found.diagnostics, self.entries, triggers=self.triggers, notify=self.notify)


@dataclass
class Flows:
    """The flows of a directory."""

    flows: Mapping[str, Any] = field(default_factory=dict)
    name: str = "flows"
    root: str = "/flows"
    stale: bool = False
    waiting: bool = False
    pause: float = 2.0

    @classmethod
    def of(cls, *flows: Flow) -> "Flows":
        return cls({flow.name: flow for flow in flows})

    def look(self) -> None:
        """Nothing changes by itself."""
