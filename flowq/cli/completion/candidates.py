"""The candidates that the shell offers when Tab is pressed: flow files, run ids, job names.

Completion starts no server, does not block and shows no errors: in doubt it offers nothing.
"""

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem, split_arg_string

if TYPE_CHECKING:
    from flowq.plan import Plan
    from flowq.store import Store

_RUNS = 30  # latest runs offered


def complete_files(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let the shell offer files."""
    return [CompletionItem(incomplete, type="file")]


def complete_runs(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the ids of the latest runs, with their flow and status."""
    found: list[CompletionItem] = []
    with suppress(Exception):  # the shell must never show an error
        store = _store()
        if store is not None:
            latest = store.runs.recent(_RUNS)
            for run_id in latest:
                run = store.runs.get(run_id) if run_id.startswith(incomplete.lower()) else None
                if run is not None:
                    found.append(CompletionItem(run_id, help=f"{run.flow} {run.status}"))
            if latest and "@latest".startswith(incomplete):
                found.append(CompletionItem("@latest", help="the latest run"))
    return found


def complete_files_and_runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer runs, else files."""
    return complete_runs(ctx, param, incomplete) or complete_files(ctx, param, incomplete)


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
    """Offer the names of the jobs of the flow file given before."""
    plan = _plan(ctx)
    return [] if plan is None else [CompletionItem(node.name) for node in plan.nodes if _fits(node.name, incomplete)]


def complete_flow_stages(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the stages of the flow file given before."""
    plan = _plan(ctx)
    stages = [] if plan is None else dict.fromkeys(node.stage for node in plan.nodes if node.stage)
    return [CompletionItem(name) for name in stages if name.startswith(incomplete)]


def _fits(name: str, incomplete: str) -> bool:
    return name.startswith(incomplete) and "@" not in name and ":" not in name


def _plan(ctx: click.Context) -> "Plan | None":
    """Return the plan of the flow file on the command line, also while required params are missing."""
    with suppress(Exception):
        from flowq.compiler import compile_file

        file = ctx.params.get("file") or ctx.params.get("target") or _typed_file()
        return (
            None
            if file is None
            else compile_file(file, params=dict(ctx.params.get("params") or ()), root=ctx.params.get("root")).plan
        )
    return None


def _typed_file() -> str | None:
    """Return the first word on the command line that is a file.

    click drops the arguments while the last option has no value yet, and that value is what is being completed.
    """
    words = split_arg_string(os.environ.get("COMP_WORDS", ""))
    return next((word for word in words[2:] if os.path.isfile(word)), None)  # noqa: PTH113 - completion starts on each Tab


def complete_runs_and_jobs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer runs and the jobs of the latest run."""
    return [*complete_runs(ctx, param, incomplete), *complete_jobs(ctx, param, incomplete)]


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
