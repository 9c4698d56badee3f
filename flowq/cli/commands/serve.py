"""`flowq serve`."""

import logging
import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from flowq.cli.context import CliContext, pass_context, url_option
from flowq.cli.options.page import PageOptions, has_server, page_options
from flowq.cli.options.queues import logging_options, worker_ttl_option
from flowq.cli.options.serving import reload_option, ship_option
from flowq.cli.options.types import Duration
from flowq.cli.render.output import show
from flowq.cli.render.styled_text import Line
from flowq.cli.terminal import Terminal
from flowq.config import environment_of
from flowq.flows.views.text import plural, safe_line

_LINE: Final = "%(asctime)s %(name)-15s %(message)s"
_SHOWN: Final = 3  # slots, and files that are not valid
_PATHS: Final = ("FLOWQ_HOME", "FLOWQ_PYTHON")  # variables with paths that may be relative


@click.command(epilog="Example: flowq serve flows/ -c 4")
@click.argument("directory", default=".", metavar="[DIR]", type=click.Path(exists=True))
@click.option(
    "-c",
    "--concurrency",
    type=click.IntRange(1, 512),
    metavar="N",
    help="Jobs executed side by side.  [default: one per core, at least 2]",
)
@click.option(
    "--queues",
    multiple=True,
    metavar="QUEUE",
    help="Serve this queue; may be repeated.  [default: those of the flows; on a server of your own, `default`]",
)
@click.option("--name", metavar="NAME", help="First part of the names of schedules.  [default: the directory's name]")
@click.option("--no-workers", is_flag=True, help="Only start runs: workers elsewhere execute them.")
@click.option("--no-scheduler", is_flag=True, help="Only execute jobs.")
@click.option("--no-page", is_flag=True, help="Without the page.")
@page_options
@ship_option
@reload_option
@click.option(
    "--drain",
    type=Duration(),
    default="10m",
    show_default=True,
    metavar="DURATION",
    help="Time that running jobs have after a stop signal.",
)
@worker_ttl_option
@logging_options("--log-level", "-l", line=_LINE)
@url_option
@pass_context
def command(
    session: CliContext,
    directory: str,
    concurrency: int | None,
    queues: tuple[str, ...],
    name: str | None,
    drain: float,
    worker_ttl: float | None,
    log: dict[str, str],
    *,
    no_workers: bool,
    no_scheduler: bool,
    no_page: bool,
    page: PageOptions,
    ships: bool,
    polls: bool,
) -> int:
    """Run the flows of a directory by themselves.

    Stays in the foreground. Files that change are noticed (`--reload never`: are not). Settings come from the directory. After the first Ctrl+C no more runs
    begin and running jobs finish; a second one hands them back. Any number of these may serve the same directory.
    """
    from flowq.connections.clients import open_store
    from flowq.flows.local_worker.process import default_slots
    from flowq.schedules.directory.names import catalog_name
    from flowq.serve.server_wait import await_server
    from flowq.serve.service import ServeOptions, Service
    from flowq.telemetry.endpoint import endpoint

    if no_workers and no_scheduler:
        raise click.UsageError("--no-workers and --no-scheduler leave nothing to run")
    served = _enter(directory, session)
    catalog = catalog_name(served, name)
    _log_as(log)
    embedded = _embedded_server(session)
    with _held_stops():
        if embedded is None and (code := await_server(lambda: open_store(session.url).close())) is not None:
            return code
        whose = (*(() if name is None else (f"--name={name}",)), *(("--ship",) if ships else ()))
        options = ServeOptions(
            served,
            catalog,
            embedded is not None,
            concurrency or default_slots(),
            queues,
            scheduler=not no_scheduler,
            worker=not no_workers,
            page=None if no_page else _page(page, *whose),
            traces=bool(endpoint()),
            drain=drain,
            lease=worker_ttl,
            scheduling=(*whose, *(() if polls else ("--reload=never",))),
            log=log,
        )
        announcement = _Announcement(served, executes=not no_workers, as_log=log["format"] == "json")
        if no_scheduler:
            announcement.say(f"serving the jobs of {served}")
        try:
            return Service(options, announcement.told, announcement.shown).run()
        finally:
            if embedded is not None:
                embedded.close()


@contextmanager
def _held_stops() -> Iterator[None]:
    """Let a stop signal that comes while none are counted wait until they are: between the wait for the server, the first lines and the children."""
    from flowq.worker.signals import hold, release

    hold()
    try:
        yield
    finally:
        release()


def _page(page: PageOptions, *more: str) -> tuple[str, ...] | None:
    """Return the options of the page; None, with a message, where its packages are not installed."""
    if has_server():
        return (*page.arguments(), *more)
    logging.getLogger("flowq.serve").info("no page: pip install 'flowq-workflows[serve]' brings what it needs")
    return None


def _enter(directory: str, session: CliContext) -> str:
    """Make the directory the current one, so that settings come from there; return its absolute path."""
    if not Path(directory).is_dir():
        parent = shlex.quote(str(Path(directory).parent))
        raise click.UsageError(f"{directory!r} is a file, expected the directory of the flows, as in `flowq serve {parent}`")
    served = os.path.abspath(directory)  # noqa: PTH100 - not resolve(): a link is followed at each look
    for name in _PATHS:
        if os.environ.get(name):
            os.environ[name] = str(Path(os.environ[name]).expanduser().absolute())
    if session.url is not None:  # for the children; a command line can be read by every user of the machine
        os.environ.update(environment_of(session.url))
    os.chdir(served)
    return served


def _embedded_server(session: CliContext) -> Any:
    """Hold the embedded server open if it is the one to use; None if it is not."""
    from flowq.config import load_settings
    from flowq.embedded.attach import attach

    settings = load_settings(session.url)
    return attach(settings.home.value if settings.home else None) if settings.url is None else None


def _log_as(log: Mapping[str, str]) -> None:
    from flowq.log_format import log_to_stderr

    log_to_stderr(log["level"], log["format"], log["dates"])


@dataclass(slots=True)
class _Announcement:
    """What is told once everything runs."""

    directory: str
    executes: bool  # its worker is here, with this environment
    as_log: bool
    _done: bool = False
    _shown: bool = False

    def told(self, summary: Mapping[str, Any]) -> None:
        """Tell what is served, at the first report: a `flowq.schedules.summary.Summary` as JSON."""
        if not self._done:
            self._done = True
            self.say(*_texts(summary, self.directory, executes=self.executes))

    def shown(self, address: str) -> None:
        """Tell where the page is; of one that was replaced the log tells."""
        if not self._shown:
            self._shown = True
            self.say(f"page: {address}")

    def say(self, *texts: str) -> None:
        """Write lines."""
        if self.as_log:
            for text in texts:
                logging.getLogger("flowq.serve").info("%s", text.strip())
        else:
            lines: list[Line] = [((safe_line(text), ""),) for text in texts]
            show(lines, Terminal.of(sys.stdout))


def _texts(summary: Mapping[str, Any], directory: str, *, executes: bool) -> Iterator[str]:
    """Yield what is told of a catalog: a head line, what is not valid, the next slots; where its jobs are executed here, what they lack."""
    from datetime import datetime

    from flowq.slots.timezones import named

    paused = f" ({summary['paused']} paused)" if summary["paused"] else ""
    parts = [plural(summary["flows"], "flow"), plural(summary["schedules"], "schedule") + paused]
    parts += [plural(summary["triggers"], "trigger")] if summary["triggers"] else []
    yield f"serving {directory} as {summary['name']}: {', '.join(parts)}; Ctrl+C stops"
    invalid = summary["invalid"]
    for path in invalid[:_SHOWN]:
        yield f"  not valid: {path} (flowq validate {path})"
    if len(invalid) > _SHOWN:
        yield f"  and {plural(len(invalid) - _SHOWN, 'more file')}"
    absent = summary["absent"] if executes else []
    yield from (f"  missing: {text}" for text in absent[:_SHOWN])
    if len(absent) > _SHOWN:
        yield f"  and {len(absent) - _SHOWN} more that are missing"
    for schedule, slot, timezone in summary["coming"][:_SHOWN]:
        when = datetime.fromtimestamp(slot / 1000, named(timezone))
        yield f"  next: {when:%Y-%m-%d %H:%M:%S} {timezone}  {schedule}"
