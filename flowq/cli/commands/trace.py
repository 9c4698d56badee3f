"""`flowq trace`."""

import logging

import click

from flowq.cli.completion.candidates import complete_runs
from flowq.cli.context import CliContext, pass_context, url_option
from flowq.cli.options.queues import logging_options
from flowq.cli.terminal import echo
from flowq.flows.views.text import plural

_LINE = "%(asctime)s %(message)s"


@click.command(epilog="Example: flowq trace --follow")
@click.argument("run", required=False, shell_complete=complete_runs)
@click.option("--follow", is_flag=True, help="Send the trace of each run that ends, until Ctrl+C.")
@click.option("--lifeline", type=int, hidden=True, help="An inherited descriptor: its end stops the command.")
@logging_options("--log-level", "-l", line=_LINE)
@url_option
@pass_context
def command(session: CliContext, run: str | None, lifeline: int | None, log: dict[str, str], *, follow: bool) -> None:
    """Send a run as a trace to a collector of OpenTelemetry (OTLP).

    Without RUN it is the latest run of this directory. The address of the collector, and all else about it, are in the variables of OpenTelemetry, such as
    OTEL_EXPORTER_OTLP_ENDPOINT. Sending a trace twice is harmless. `flowq serve` does what --follow does when that variable is set.
    """
    if follow and run is not None:
        raise click.UsageError("--follow sends the traces of all runs that end: give no RUN")
    from flowq.log_format import log_to_stderr
    from flowq.telemetry.export import Traces

    log_to_stderr(log["level"], log["format"], log["dates"])
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # flowq says what went wrong
    store = session.store()
    traces = Traces(store)
    try:
        if follow:
            from flowq.telemetry.follow import TraceSender

            TraceSender(store, traces, _say).run(lifeline)
        else:
            from flowq.cli.targets import select_run

            chosen = select_run(store, run)
            _say(chosen, traces.send(chosen))
    finally:
        traces.close()


def _say(run: str, spans: int) -> None:
    echo(f"run {run}: sent {plural(spans, 'span')}")
