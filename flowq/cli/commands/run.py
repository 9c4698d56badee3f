"""`flowq run`.

Slow imports are in the functions that need them: the worker process of a local run is started first, and both processes import
in parallel.
"""

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from flowq.cli.completion.candidates import complete_flows, complete_runs
from flowq.cli.context import CliContext, pass_context, url_option
from flowq.cli.flow_choice import flow_file
from flowq.cli.options.flows import Inputs, Manner, Part, execution_options, param_options, selection_options
from flowq.cli.options.types import Duration, Pair, PointInTime
from flowq.exceptions import UsageError
from flowq.ids import checked_run_id

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from flowq.flows.local_worker.process import WorkerProcess
    from flowq.plan import Plan
    from flowq.store import Store


@click.command(epilog="Example: flowq run nightly.yaml -p day=2026-01-31 --workers 4")
@click.argument("file", required=False, shell_complete=complete_flows)
@param_options
@click.option(
    "--label", "labels", type=Pair(), multiple=True, help="Label of the run, in addition to the flow's; may be repeated."
)
@click.option(
    "--run-id", metavar="ID", help="Id of the run, such as nightly-2026-11-28: a script that is run twice submits once."
)
@click.option(
    "--resume",
    metavar="RUN",
    shell_complete=complete_runs,
    help="Resume a run whose command was killed, instead of starting one.",
)
@click.option(
    "--again",
    metavar="RUN",
    shell_complete=complete_runs,
    help="Run the flow of an earlier run with its params, labels and selection; -p, --label, --job … change them.",
)
@selection_options
@click.option(
    "--timeout", type=Duration(), metavar="DURATION", help="Time limit of the whole run (90s, 2h), instead of the flow's."
)
@click.option(
    "--scheduled-at",
    type=PointInTime(),
    metavar="TIME",
    help="Value of run.scheduled_at, as in a run that a schedule starts; run.date is its date.",
)
@click.option("--no-notify", is_flag=True, help="Send no messages about the run.")
@click.option("--ship", is_flag=True, help="Let the files of the flow travel with the run, as `code: ship` does.")
@click.option("--ui", is_flag=True, help="Print the address of the run's page, and start the page if none is there.")
@click.option("--dry-run", is_flag=True, help="Show what would run; submit nothing.")
@execution_options
@url_option
@pass_context
def command(
    session: CliContext,
    /,
    *,
    labels: tuple[tuple[str, str], ...],
    resume: str | None,
    again: str | None,
    scheduled_at: "datetime | None",
    no_notify: bool,
    ui: bool,
    dry_run: bool,
    manner: Manner,
    **chosen: Any,
) -> int:
    """Run a flow, or a part of it, and follow it to its end.

    FILE is a flow file, or `-` for standard input. Left out, it is `flow.yaml`, or the only flow file in `.flowq`.
    The exit code is the run's: 0 finished, 1 failed, 4 canceled by another command, 5 timed out, 7 skipped by its concurrency group; 3 if
    the file is not a valid flow. Ctrl+C cancels the run, a second one kills it. If other workers execute the run, Ctrl+C only detaches from it.
    """
    request = _Request(labels=dict(labels), **chosen)
    if scheduled_at is not None:
        request = request.at(scheduled_at)
    if resume is not None:
        if again is not None or dry_run or no_notify or not manner.cache or not request.is_empty:
            raise click.UsageError(
                "--resume continues a run as it was submitted: it excludes options that say what to run, such as FILE, -p, --params-file or --no-cache"
            )
        manner.check()
        from flowq.cli.execution import resume as resume_run

        return resume_run(session, resume, manner)
    if request.run_id is not None:
        checked_run_id(request.run_id)
    manner = replace(manner, notify=not no_notify, page=ui)
    manner.check()
    if ui:
        from flowq.cli.options.page import require_server

        require_server()
    request = replace(request, file=flow_file(request.file, "run")) if again is None else _again(session, again, request)
    if dry_run:
        _preview(session, request, as_json=manner.as_json)
        return 0
    waiting = _early_worker(session)
    try:
        return _run(session, request, waiting, manner)
    finally:
        if waiting is not None and not manner.detach:
            waiting.let_go()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """The run to start, with the names of the command's parameters. `directory`: its working directory; None: the current one."""

    file: str | None
    inputs: Inputs
    labels: "Mapping[str, str]"
    run_id: str | None
    part: Part
    timeout: float | None
    ship: bool
    directory: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing was said."""
        return (self.file, self.run_id, self.timeout) == (None,) * 3 and not (
            self.inputs or self.labels or self.part or self.ship
        )

    def at(self, moment: "datetime") -> "_Request":
        """Return it as of a schedule whose slot is this moment."""
        known = {"scheduled_at": moment.isoformat(), "date": moment.date().isoformat()}
        return replace(self, inputs=replace(self.inputs, run=known))

    def plan(self, session: CliContext) -> "Plan":
        """Compile it."""
        from flowq.cli.flow_file import compile_flow

        assert self.file is not None, "the default is known"
        plan = self.part.of(compile_flow(self.file, self.inputs, session.err))
        if self.ship:
            from flowq.flows.actions.shipment import with_shipment

            plan = with_shipment(plan)
        return plan.limited(self.timeout)


def _again(session: CliContext, given: str, request: _Request) -> _Request:
    """Return the request of an earlier run, with the values given now."""
    if request.file is not None:
        raise click.UsageError("--again takes the file of the earlier run: give no FILE")
    if request.inputs.file is not None:
        raise click.UsageError("--again takes the params of the earlier run: change them with -p, without --params-file")
    from flowq.cli.flow_file import earlier_params
    from flowq.cli.targets import select_run
    from flowq.flows.views.snapshot import read_plan
    from flowq.plan import near

    store = session.store()
    earlier = store.runs.require(select_run(store, given, change=True))
    if not earlier.file:
        raise UsageError(f"--again: the flow of run {earlier.id} is not a file, so its text is not there any more")
    selected = read_plan(store, earlier.id).selection
    return replace(
        request,
        file=near(earlier.file),
        inputs=replace(
            request.inputs,
            values={**earlier_params(earlier), **request.inputs.values},
            root=request.inputs.root or earlier.root or None,
        ),
        labels={**json.loads(earlier.labels), **request.labels},
        part=request.part or Part(selected.jobs, selected.stages, selected.until, selected.without),
        directory=earlier.directory,
    )


def _early_worker(session: CliContext) -> "WorkerProcess | None":
    """Start the worker of a local run before the flow is compiled; it exits silently if no run is submitted."""
    from flowq.config import load_settings
    from flowq.flows.local_worker.process import WorkerProcess

    return WorkerProcess() if load_settings(session.url).url is None else None


def _run(session: CliContext, request: _Request, waiting: "WorkerProcess | None", manner: Manner) -> int:
    from flowq.cli.execution import execute, is_embedded, refuse_workers, tell_absent
    from flowq.cli.interrupts import Interrupts
    from flowq.cli.targets import here
    from flowq.flows.actions.approval import user
    from flowq.flows.actions.submit import submit

    plan = request.plan(session)
    if not manner.cache:
        plan = plan.without_cache()
    if not manner.notify:
        plan = replace(plan, notify=())
    store = session.store()
    refuse_workers(store, manner.workers)
    if is_embedded(store):
        from flowq.flows.local_worker.missing_secrets import absent_secrets

        tell_absent(absent_secrets(plan))
    with Interrupts() as interrupts:
        submitted = submit(
            store,
            plan,
            directory=request.directory or here(),
            local=is_embedded(store),
            run_id=request.run_id,
            labels=request.labels,
            cause="cli",
            by=user(),
        )
        run = store.runs.require(submitted)
        if manner.page:
            _tell_page(session, store, run.id)
        return execute(store, run, plan, interrupts, manner, waiting=waiting, fresh=request.run_id is None)


def _tell_page(session: CliContext, store: "Store", run: str) -> None:
    """Print the address of the run's page; a page that does not start is no reason not to run."""
    from flowq.cli.context import complain
    from flowq.cli.page_link import PageStartError, link_of_run

    try:
        complain(f"page: {link_of_run(store, run, session.url)}")
    except PageStartError as error:
        complain(str(error))


def _preview(session: CliContext, request: _Request, *, as_json: bool) -> None:
    from flowq.cli.flow_file import preview_lines
    from flowq.cli.render.output import show, show_json
    from flowq.flows.documents.preview import preview_json
    from flowq.plan.foreach import before_run

    plan = before_run(request.plan(session))
    if as_json:
        show_json(preview_json(plan))
    else:
        show(preview_lines(plan), session.out)
