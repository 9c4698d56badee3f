"""`flowq plan`."""

from collections.abc import Sequence

import click

from flowq.cli.completion.candidates import complete_flows
from flowq.cli.context import CliContext, complain, pass_context, url_option
from flowq.cli.flow_choice import flow_file
from flowq.cli.flow_file import compile_flow
from flowq.cli.options.flows import Inputs, Part, param_options, selection_options
from flowq.cli.render.output import show, show_json
from flowq.cli.render.plan_table import plan_json, plan_lines
from flowq.exceptions import InvalidFlowError, ServerError
from flowq.flows.actions.selection import find_jobs
from flowq.flows.forecast.history import NOTHING, History, read_history
from flowq.flows.forecast.outcomes import predict_ends
from flowq.plan import Plan
from flowq.plan.foreach import before_run


@click.command(epilog="Example: flowq plan nightly.yaml --fail fetch")
@click.argument("file", required=False, shell_complete=complete_flows)
@param_options
@selection_options
@click.option(
    "--fail", "failing", metavar="JOB", multiple=True, help="Show the consequences if this job fails; may be repeated."
)
@click.option("--workers", type=click.IntRange(1, 512), metavar="N", help="Predict the duration with N jobs side by side.")
@click.option("--no-history", is_flag=True, help="Do not read the durations of earlier runs from a server.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
@url_option
@pass_context
def command(
    session: CliContext,
    file: str | None,
    failing: tuple[str, ...],
    *,
    inputs: Inputs,
    part: Part,
    workers: int | None,
    no_history: bool,
    as_json: bool,
) -> None:
    """Show what a run would do, and the effect of a failure.

    FILE is a flow file, or `-` for standard input. Left out, it is `flow.yaml`, or the only flow file in `.flowq`.
    It lists the expanded jobs in order, with queue, limits and reason; nothing is submitted. Jobs with the same number can run
    in parallel. If there are earlier runs of the flow, their times give the expected duration and the critical path. With
    --fail, it shows which jobs would be skipped and which would still run, by the engine's rules.
    """
    plan = before_run(part.of(_compiled(session, flow_file(file, "plan"), inputs)))
    failed = [ordinal for name in failing for ordinal in find_jobs(plan, name, f"the flow {plan.name}")]
    fates = predict_ends(plan, frozenset(failed))
    history = NOTHING if no_history else _history(session, plan)
    if as_json:
        show_json(plan_json(plan, fates, history, workers))
    else:
        terminal = session.out
        show(plan_lines(plan, fates, history, terminal, workers=workers, failing=_names(plan, failed)), terminal)


def _compiled(session: CliContext, file: str, inputs: Inputs) -> Plan:
    """Compile the flow with the values of a run: what it does, and where, depends on them."""
    try:
        return compile_flow(file, inputs, session.err)
    except InvalidFlowError as error:
        from flowq.compiler import Code

        if all(item.severity != "error" or item.code == Code.MISSING_PARAM for item in error.diagnostics):
            complain("a plan is that of a run, which needs the values; `flowq graph` draws it without values")
        raise


def _names(plan: Plan, ordinals: Sequence[int]) -> list[str]:
    return [plan.cells[ordinal].name for ordinal in ordinals]


def _history(session: CliContext, plan: Plan) -> History:
    """Read the durations of earlier runs; return an empty history if there is no server."""
    if not session.has_history():
        return NOTHING
    try:
        return read_history(session.store(), plan.name)
    except ServerError as error:
        complain(f"no history: {error}")
        return NOTHING
