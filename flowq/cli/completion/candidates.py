"""The candidates that the shell offers when Tab is pressed: flow files, run ids, job names.

Completion starts no server, does not block and shows no errors: in doubt it offers nothing.
"""

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem, split_arg_string

from flowq.cli.flow_choice import DIRECTORY, SUFFIXES, default_files

if TYPE_CHECKING:
    from flowq.compiler.outline import Outline
    from flowq.compiler.params.params import ParamSpec
    from flowq.flows.views.run_view import JobView
    from flowq.plan import Plan
    from flowq.store import Store

_RUNS = 30  # latest runs offered
_PATH = "path"  # the type of a path, for our scripts
_FLOWS = (*SUFFIXES, ".json")


def complete_flows(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer files whose names end as those of flow files do, and directories, which may hold some."""
    found: list[CompletionItem] = []
    with suppress(Exception):  # the shell must never show an error
        found = [CompletionItem(path, type=_PATH) for path in _paths(incomplete)]
    return found


def complete_runs(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the ids of the latest runs, with their flow and status."""
    found: list[CompletionItem] = []
    with suppress(Exception):  # the shell must never show an error
        store = _store()
        if store is not None:
            latest = store.runs.recent(_RUNS)
            fitting = [run for run in latest if run.startswith(incomplete.lower())]
            found = [CompletionItem(run.id, help=f"{run.flow} {run.status}") for run in store.runs.readable(fitting)]
            if latest and "@latest".startswith(incomplete):
                found.append(CompletionItem("@latest", help="the latest run"))
    return found


def complete_schedules(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the names of schedules: their ids, and the ends of ids once one is typed."""
    found: list[CompletionItem] = []
    with suppress(Exception):  # the shell must never show an error
        store = _store()
        if store is not None:
            names = store.schedules.names()
            ends = [name.partition("/")[2] for name in names]
            found = [CompletionItem(name) for name in dict.fromkeys([*ends, *names]) if name.startswith(incomplete)]
    return found


def complete_flows_and_runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer flow files and runs."""
    return [*complete_flows(ctx, param, incomplete), *complete_runs(ctx, param, incomplete)]


def complete_flows_and_schedules(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer flow files and schedules."""
    return [*complete_flows(ctx, param, incomplete), *complete_schedules(ctx, param, incomplete)]


def complete_jobs(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the names of jobs of the run given before, else of the latest one; cells once a bracket is typed."""
    found: list[CompletionItem] = []
    with suppress(Exception):  # as above
        store = _store()
        if store is not None:
            from flowq.cli.targets import here, select_run
            from flowq.flows.views.snapshot import read_plan

            given = ctx.params.get("run")
            run = select_run(store, given) if given else store.runs.latest(here()) or store.runs.latest()
            plan = read_plan(store, run or "")
            names = [cell.name for cell in plan.shown_jobs()] if "[" in incomplete else list(plan.cells_of())
            found = [CompletionItem(name) for name in names if name.startswith(incomplete)]
    return found


def complete_flow_jobs(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the names of the jobs of the flow file given before; as long as it has mistakes, without those of its sub-flows."""
    plan = _plan(ctx)
    outline = _outline(ctx) if plan is None else None
    names = outline.jobs if outline is not None else () if plan is None else tuple(node.name for node in plan.nodes)
    return [CompletionItem(name) for name in names if _fits(name, incomplete)]


def complete_flow_stages(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the stages of the flow file given before."""
    outline = _outline(ctx)
    return [CompletionItem(name) for name in (outline.stages if outline else ()) if name.startswith(incomplete)]


def complete_params(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the params of the flow file given before that have no value yet; after `name=`, its values if they are few."""
    outline = _outline(ctx)
    if outline is None:
        return []
    name, equals, _value = incomplete.partition("=")
    if equals:
        values = [f"{name}={value}" for spec in outline.params if spec.name == name for value in _values(spec)]
        return [CompletionItem(value) for value in values if value.startswith(incomplete)]
    given = {str(pair[0]) for pair in ctx.params.get("params") or ()}
    return [
        CompletionItem(f"{spec.name}=", help=spec.description or spec.type)
        for spec in outline.params
        if spec.name.startswith(incomplete) and spec.name not in given
    ]


def _values(spec: "ParamSpec") -> list[str]:
    """Return the values of a param that has only some, as they are typed."""
    if spec.type == "boolean":
        return ["true", "false"]
    import json

    return [value if isinstance(value, str) else json.dumps(value) for value in spec.enum]


def _fits(name: str, incomplete: str) -> bool:
    return name.startswith(incomplete) and "@" not in name and ":" not in name


def _plan(ctx: click.Context) -> "Plan | None":
    """Return the plan of the flow file on the command line; None while required params are missing or it has mistakes."""
    with suppress(Exception):
        from datetime import UTC, datetime

        from flowq.compiler import compile_file

        file = _file(ctx)
        params = dict(ctx.params.get("params") or ())
        if file is not None:
            return compile_file(file, params=params, date=datetime.now(UTC), root=ctx.params.get("root")).plan
    return None


def _outline(ctx: click.Context) -> "Outline | None":
    with suppress(Exception):
        from flowq.compiler.outline import read_outline

        file = _file(ctx)
        return None if file is None else read_outline(file)
    return None


def _file(ctx: click.Context) -> str | None:
    """Return the flow file on the command line, else the default one."""
    given: str | None = ctx.params.get("file") or ctx.params.get("target") or _typed_file()
    if given is not None:
        return given
    found = default_files()
    return found[0] if len(found) == 1 else None


def _paths(incomplete: str) -> list[str]:
    """Return the paths of flow files and directories that begin so; a directory ends with a slash.

    The names of directories with a dot in front are offered once the dot is typed, but for the one that is made for flows.
    """
    directory, slash, start = incomplete.rpartition("/")
    with os.scandir(os.path.expanduser(directory + slash) or ".") as entries:  # noqa: PTH111 - completion starts on each Tab
        wanted = [entry for entry in entries if entry.name.startswith(start) and _is_offered(entry.name, start)]
        folders = [entry.name + "/" for entry in wanted if entry.is_dir()]
        files = [entry.name for entry in wanted if entry.name.endswith(_FLOWS) and entry.is_file()]
    return [directory + slash + name for name in (*sorted(files), *sorted(folders))]


def _is_offered(name: str, start: str) -> bool:
    return name[0] != "." or bool(start) or name == DIRECTORY


def _typed_file() -> str | None:
    """Return the first word on the command line that is a file.

    click drops the arguments while the last option has no value yet, and that value is what is being completed.
    """
    words = split_arg_string(os.environ.get("COMP_WORDS", ""))
    return next((word for word in words[2:] if os.path.isfile(word)), None)  # noqa: PTH113 - completion starts on each Tab


def complete_runs_and_jobs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer runs and the jobs of the latest run."""
    return [*complete_runs(ctx, param, incomplete), *complete_jobs(ctx, param, incomplete)]


def complete_runs_jobs_and_schedules(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer runs, the jobs of the latest run, and schedules."""
    return [*complete_runs_and_jobs(ctx, param, incomplete), *complete_schedules(ctx, param, incomplete)]


def complete_approvals(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the approvals that wait in the run given before, else in the latest one of this directory, with their questions."""
    found: list[CompletionItem] = []
    with suppress(Exception):  # as above
        store = _store()
        if store is not None:
            from flowq.cli.targets import here, select_run
            from flowq.flows.views.snapshot import read_view

            given = ctx.params.get("run")
            run = select_run(store, given) if given else store.runs.latest(here())
            waiting = read_view(store, run or "").approvals
            found = [CompletionItem(job.name, help=_question(job)) for job in waiting if job.name.startswith(incomplete)]
    return found


def _question(job: "JobView") -> str:
    return " ".join(job.approval.message.split()) if job.approval is not None else ""


def complete_approvals_and_runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the approvals that wait in the latest run of this directory, then runs that have not ended."""
    open_runs: list[CompletionItem] = []
    with suppress(Exception):  # as above
        store = _store()
        if store is not None:
            latest = store.runs.readable([run for run in store.runs.recent(_RUNS) if run.startswith(incomplete.lower())])
            open_runs = [CompletionItem(run.id, help=f"{run.flow} {run.status}") for run in latest if not run.ended]
    return [*complete_approvals(ctx, param, incomplete), *open_runs]


def _store() -> "Store | None":
    """Return the store if its server is running; start none."""
    from flowq.config import load_settings
    from flowq.connections.clients import open_store

    settings = load_settings()
    if settings.url is None:
        from flowq.embedded.control import server_status

        if not server_status().running:
            return None
    return open_store()
