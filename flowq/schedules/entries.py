"""The schedule entries of a catalog, with their ids, and what is kept of them in the store for users."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Final, Protocol

from flowq.compiler import Compilation
from flowq.plan import Json
from flowq.plan.schedule import CatchUp, Entry
from flowq.schedules.due import Policy
from flowq.slots.series import Series, jitter_of
from flowq.slots.timezones import time_in

if TYPE_CHECKING:
    from flowq.store.schedules import Schedules

GONE: Final = 60_000
"""ms by which another schedule of the same files was seen later: this one is not in them any more."""


class FlowOfCatalog(Protocol):
    """A flow as a scheduler sees it: `flowq.schedules.directory.catalog.CatalogFlow`."""

    @property
    def name(self) -> str:
        """Its name in the catalog."""

    @property
    def path(self) -> str:
        """Its absolute path."""

    @property
    def compilation(self) -> Compilation:
        """That of its present text."""

    @property
    def problem(self) -> str:
        """Why its name is refused, or ""."""

    @property
    def valid(self) -> bool:
        """Whether runs of it can be made."""

    def compile(self, **more: Any) -> Compilation:
        """Compile it for a run."""


class FlowsOfDirectory(Protocol):
    """A catalog as a scheduler sees it: `flowq.schedules.directory.catalog.Catalog`."""

    @property
    def name(self) -> str:
        """The first part of the ids of its schedules."""

    @property
    def root(self) -> str:
        """The directory, absolute."""

    @property
    def waiting(self) -> bool:
        """Whether a file is compiled by a later look."""

    @property
    def pause(self) -> float:
        """Seconds until the next look."""

    @property
    def stale(self) -> bool:
        """Whether the directory cannot be read."""

    @property
    def flows(self) -> Mapping[str, FlowOfCatalog]:
        """The flows by name."""

    def look(self) -> None:
        """Look for changes."""


@dataclass(frozen=True, slots=True)
class KnownEntry:
    """An entry of a flow of the catalog: its id, the flow, what is computed of the entry, and the messages of the flow."""

    id: str
    flow: FlowOfCatalog
    entry: Entry
    series: Series
    policy: Policy
    definition: str
    notify: str = ""

    def time(self, slot: int) -> str:
        """Return a slot as a time in the entry's zone, for messages."""
        return time_in(slot, self.entry.timezone)

    def delay(self, slot: int) -> int:
        """Return by how much (ms) the run of a slot begins later."""
        return jitter_of(self.id, slot, self.entry.jitter) if self.entry.jitter else 0


@dataclass(frozen=True, slots=True)
class Declared:
    """What a flow declares when it is valid: its entries, and its messages as a run's field `notify` has them."""

    entries: tuple[Entry, ...] = ()
    notify: str = ""


class Entries:
    """The entries of a catalog. Those of a flow that is not valid now are the ones that it had when it was valid last.

    Args:
        catalog: the flows.
        recall: returns what the store has of a flow that has not been valid since this scheduler began.
    """

    def __init__(self, catalog: FlowsOfDirectory, recall: Callable[[str], Declared]) -> None:
        self._catalog = catalog
        self._recall = recall
        self._known: dict[str, tuple[Compilation, Declared]] = {}

    def all(self) -> list[KnownEntry]:
        """Return the entries of all flows.

        Raises:
            ServerError: the server cannot be used, and has to be asked about a flow.
        """
        self._known = {name: self._of(name, flow) for name, flow in self._catalog.flows.items()}
        return [
            known_entry(self._catalog.name, flow, entry, self._known[name][1].notify)
            for name, flow in self._catalog.flows.items()
            for entry in self._known[name][1].entries
        ]

    def _of(self, name: str, flow: FlowOfCatalog) -> tuple[Compilation, Declared]:
        former = self._known.get(name)
        if former is not None and former[0] is flow.compilation:
            return former
        if flow.valid:
            lines = "\n".join(notice.stored() for notice in flow.compilation.notify)
            return flow.compilation, Declared(flow.compilation.schedules, lines)
        return flow.compilation, self._recall(f"{self._catalog.name}/{name}") if former is None else former[1]


def recalled(schedules: "Schedules", flow: str) -> Declared:
    """Return what schedulers told of the entries of a flow, those that were there to the last; `flow` with its catalog."""
    ids = [name for name in schedules.names() if name.rpartition(":")[0] == flow]
    records = [record for record in schedules.get_many(ids) if record is not None]
    latest = max((record.seen_ms for record in records), default=0)
    found = [Description.from_json(record.description) for record in records if latest - record.seen_ms <= GONE]
    described = [item for item in found if item is not None]
    return Declared(tuple(item.entry for item in described), described[0].notify if described else "")


def known_entry(catalog: str, flow: FlowOfCatalog, entry: Entry, notify: str = "") -> KnownEntry:
    """Return an entry of a flow of a catalog with its id."""
    rules = Policy(entry.catch_up.mode, entry.catch_up.max, entry.catch_up.window, entry.overlap, entry.jitter)
    series = entry.series
    name = f"{catalog}/{flow.name}:{entry.name}"
    return KnownEntry(name, flow, entry, series, rules, series.definition(entry.jitter), notify)


def code_of(compilation: Compilation) -> str:
    """Return a digest of the files that a plan was made of."""
    sources = {} if compilation.plan is None else dict(compilation.plan.sources)
    return hashlib.sha256(json.dumps(sources, sort_keys=True).encode("utf-8", "surrogateescape")).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Description:
    """What a scheduler keeps of an entry in the store, for commands on any machine.

    Attributes:
        entry: the entry.
        path: the flow file, absolute, on the machine of the scheduler.
        root: the directory of the catalog, where its runs belong.
        queue_prefix: in front of the names of the queues of its runs.
        problem: why it cannot fire now, or "".
        notify: the messages of its flow, as a run's field `notify` has them.
        ships: the files of the directory travel with its runs.
    """

    entry: Entry
    path: str
    root: str
    queue_prefix: str = ""
    problem: str = ""
    notify: str = ""
    ships: bool = False

    def to_json(self) -> str:
        """Return the stored text."""
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True, default=str)

    @classmethod
    def from_json(cls, text: str) -> "Description | None":
        """Return what was stored, None if another version of flowq wrote it in another form."""
        try:
            found = json.loads(text)
            entry, notify = _entry(found["entry"]), found.get("notify", "")
            return cls(
                entry, found["path"], found["root"], found["queue_prefix"], found["problem"], notify, found.get("ships", False)
            )
        except (ValueError, KeyError, TypeError):
            return None


def events_of(description: str) -> str:
    """Return which events start the runs, of what a scheduler keeps of a trigger; "" of an entry of `schedule`."""
    return _told(description, "events")


def problem_told(description: str) -> str:
    """Return why a schedule or trigger starts nothing now, of what a scheduler keeps of it; "" if it does."""
    return _told(description, "problem")


def path_told(description: str) -> str:
    """Return the path of the flow file on the scheduler's machine, of what a scheduler keeps of a schedule or trigger."""
    return _told(description, "path")


def _told(description: str, key: str) -> str:
    try:
        return str(json.loads(description).get(key, ""))
    except (ValueError, AttributeError):
        return ""


def _entry(document: Mapping[str, Json]) -> Entry:
    names = {item.name for item in fields(Entry)}
    values = {name: value for name, value in document.items() if name in names}
    values |= {name: tuple(values[name]) for name in ("cron", "at") if name in values}
    return Entry(**values | {"catch_up": CatchUp(**document["catch_up"])})
