"""`flowq runs`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from flowq.cli.output import show, show_json
from flowq.cli.segments import Line, columns, cut, fit, pad
from flowq.cli.session import Session, Terminal, complain, pass_session, url_option
from flowq.cli.wording import clock, took
from flowq.flows.documents import record_json
from flowq.flows.textsafe import safe_line
from flowq.states import JobStatus, RunStatus
from flowq.store.records import RunRecord

if TYPE_CHECKING:
    from flowq.store import Store

_SCANNED = 1000  # of the latest runs, when a filter is given
_STYLES = {
    RunStatus.FINISHED: "good",
    RunStatus.FAILED: "badbold",
    RunStatus.RUNNING: "busy",
    RunStatus.CANCELED: "warn",
    RunStatus.QUEUED: "dim",
}


@click.command(epilog="Example: flowq runs --status failed --limit 5")
@click.option("--flow", metavar="NAME", help="Only runs of this flow.")
@click.option("--status", type=click.Choice([str(status) for status in RunStatus]), help="Only runs with this status.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many to show.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@url_option
@pass_session
def command(session: Session, flow: str | None, status: str | None, limit: int, *, as_json: bool) -> None:
    """List the latest runs, newest first."""
    found = list(_select(session.store(), flow, status, limit))
    if as_json:
        show_json([record_json(run) for run in found])
    elif found:
        terminal = session.out
        show(_table(found, terminal), terminal)
    else:
        complain("no runs: `flowq run FILE` starts one" if flow is None and status is None else "no such runs")


def _select(store: "Store", flow: str | None, status: str | None, limit: int) -> Iterator[RunRecord]:
    filtered = flow is not None or status is not None
    shown = 0
    for run_id in store.runs.recent(_SCANNED if filtered else limit):
        run = store.runs.get(run_id)
        if run is None or (flow is not None and run.flow != flow) or (status is not None and run.status != status):
            continue
        yield run
        shown += 1
        if shown == limit:
            return


def _table(runs: list[RunRecord], terminal: Terminal) -> Iterator[Line]:
    names = min(max(columns(safe_line(run.flow)) for run in runs), 32)
    yield ((f"{'RUN':<8}  {pad('FLOW', names)}  {'STATUS':<8}  {'STARTED':<23}  {'TOOK':>6}  JOBS", "dim"),)
    for run in runs:
        flow = pad(cut(safe_line(run.flow), names, unicode=terminal.unicode), names)
        line: Line = (
            (f"{run.id:<8}  ", "bold"),
            (f"{flow}  ", ""),
            (f"{run.status:<8}  ", _STYLES[run.status]),
            (f"{clock(run.created_ms):<23}  ", "dim"),
            (f"{took(_duration(run)):>6}  ", ""),
            (_jobs(run), "dim"),
        )
        yield fit(line, terminal.width, unicode=terminal.unicode)


def _duration(run: RunRecord) -> float | None:
    if run.started_ms is None or run.ended_ms is None:
        return None
    return max(0, run.ended_ms - run.started_ms) / 1000


def _jobs(run: RunRecord) -> str:
    failed = run.counts.get(JobStatus.FAILED, 0) + run.counts.get(JobStatus.STOPPED, 0)
    return f"{run.counts.get(JobStatus.FINISHED, 0)}/{run.total}" + (f", {failed} failed" if failed else "")
