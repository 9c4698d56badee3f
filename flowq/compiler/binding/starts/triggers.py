"""`triggers`: what starts a run besides a schedule. An event gives values to params; what is known of it depends on its kind."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from flowq.compiler.binding import fields
from flowq.compiler.binding.job import bare_expression
from flowq.compiler.binding.secrets import reference
from flowq.compiler.binding.starts.values import check_values, names_of, params_of
from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.diagnostics.diagnostic import Span
from flowq.compiler.diagnostics.suggestions import listing
from flowq.compiler.expressions.checks import check_site
from flowq.compiler.expressions.constants import UNKNOWN, StaticScope
from flowq.compiler.expressions.names import Known
from flowq.compiler.expressions.sites import Context, SiteReader
from flowq.compiler.params.params import Given, ParamSpec, has_expressions
from flowq.compiler.syntax.files import Beside
from flowq.compiler.syntax.nodes import Json, MapNode, YamlNode, plain, texts_of
from flowq.compiler.syntax.source import Report
from flowq.expr.types import ANY, MAP, NUMBER, STRING, Type
from flowq.plan.schedule import Entry
from flowq.plan.trigger import Trigger

KINDS: Final = ("webhook", "files", "flow")
ENDS: Final = ("finished", "failed", "canceled", "skipped")
"""The ends of runs that a trigger follows."""

_KEYS: Final = frozenset({*KINDS, "status", "if", "params", "labels", "overlap", "paused"})
_SETTLE: Final = 10_000  # ms
_SCHEME: Final = "hmac-sha256"
_PART: Final = "part of the event"
_EVENTS: Final[Mapping[str, Mapping[str, Type]]] = {
    "webhook": {"id": STRING, "body": ANY, "headers": Type("map", item=STRING)},
    "files": {"path": STRING, "name": STRING, "size": NUMBER, "modified_at": STRING},
    "flow": {
        "run": STRING,
        "attempt": NUMBER,
        "status": Type("string", values=ENDS),
        "flow": STRING,
        "params": MAP,
        "labels": MAP,
        "ended_at": STRING,
    },
}
"""What expressions know of an event, by its kind."""
_RUN: Final[Mapping[str, Json]] = {"date": "2026-01-01"}  # of the runs that defaults are checked with


@dataclass(frozen=True, slots=True)
class Declarations:
    """What triggers are checked with: the flow's place, name, params and schedules."""

    place: Beside
    name: str
    params: tuple[ParamSpec, ...]
    schedules: tuple[Entry, ...]


def read_triggers(root: MapNode, around: Declarations, report: Report) -> tuple[Trigger, ...]:
    """Return the triggers of a flow; one with a problem is left out. `report` gets the problems."""
    section = root.get("triggers")
    if not isinstance(section, MapNode):
        return ()
    names = {entry.name for entry in around.schedules}
    found = []
    for name, (spelling, node) in section.entries.items():
        before = report.errors
        if name in names:
            message = f"an entry of `schedule` has the name `{name[:60]}`, too"
            report.add(Code.TRIGGER_NAME, spelling.span, message, "rename one of them: runs and states are found by name")
        if not isinstance(node, MapNode) or not node.entries:
            continue
        trigger = _Reader(name, spelling.span, node, around.place, report).trigger()
        if trigger is not None:
            given = Given(_known(node), _places(node), report, spelling.span, names=names_of(node))
            check_values(around.params, given, {"name": around.name, **_RUN}, root, report)
        if trigger is not None and report.errors == before:
            found.append(trigger)
    return tuple(found)


def _known(node: MapNode) -> dict[str, Json]:
    """Return the values that do not depend on the event; the others are `UNKNOWN`."""
    return {name: UNKNOWN if has_expressions(value) else plain(value) for name, value in params_of(node).items()}


def _places(node: MapNode) -> dict[str, Span]:
    return {name: value.span for name, value in params_of(node).items()}


class _Reader:
    """Reads one trigger."""

    def __init__(self, name: str, span: Span, node: MapNode, place: Beside, report: Report) -> None:
        self._name = name
        self._span = span
        self._map = node
        self._place = place
        self._report = report
        self._scope = StaticScope({}, (), {}, place=Context.EVENT)

    def trigger(self) -> Trigger | None:
        """Return it, or None where it has none of the kinds, or several."""
        kinds = [kind for kind in KINDS if kind in self._map.entries]
        if not kinds and not _KEYS.issuperset(self._map.entries):
            return None  # an unknown key is reported already, with the kind that it stands for
        if len(kinds) != 1:
            message = f"a trigger has one of {listing(KINDS)}, this one has {listing(kinds) if kinds else 'none'}"
            span = self._map.key_span(kinds[1]) if kinds else self._span
            hint = "make two triggers, each with a name of its own" if kinds else "add files: in/*.csv, or flow: etl/load"
            self._report.add(Code.TRIGGER, span, message, hint)
            return None
        kind = kinds[0]
        reader = SiteReader(self._report, Context.EVENT)
        params = {name: reader.value(value) for name, value in params_of(self._map).items()}
        condition = bare_expression(self._map.get("if"), "if", reader, self._report) or ""
        for site in reader.sites:
            check_site(site, Known(()), {"event": Type("map", keys=_EVENTS[kind], part=_PART)}, self._report)
        if kind != "flow" and "status" in self._map.entries:
            message = f"`status` is the end of another flow's run, this trigger is of {kind}"
            self._report.add(Code.TRIGGER, self._map.key_span("status"), message, "remove it, or write `flow`")
        read = {"webhook": self._webhook, "files": self._files, "flow": self._flow}[kind]
        return Trigger(
            name=self._name,
            kind=kind,
            condition=condition,
            params=params,
            labels=fields.labels(self._map.get("labels"), self._scope, self._report),
            overlap=fields.static_text(self._map.get("overlap"), self._scope, self._report) or "queue",
            paused=fields.flag(self._map.get("paused")),
            line=self._span.line,
            **read(self._map.entries[kind][1]),
        )

    def _webhook(self, node: YamlNode) -> dict[str, Json]:
        if not isinstance(node, MapNode):
            return {}
        secret = node.get("secret")
        if not isinstance(secret, MapNode):
            return {}
        key = reference("secret", secret, self._place, self._scope, self._report)
        return {"secret": key, "scheme": fields.static_text(node.get("scheme"), self._scope, self._report) or _SCHEME}

    def _files(self, node: YamlNode) -> dict[str, Json]:
        path = node.get("path") if isinstance(node, MapNode) else node
        settle = node.get("settle") if isinstance(node, MapNode) else None
        seconds = fields.duration(settle, self._scope, self._report, never=False)
        found = fields.static_text(path, self._scope, self._report)
        if path is not None and (problem := _path_problem(found)):
            self._report.add(Code.TRIGGER, path.span, *problem)
        return {"path": found, "settle": _SETTLE if seconds is None else round(seconds * 1000)}

    def _flow(self, node: YamlNode) -> dict[str, Json]:
        name = fields.static_text(node, self._scope, self._report)
        if problem := _flow_problem(name):
            self._report.add(Code.TRIGGER, node.span, *problem)
        return {"flow": name, "status": tuple(dict.fromkeys(texts_of(self._map.get("status")))) or ("finished",)}


def _path_problem(path: str) -> tuple[str, str] | None:
    """Return the problem of a pattern of files and its fix, or None."""
    if "\0" in path:
        return "a path cannot have NUL characters", "remove it"
    if path.startswith("~"):
        return f"`~` in {path[:60]!r} is not expanded", "write the path, absolute or relative to the directory that is served"
    if path.startswith("!"):
        return f"{path[:60]!r} only leaves files out", "name those that count"
    return None


def _flow_problem(name: str) -> tuple[str, str] | None:
    """Return the problem of the name of a flow and its fix, or None."""
    stem, dot, ending = name.rpartition(".")
    if dot and ending.lower() in ("yaml", "yml"):
        return f"a flow is named without the ending of its file, this is {name[:60]!r}", f"write {stem[:60]}"
    parts = name.split("/")
    if name and ("" in parts or "." in parts or ".." in parts):
        hint = "write the path from the directory that is served, such as etl/load"
        return f"{name[:60]!r} is not the name of a flow", hint
    return None
