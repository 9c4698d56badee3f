"""`flowq logs`."""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from flowq.cli.completing import complete_jobs, complete_runs
from flowq.cli.output import show
from flowq.cli.segments import Line
from flowq.cli.selection import select_jobs, select_run
from flowq.cli.session import Session, Terminal, complain, pass_session, url_option
from flowq.flows.documents import iso
from flowq.flows.follow import START, Follower
from flowq.flows.snapshot import read_snapshot
from flowq.flows.textsafe import safe_bytes, safe_line
from flowq.flows.views import ordinal_of, run_view
from flowq.plan import Plan
from flowq.store.records import LogEntry

if TYPE_CHECKING:
    from flowq.store import Store


@click.command(epilog="Example: flowq logs @latest build -f --tail 20")
@click.argument("run", required=False, shell_complete=complete_runs)
@click.argument("job", required=False, shell_complete=complete_jobs)
@click.option("-f", "--follow", is_flag=True, help="Stay and show new output until the run has ended.")
@click.option("--failed", is_flag=True, help="Only of the jobs that failed.")
@click.option("--attempt", type=click.IntRange(1), metavar="N", help="Only of the N-th execution of each job.")
@click.option("--timestamps", is_flag=True, help="Put the time (UTC) in front of each line.")
@click.option("--tail", type=click.IntRange(0), metavar="N", help="Only the last N lines of each job.")
@url_option
@pass_session
def command(
    session: Session,
    run: str | None,
    job: str | None,
    *,
    follow: bool,
    failed: bool,
    attempt: int | None,
    timestamps: bool,
    tail: int | None,
) -> None:
    """Show what the jobs of a run printed.

    It comes in the order in which it was printed. JOB is a job's name, a cell's name or an id; the name of a matrix means
    all its cells. With several jobs, each line starts with the name of its job.
    """
    store = session.store()
    run_id = select_run(store, run)
    plan, snapshot = read_snapshot(store, run_id)
    ordinals = set(select_jobs(plan, run_id, job)) if job is not None else {cell.ordinal for cell in plan.jobs()}
    if failed:
        ordinals &= {view.ordinal for view in run_view(plan, snapshot).bad_jobs}
        if not ordinals and not follow:
            complain(f"no job of run {run_id} has failed")
            return
    selection = _Selection(plan, frozenset(ordinals), attempt, timestamps=timestamps, named=job is None or len(ordinals) > 1)
    if store.runs.logs_dropped(run_id):
        complain(f"run {run_id} printed more than is kept (64 MiB): its oldest output is gone")
    position = _show_past(store, run_id, selection, tail, session.out)
    if follow:
        _show_future(store, run_id, selection, position, session.out)


@dataclass(frozen=True, slots=True)
class _Selection:
    """Which entries are shown, and how their lines look."""

    plan: Plan
    ordinals: frozenset[int]
    execution: int | None
    timestamps: bool = field(kw_only=True)
    named: bool = field(kw_only=True)

    def lines(self, entry: LogEntry) -> Iterator[Line]:
        """Yield an entry's lines, none if it is not selected."""
        ordinal = ordinal_of(entry.job)
        if ordinal not in self.ordinals or self.execution not in {None, entry.execution}:
            return
        time = f"{iso(entry.at_ms)} " if self.timestamps else ""
        name = f"{safe_line(self.plan.cells[ordinal].name)} | " if self.named else ""
        for text in safe_bytes(entry.data).removesuffix("\n").split("\n"):
            yield ((time + name, "dim"), (text, "warn" if entry.stream == "err" else ""))


def _show_past(store: "Store", run_id: str, selection: _Selection, tail: int | None, terminal: Terminal) -> str:
    """Show what is kept, and return the position behind it."""
    position = START
    last = _LastLines(tail)
    while entries := store.runs.logs(run_id, after=position):
        position = entries[-1].seq
        if tail is None:
            show((line for entry in entries for line in selection.lines(entry)), terminal)
        else:
            last.add(entries, selection)
    show(last.lines(), terminal)
    return position


def _show_future(store: "Store", run_id: str, selection: _Selection, position: str, terminal: Terminal) -> None:
    """Show what comes until the run has ended."""
    lost = False
    for update in Follower(store, run_id, events_after=position, logs_after=position).updates():
        if update.lost is not None and not lost:
            complain(f"{update.lost}; waiting for it")
        lost = update.lost is not None
        show((line for entry in update.logs for line in selection.lines(entry)), terminal)


class _LastLines:
    """The last lines of each job, given back in the order in which they were printed."""

    def __init__(self, limit: int | None) -> None:
        self._kept: defaultdict[str, deque[tuple[int, Line]]] = defaultdict(lambda: deque(maxlen=limit))
        self._count = 0

    def add(self, entries: Iterable[LogEntry], selection: _Selection) -> None:
        for entry in entries:
            for line in selection.lines(entry):
                self._count += 1
                self._kept[entry.job].append((self._count, line))

    def lines(self) -> Iterator[Line]:
        ordered = sorted((item for kept in self._kept.values() for item in kept), key=lambda item: item[0])
        return (line for _count, line in ordered)
