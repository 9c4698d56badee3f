"""The flows of a catalog as documents, for programs. Keys are only ever added."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flowq.compiler import Code, Diagnostic
from flowq.flows.documents.preview import preview_json
from flowq.flows.forecast.duration import predict
from flowq.flows.forecast.history import read_history
from flowq.flows.local_worker.process import default_slots
from flowq.plan import Json
from flowq.plan.foreach import before_run
from flowq.schedules.directory.catalog import CatalogFlow
from flowq.schedules.summary import problem_of
from flowq.schedules.users.launch import Check
from flowq.schedules.views import ScheduleView, schedule_json
from flowq.store.schema.documents import iso
from flowq.store.schema.records import RunRecord

if TYPE_CHECKING:
    from flowq.store import Store

RUNS: Final = 10
"""Last runs of a flow that are shown."""

_LARGEST: Final = 4 * 1024 * 1024  # bytes
_UNKNOWN: Final = re.compile(r"there is no param `(.*)`")


@dataclass(slots=True)
class Around:
    """What belongs to the flows of a catalog, by the name of the flow: last runs, newest first, and schedules."""

    runs: dict[str, list[RunRecord]] = field(default_factory=dict)
    schedules: dict[str, list[ScheduleView]] = field(default_factory=dict)

    @classmethod
    def of(cls, flows: Iterable[str], runs: Iterable[tuple[str, RunRecord]], views: Iterable[ScheduleView]) -> "Around":
        """Sort runs, each with the flow that it is of, and schedules by flow."""
        found = cls({name: [] for name in flows}, {name: [] for name in flows})
        for name, run in runs:
            if name in found.runs and len(found.runs[name]) < RUNS:
                found.runs[name].append(run)
        for view in views:
            name = view.record.id.partition("/")[2].rpartition(":")[0]
            if name in found.schedules and not view.gone:
                found.schedules[name].append(view)
        return found


def item_json(flow: CatalogFlow, around: Around) -> dict[str, Json]:
    """Return a flow in a list."""
    coming = [view for view in around.schedules[flow.name] if view.next_ms is not None and not view.paused]
    first = min(coming, key=lambda view: view.next_ms or 0, default=None)
    return {
        "name": flow.name,
        "file": flow.path,
        "valid": flow.valid,
        "problem": None if flow.valid else problem_of(flow),
        "description": flow.compilation.description,
        "diagnostics_count": len(_shown(flow)),
        "params": len(flow.compilation.params),
        "last_runs": [
            {"id": run.id, "status": str(run.status), "created_at": iso(run.created_ms)} for run in around.runs[flow.name]
        ],
        "next_slot": None
        if first is None
        else {"at": iso(first.next_ms), "schedule": first.record.id, "timezone": first.timezone},
        "schedules": len(around.schedules[flow.name]),
    }


def flow_json(store: "Store", flow: CatalogFlow, around: Around) -> dict[str, Json]:
    """Return a flow with its params, schedules, triggers and diagnostics."""
    compiled = flow.compilation
    plan = compiled.plan
    expected = None if plan is None else predict(before_run(plan), read_history(store, plan.name), default_slots())
    return item_json(flow, around) | {
        "params": [param.to_json() for param in compiled.params],
        "labels": {} if plan is None else dict(plan.labels),
        "timezone": "UTC" if plan is None else plan.timezone or "UTC",
        "timeout": None if plan is None else plan.timeout,
        "jobs": None if plan is None else sum(1 for _ in plan.shown_jobs()),
        "names": [] if plan is None else list(plan.cells_of()),
        "stages": [] if plan is None else list(dict.fromkeys(node.stage for node in plan.nodes if node.stage)),
        "entries": [entry.name for entry in compiled.schedules],
        "schedules": [schedule_json(view) for view in around.schedules[flow.name]],
        "triggers": [
            {"name": item.name, "kind": item.kind, "events": item.events, "line": item.line} for item in compiled.triggers
        ],
        "notify": len(compiled.notify),
        "diagnostics": diagnostics_json(flow, _shown(flow)),
        "expected_seconds": None if expected is None else expected.seconds,
    }


def check_json(flow: CatalogFlow, found: Check) -> dict[str, Json]:
    """Return what would become of a run."""
    return {
        "valid": found.plan is not None,
        "diagnostics": diagnostics_json(flow, found.diagnostics),
        "params": {} if found.plan is None else dict(found.plan.params),
        "plan": None if found.plan is None else preview_json(before_run(found.plan)),
        "expected_seconds": found.seconds,
    }


def diagnostics_json(flow: CatalogFlow, diagnostics: Sequence[Diagnostic]) -> list[dict[str, Json]]:
    """Return diagnostics as `flowq validate --json` does, each with the param that it is about."""
    lines = {param.line: param.name for param in flow.compilation.params}
    return [
        item.to_json() | {"param": _param(flow, item, lines), "text": item.text, "end_column": item.end_column}
        for item in diagnostics
    ]


def source_text(flow: CatalogFlow) -> str | None:
    """Return the present text of a flow's file; None if it cannot be read."""
    try:
        with Path(flow.path).open("rb") as stream:
            return stream.read(_LARGEST).decode("utf-8", "replace")
    except OSError:
        return None


def _shown(flow: CatalogFlow) -> list[Diagnostic]:
    """Return the diagnostics of a file; that a run needs a value is none of its mistakes."""
    return [item for item in flow.compilation.diagnostics if item.code != Code.MISSING_PARAM]


def _param(flow: CatalogFlow, item: Diagnostic, lines: Mapping[int, str]) -> str | None:
    unknown = _UNKNOWN.search(item.message)
    if unknown is not None:
        return unknown[1]
    return lines.get(item.line) if item.file.endswith(Path(flow.path).name) else None
