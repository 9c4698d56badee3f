"""The chain of stages, from a file to a plan."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from flowq.compiler.binding.flow import Surroundings
from flowq.compiler.binding.starts.project import read_project_notices
from flowq.compiler.diagnostics.diagnostic import Diagnostic
from flowq.compiler.emit import make_plan
from flowq.compiler.params.file import given_params
from flowq.compiler.params.params import Given
from flowq.compiler.syntax.files import Beside, Files, project_root
from flowq.compiler.syntax.nodes import Json
from flowq.compiler.syntax.source import Report, Source, decode_source, load_source
from flowq.compiler.units import Units
from flowq.config import load_settings
from flowq.plan import Plan
from flowq.plan.bulk import no_collection
from flowq.plan.notice import Notice
from flowq.plan.param import Param
from flowq.plan.schedule import Entry, Scheduled
from flowq.plan.sources import digest
from flowq.plan.trigger import Trigger

_NO_PARAMS: Mapping[str, Json] = {}


@dataclass(frozen=True, slots=True)
class Compilation:
    """A plan, or the problems. `plan` is None exactly if a diagnostic is an error; warnings come with a plan.

    `schedules`, `triggers`, `notify`, `params` and `description` are what the flow has of these, also of a flow that has no plan only because it lacks values
    for its params. `files` are the absolute paths of what was read besides the flow file, or was looked for: when one changes, so does what came of it.
    """

    plan: Plan | None
    diagnostics: tuple[Diagnostic, ...]
    schedules: tuple[Entry, ...] = ()
    files: tuple[str, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    notify: tuple[Notice, ...] = ()
    params: tuple[Param, ...] = ()
    description: str = ""

    @property
    def ok(self) -> bool:
        """Whether there is a plan."""
        return self.plan is not None


def compile_file(  # noqa: PLR0913 - the facts of a run
    path: str | os.PathLike[str],
    *,
    params: Mapping[str, Json] = _NO_PARAMS,
    params_file: str | os.PathLike[str] | None = None,
    date: str | datetime | None = None,
    root: str | os.PathLike[str] | None = None,
    text: bytes | None = None,
    scheduled: Scheduled | None = None,
    run: Mapping[str, Json] = _NO_PARAMS,
    without_values: bool = False,
) -> Compilation:
    """Compile a flow file.

    Args:
        path: the file; diagnostics name it as it is given here.
        params: values of parameters by name. A string is converted to the parameter's type, as `-p name=value` is.
        params_file: a YAML or JSON file with values of parameters; `params` takes precedence.
        date: `run.date` (`2026-01-31`), or the time of the run, which gives it in the flow's `timezone`; the compiler has no clock.
        root: the directory in which the files lie that the flow names; by default the nearest one with `flowq.toml` or `.git`, else that
            of the flow file.
        text: the flow, where it is no file but standard input: `path` is only its name, and what it names is relative to the working
            directory.
        scheduled: the slot that the run is for: it gives `run.date`, `run.scheduled_at` and `run.schedule`, and its entry's params and
            labels count, params below those in `params`.
        run: what is known of the run already: its `date`, and `scheduled_at` and `schedule` of one that was started by a schedule.
        without_values: the plan is drawn, not run: params may lack a value. What depends on it is left out of the plan, and a matrix that does
            is one job there, see `Plan.open_matrices`.

    Returns:
        The plan, its `file` absolute (empty for a `text`), or None with at least one error. Never raises for what is in the file.

    Example:
        >>> compile_file("nightly.yaml", params={"region": "eu"}, date="2026-01-31").ok
    """
    name = os.fspath(path)
    # not resolve(): a link keeps the name it was given
    place = Beside(name, os.path.abspath(name) if text is None else "")  # noqa: PTH100
    files = Files(_root(place, root))
    source, report = load_source(name, shown=files.shown(name)) if text is None else decode_source(name, text)
    given = given_params(params, None if params_file is None else os.fspath(params_file), files)
    given = replace(given, open=True) if without_values else given
    compiled = _compile(
        source,
        report,
        Surroundings(
            given,
            {**_run(date), **run},
            place,
            files,
            _modules(place.file or place.absolute(name)),
            _time(date),
            scheduled=scheduled,
        ),
    )
    if root is None or compiled.plan is None:
        return compiled
    return replace(compiled, plan=replace(compiled.plan, root=files.root))


def compile_text(
    text: str | bytes,
    *,
    name: str = "flow.yaml",
    params: Mapping[str, Json] = _NO_PARAMS,
    date: str | datetime | None = None,
    file: str = "",
    root: str | os.PathLike[str] | None = None,
) -> Compilation:
    """Compile a flow from text, like `compile_file`. Files that it names are relative to `file`, else to `name`.

    Args:
        text: the flow; bytes are read as UTF-8.
        name: the file name in diagnostics; its stem names a flow without `name`.
        params: values of parameters by name.
        date: as of `compile_file`.
        file: the flow file that the plan records. Callables are searched beside it; without it they are not checked.
        root: as of `compile_file`.
    """
    source, report = decode_source(name, text)
    place = Beside(name, file)
    files = Files(_root(place, root))
    return _compile(source, report, Surroundings(Given(params), _run(date), place, files, _modules(file), _time(date)))


def _root(place: Beside, given: str | os.PathLike[str] | None = None) -> str:
    return project_root(place.absolute("")) if given is None else os.path.realpath(given)


def _compile(source: Source, report: Report, around: Surroundings) -> Compilation:
    with no_collection():
        around = replace(around, notify=read_project_notices(around.place, around.files, report))
        units = Units(around.files, _interpreter_of(around.place))
        plan = None if report.failed else _plan(units, source, report, around)
        diagnostics = around.files.diagnostics(report)
        for one in (report, *around.files.reports):
            one.tree = None  # free the tree before the collector runs again
    paths = around.files.paths()
    if units.head is None:
        return Compilation(plan, diagnostics, files=paths)
    head = units.head
    params = tuple(spec.declaration() for spec in head.bound.specs)
    return Compilation(plan, diagnostics, head.schedules, paths, head.triggers, head.notify, params, head.description)


def _plan(units: Units, source: Source, report: Report, around: Surroundings) -> Plan | None:
    unit = units.top(source, report, around)
    if unit is None or around.files.failed:
        return None
    file = around.place.file
    sources = ({file: source} if file else {}) | around.files.flows()
    plan = make_plan(unit, file)
    calls = any(node.action.kind == "call" for node in plan.nodes)
    return replace(
        plan,
        python=units.python if calls else "",
        sources={name: digest(one.text.encode("utf-8", "surrogatepass")) for name, one in sources.items()},
    )


def _interpreter_of(place: Beside) -> Callable[[], str]:
    """Return what reads the interpreter of the settings, for flows with calls that name none: most flows need no settings."""

    def read() -> str:
        found = load_settings(directory=place.absolute("")).python
        return "" if found is None else found.value

    return read


def _modules(file: str) -> tuple[str, ...]:
    """Return the folders in which jobs find modules: the directory of the run, which is the current one, and the flow file's."""
    if not file:
        return ()
    try:
        here = os.getcwd()  # noqa: PTH109
    except FileNotFoundError:
        here = os.path.dirname(file)  # noqa: PTH120
    return tuple(dict.fromkeys((here, os.path.dirname(os.path.abspath(file)))))  # noqa: PTH100, PTH120


def _run(date: str | datetime | None) -> dict[str, Json]:
    return {"date": date} if isinstance(date, str) else {}


def _time(date: str | datetime | None) -> datetime | None:
    return date if isinstance(date, datetime) else None
