"""`flowq resume`."""

import click

from flowq.cli.completion.candidates import complete_runs
from flowq.cli.context import CliContext, pass_context, url_option
from flowq.cli.options.flows import Manner, execution_options
from flowq.cli.options.queues import queue_options


@click.command(epilog="Example: flowq resume")
@click.argument("run", required=False, shell_complete=complete_runs)
@execution_options
@url_option
@pass_context
@queue_options(passed=False)
def command(session: CliContext, run: str | None, *, manner: Manner) -> int:
    """Resume suspended workers, or a RUN whose command was killed.

    Without RUN, workers that `flowq suspend` has paused start jobs again. `flowq resume RUN` is `flowq run --resume RUN`: only then
    the options of `flowq run` have a meaning.
    """
    if run is not None:
        from flowq.cli.execution import resume as resume_run

        manner.check()
        return resume_run(session, run, manner)
    if manner != Manner():
        raise click.UsageError("--detach, --workers and the others are for a RUN: `flowq resume RUN`")
    from flowq.suspension import resume

    click.echo("workers resumed" if resume(session.store()) else "workers were not suspended")
    return 0
