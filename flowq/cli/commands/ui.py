"""`flowq ui`."""

import logging
import sys
from pathlib import Path

import click

from flowq.cli.completion.candidates import complete_runs
from flowq.cli.context import CliContext, pass_context, url_option
from flowq.cli.options.page import PageOptions, page_options, require_server
from flowq.cli.options.queues import logging_options
from flowq.cli.options.serving import ship_option
from flowq.cli.options.types import Duration
from flowq.cli.terminal import echo

_LINE = "%(asctime)s %(message)s"


@click.command(epilog="Example: flowq ui flows/")
@click.argument("directory", required=False, metavar="[DIR]", type=click.Path(exists=True, file_okay=False))
@page_options
@click.option("--name", metavar="NAME", help="First part of the names of schedules.  [default: the directory's name]")
@ship_option
@click.option("--run", "run", metavar="RUN", shell_complete=complete_runs, help="Print the address of the page of this run.")
@click.option("--idle", type=Duration(), hidden=True, help="End after so long without a request, and with the server.")
@click.option("--lifeline", type=int, hidden=True, help="An inherited descriptor: its end stops the server.")
@click.option("--report", "reporting", type=int, hidden=True, help="An inherited descriptor for a JSON line with the address.")
@logging_options("--log-level", "-l", line=_LINE)
@url_option
@pass_context
def command(
    session: CliContext,
    directory: str | None,
    name: str | None,
    run: str | None,
    idle: float | None,
    lifeline: int | None,
    reporting: int | None,
    log: dict[str, str],
    *,
    page: PageOptions,
    ships: bool,
) -> None:
    """Show runs, flows, schedules and workers in a browser.

    Stays in the foreground; Ctrl+C ends it. It shows what is on the server that the settings name, and starts runs of the flows in DIR. It executes nothing itself: `flowq serve DIR`
    also has workers and a scheduler. The address that is printed signs a browser in, for a day.
    """
    require_server()
    from flowq.cli.targets import select_run
    from flowq.config import load_settings
    from flowq.flows.actions.approval import user
    from flowq.log_format import log_to_stderr
    from flowq.schedules.directory.names import catalog_name, served_prefix
    from flowq.serve.http.process.server import Wanted, report, serve
    from flowq.serve.http.site import SiteOptions

    log_to_stderr(log["level"], log["format"], log["dates"])
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    embedded = load_settings(session.url).url is None
    served = None if directory is None else str(Path(directory).absolute())
    options = SiteOptions(
        host=page.host,
        public_url=page.public_url,
        trusted=page.trusted,
        readonly=page.readonly,
        everyone=user() if page.no_auth else None,
        ships=ships,
        queue_prefix=served_prefix(catalog_name(served, name)) if embedded and served is not None else "",
    )
    store = session.store()
    path = "" if run is None else f"runs/{select_run(store, run)}"
    wanted = Wanted(options, page.port, served, name, lifeline, reporting, idle, path, page.metrics)
    for address in serve(store, wanted, user()):
        if reporting is not None:
            report(reporting, address)
        else:
            echo(f"{address}\nCtrl+C stops")
            sys.stdout.flush()
