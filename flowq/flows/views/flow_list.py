"""The flows at and below a directory, each with its last run."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flowq.compiler import Code, compile_file
from flowq.compiler.outline import Outline, read_outline
from flowq.flows.views.orphans import orphaned
from flowq.store.schema.records import RunRecord

if TYPE_CHECKING:
    from flowq.store import Store

MAX_ENTRIES: Final = 100_000
"""Files and directories that are looked at."""

MAX_RUNS: Final = 1_000
"""Latest runs among which the last one of a flow is looked for."""

MAX_CHECKED: Final = 100
"""Flows that are compiled: 10 ms for each. Of others only the outline is read."""

_SUFFIXES: Final = (".yaml", ".yml")
_LARGEST: Final = 4 * 1024 * 1024  # bytes; larger YAML files are data
_WITHOUT: Final = frozenset({"node_modules", "__pycache__"})  # and directories with a dot in front, except `.flowq`
_OWN: Final = ".flowq"


@dataclass(frozen=True, slots=True)
class ListedFlow:
    """A flow file, as a path relative to the directory that was searched, and its last run. `problem`: its first error, or ""."""

    file: str
    outline: Outline
    problem: str = ""
    last_run: RunRecord | None = None
    orphaned: bool = False  # no worker executes the last run, which has not ended


@dataclass(frozen=True, slots=True)
class FlowList:
    """The flows that were found.

    `complete`: the whole directory was searched. `unchecked`: how many were not compiled. `damaged`: why runs could not be read, by id.
    """

    flows: tuple[ListedFlow, ...]
    complete: bool = True
    unchecked: int = 0
    damaged: Mapping[str, str] = field(default_factory=dict)


def list_flows(directory: str, store: "Store | None") -> FlowList:
    """Return the flows at and below a directory, by directory and name.

    Directories with a dot in front (except `.flowq`), `node_modules`, environments of Python, and links to directories are left out.

    Args:
        directory: where the search starts.
        store: where runs are; None: none are looked for.
    """
    found: dict[str, Outline] = {}
    left = MAX_ENTRIES
    for path in _files(directory):
        left -= 1
        if left < 0:
            break
        outline = _outline(path) if path.endswith(_SUFFIXES) else None
        if outline is not None:
            found[path] = outline
    damaged: dict[str, str] = {}
    runs = {} if store is None else _last_runs(store, {os.path.realpath(path) for path in found}, damaged)
    lost = set() if store is None else orphaned(store, [run.id for run in runs.values() if not run.ended], damaged)
    flows = []
    for number, (path, item) in enumerate(found.items()):
        run = runs.get(os.path.realpath(path))
        problem = item.problem or (_problem(path) if number < MAX_CHECKED else "")
        flows.append(ListedFlow(os.path.relpath(path, directory), item, problem, run, run is not None and run.id in lost))
    return FlowList(tuple(flows), left >= 0, max(0, len(found) - MAX_CHECKED), damaged)


def _files(directory: str) -> Iterator[str]:
    """Yield the files of a directory and those below, each directory before those in it; directories that cannot be read are empty."""
    todo = [directory]
    while todo:  # `os.walk` calls itself for each level
        here, below, names = next(os.walk(todo.pop()), ("", [], []))
        if "pyvenv.cfg" in names:
            continue
        chosen = sorted(name for name in below if name == _OWN or (name[0] != "." and name not in _WITHOUT))
        todo += [f"{here}/{name}" for name in reversed(chosen) if not Path(here, name).is_symlink()]
        yield from (f"{here}/{name}" for name in sorted(names) if name[0] != ".")


def _outline(path: str) -> Outline | None:
    try:
        return read_outline(path) if Path(path).stat().st_size <= _LARGEST else None
    except OSError:  # a link to nothing, or deleted in between
        return None


def _problem(path: str) -> str:
    """Return the first error of a flow, other than that a param has no value."""
    found = compile_file(path, date=datetime.now(UTC)).diagnostics
    return next((item.message for item in found if item.severity == "error" and item.code != Code.MISSING_PARAM), "")


def _last_runs(store: "Store", files: set[str], damaged: dict[str, str]) -> dict[str, RunRecord]:
    """Return the last run of each file that has one."""
    found: dict[str, RunRecord] = {}
    runs = store.runs.readable(store.runs.recent(MAX_RUNS), damaged)
    while len(found) < len(files) and (run := next(runs, None)) is not None:
        file = os.path.realpath(run.file) if run.file else ""
        if file in files:
            found.setdefault(file, run)
    return found
