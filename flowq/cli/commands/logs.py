"""`flowq logs`."""

import json
from abc import ABC, abstractmethod
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import click

from flowq.cli.completion.candidates import complete_jobs, complete_runs_and_jobs
from flowq.cli.context import CliContext, complain, pass_context, url_option, zone_option
from flowq.cli.options.types import TimeAgo, since_ms
from flowq.cli.render.job_output import job_lines
from flowq.cli.render.output import show
from flowq.cli.render.styled_text import Line
from flowq.cli.targets import select_jobs, select_target, tell_orphaned
from flowq.cli.terminal import Terminal
from flowq.exceptions import UsageError
from flowq.flows.explain.plain_job import is_plain_job
from flowq.flows.explain.script_lines import names_a_line, script_line
from flowq.flows.views.follow import START, Follower
from flowq.flows.views.run_view import Snapshot, ordinal_of, run_view
from flowq.flows.views.snapshot import read_plan, read_snapshot
from flowq.flows.views.text import plural, safe_line
from flowq.plan import Plan
from flowq.slots.timezones import moment_in
from flowq.states import JobStatus
from flowq.store.schema.documents import iso
from flowq.store.schema.records import LogEntry

if TYPE_CHECKING:
    from datetime import datetime

    from flowq.store import Store

_SCRIPTS: Final = 3  # jobs whose scripts' lines are looked up in the flow file
_BAD: Final = frozenset({JobStatus.FAILED, JobStatus.STOPPED})


@click.command(epilog="Example: flowq logs @latest build -f --tail 20")
@click.argument("run", required=False, shell_complete=complete_runs_and_jobs)
@click.argument("job", required=False, shell_complete=complete_jobs)
@click.option("-f", "--follow", is_flag=True, help="Follow: show new output until the run has ended.")
@click.option("--failed", is_flag=True, help="Show only the output of jobs that failed.")
@click.option(
    "--execution", type=click.IntRange(1), metavar="N", help="Show only the output of the N-th execution of each job."
)
@click.option("--timestamps", is_flag=True, help="Put the time in front of each line.")
@click.option("--since", type=TimeAgo(), metavar="TIME", help="Show only output from then on: 10m ago, 2026-01-31T06:00 (UTC).")
@click.option("--grep", "wanted", metavar="TEXT", help="Show only lines that contain this text.")
@click.option("--json", "as_json", is_flag=True, help="Print each line as a JSON document of one line.")
@click.option("--tail", type=click.IntRange(0), metavar="N", help="Show only the last N lines of each job.")
@zone_option
@url_option
@pass_context
def command(
    session: CliContext,
    run: str | None,
    job: str | None,
    *,
    follow: bool,
    failed: bool,
    execution: int | None,
    timestamps: bool,
    since: "float | datetime | None",
    wanted: str | None,
    as_json: bool,
    tail: int | None,
) -> None:
    """Show what the jobs of a run printed.

    Lines appear in the order in which they were printed. JOB is a job's name, a cell's name or an id; the name of a matrix
    selects all its cells. With several jobs, each line starts with the name of its job. A single argument is a RUN, a JOB of
    the latest run of this directory, or the id of a job that was enqueued without a flow.
    """
    store = session.store()
    chosen = _Filter(
        None,
        execution,
        timestamps=timestamps,
        zone=session.zone,
        bad=None,
        since_ms=0 if since is None else since_ms(since, store.now_ms()),
        wanted=wanted,
        as_json=as_json,
    )
    if run is not None and job is None and is_plain_job(store, run):
        if follow or failed:
            raise UsageError(f"{run!r} is the id of a job that is in no run: --follow and --failed are for runs")
        output = _PlainJob(run, chosen)
        _show_past(store, run, output, tail, session.out)
        if not output.has_output and wanted is None and since is None:
            complain("nothing was printed, or it is not kept any more")
        return
    target = select_target(store, run, job)
    run_id = target.run
    plan, snapshot = read_snapshot(store, run_id)
    bad = frozenset(view.ordinal for view in run_view(plan, snapshot).bad_jobs) if failed else None
    chosen = replace(chosen, job=target.job, bad=bad)
    selection = _Selection(store, run_id, chosen, plan)
    if failed and not selection.ordinals and not follow:
        complain(f"no job of run {run_id} has failed")
        return
    if store.runs.logs_dropped(run_id):
        complain(f"run {run_id} printed more than is kept (16 MiB of a job, 64 MiB of a run): the oldest output is gone")
    if execution is not None and (snapshot.run.ended or not follow):
        _check_execution(execution, plan, snapshot, selection)
    position = _show_past(store, run_id, selection, tail, session.out)
    if not selection.has_output and wanted is None and since is None and not follow:
        complain("nothing was printed" if snapshot.run.ended else "nothing was printed so far")
    if follow:
        tell_orphaned(store, run_id)
        _show_future(store, run_id, selection, position, session.out, tail=tail)
    for sentence in selection.script_lines():
        complain(sentence)


def _check_execution(wanted: int, plan: Plan, snapshot: Snapshot, selection: "_Selection") -> None:
    """Check that a selected job has been executed so often.

    Raises:
        UsageError: none has.
    """
    records = (snapshot.jobs[ordinal] for ordinal in selection.ordinals)
    last = max((record for record in records if record is not None), key=lambda record: record.execution, default=None)
    if last is None or last.execution >= wanted:
        return  # records that have expired do not know
    name = safe_line(plan.cells[last.ordinal or 0].name)
    had = f"had {plural(last.execution, 'execution')}" if last.execution else "not been executed"
    if len(selection.ordinals) == 1:
        raise UsageError(f"job {name} has {had} so far; there is no execution {wanted}")
    most = f"; the most are {last.execution}, of {name}" if last.execution else ": none has been executed"
    raise UsageError(f"no job of these has had an execution {wanted}{most}")


@dataclass(frozen=True, slots=True)
class _Filter:
    """The options of the command. `bad`: with `--failed`, the ordinals of the jobs that have failed so far; else None."""

    job: str | None
    execution: int | None
    timestamps: bool = field(kw_only=True)
    zone: str = field(kw_only=True)
    bad: frozenset[int] | None = field(kw_only=True)
    since_ms: int = field(kw_only=True)
    wanted: str | None = field(kw_only=True)
    as_json: bool = field(kw_only=True)


class _Output(ABC):
    """The lines of output that are shown, and their layout."""

    _named: bool  # each line starts with the name of its job

    def __init__(self, chosen_filter: _Filter, run_id: str | None) -> None:
        self._filter = chosen_filter
        self._run_id = run_id
        self._executions: dict[str, int] = {}
        self.has_output = False

    @abstractmethod
    def _has_job(self, entry: LogEntry) -> bool:
        """Return whether the job of an entry is a selected one."""

    @abstractmethod
    def _name(self, entry: LogEntry) -> str:
        """Return the name of the job of an entry, which is a selected one."""

    def lines(self, entry: LogEntry) -> Iterator[Line]:
        """Yield the lines of an entry; none if it is not selected."""
        if not self._has_job(entry) or self._filter.execution not in {None, entry.execution}:
            return
        if entry.at_ms < self._filter.since_ms:
            return
        self.has_output = True
        for line in job_lines(entry.data, entry.stream):
            text = "".join(part for part, _style in line)
            if self._filter.wanted is None or self._filter.wanted in text:
                yield self._json_line(entry, text) if self._filter.as_json else self._styled(entry, line)

    def marked(self, found: "Iterable[tuple[LogEntry, Line]]", terminal: Terminal) -> Iterator[Line]:
        """Yield the lines to print of those of entries: where another execution of a job begins, a line says so.

        Not in JSON, which has it in each document, nor among lines that were picked by their text.
        """
        for entry, line in found:
            before = self._executions.setdefault(entry.job, entry.execution)
            self._executions[entry.job] = entry.execution
            if before != entry.execution and not self._filter.as_json and self._filter.wanted is None:
                rule = ("─" if terminal.unicode else "-") * 2
                yield ((self._prefix(entry) + f"{rule} execution {entry.execution} {rule}", "dim"),)
            yield line

    def _styled(self, entry: LogEntry, line: Line) -> Line:
        return ((self._prefix(entry), "dim"), *line)

    def _prefix(self, entry: LogEntry) -> str:
        """Return what stands before a line: its time and the name of its job, where these are shown."""
        time = ""
        if self._filter.timestamps:
            zone = self._filter.zone
            time = f"{iso(entry.at_ms) if zone == 'UTC' else moment_in(entry.at_ms, zone)} "
        return time + (f"{safe_line(self._name(entry))} | " if self._named else "")

    def _json_line(self, entry: LogEntry, text: str) -> Line:
        document = {"at": iso(entry.at_ms), "run": self._run_id, "job": self._name(entry), "id": entry.job}
        return ((json.dumps({**document, "execution": entry.execution, "stream": entry.stream, "line": text}), ""),)


class _PlainJob(_Output):
    """The output of a job that is in no run."""

    _named = False

    def __init__(self, job: str, chosen_filter: _Filter) -> None:
        super().__init__(chosen_filter, None)
        self._job = job

    def _has_job(self, entry: LogEntry) -> bool:
        return entry.job == self._job

    def _name(self, entry: LogEntry) -> str:
        return entry.job


class _Selection(_Output):
    """The output of the selected jobs of a run."""

    def __init__(self, store: "Store", run_id: str, chosen_filter: _Filter, plan: Plan) -> None:
        super().__init__(chosen_filter, run_id)
        self._store = store
        self._run = run_id
        self._use_plan(plan)
        self._naming: dict[int, bytes] = {}  # the last entry of each job in which a line of its script is named

    def _use_plan(self, plan: Plan) -> None:
        job = self._filter.job
        chosen = select_jobs(plan, self._run, job) if job is not None else [cell.ordinal for cell in plan.jobs()]
        self._plan = plan
        self.ordinals = frozenset(chosen) if self._filter.bad is None else self._filter.bad & frozenset(chosen)
        self._named = job is None or len(chosen) > 1

    def failed(self, ordinals: Iterable[int]) -> "_Selection":
        """Return the same selection for jobs that have failed now."""
        other = _Selection(self._store, self._run, replace(self._filter, bad=frozenset(ordinals)), self._plan)
        other._naming = self._naming
        return other

    def lines(self, entry: LogEntry) -> Iterator[Line]:
        """Yield the lines of an entry; remember it if it names a line of the job's script."""
        ordinal, naming = ordinal_of(entry.job), names_a_line(entry.data)
        for line in super().lines(entry):
            if naming and ordinal is not None:
                self._naming[ordinal] = entry.data
            yield line

    def script_lines(self) -> Iterator[str]:
        """Yield which lines of the flow file the output names as lines of scripts: the last one of each of the first jobs."""
        for ordinal in sorted(self._naming)[:_SCRIPTS]:
            cell = self._plan.cells[ordinal]
            if line := script_line(self._plan.place_of(self._plan.node_of(cell)), self._naming[ordinal].split(b"\n")):
                yield safe_line(f"{cell.name}: {line}" if self._named else line)

    @property
    def failed_only(self) -> bool:
        """Whether only jobs that failed are shown."""
        return self._filter.bad is not None

    def _has_job(self, entry: LogEntry) -> bool:
        ordinal = ordinal_of(entry.job)
        if ordinal is not None and ordinal >= len(self._plan.cells):  # a foreach has expanded since the plan was read
            self._use_plan(read_plan(self._store, self._run))
        return ordinal in self.ordinals

    def _name(self, entry: LogEntry) -> str:
        ordinal = ordinal_of(entry.job)
        assert ordinal is not None, "an entry of a selected job"
        return self._plan.cells[ordinal].name


def _show_past(store: "Store", run_id: str, selection: _Output, tail: int | None, terminal: Terminal) -> str:
    """Show the stored output, and return the position after it."""
    position = START
    last = _LastLines(tail)
    while entries := store.runs.logs(run_id, after=position):
        position = entries[-1].seq
        if tail is None:
            show(selection.marked(_lines_of(entries, selection), terminal), terminal)
        else:
            last.add(entries, selection)
    show(selection.marked(last.lines(), terminal), terminal)
    return position


def _show_future(
    store: "Store", run_id: str, selection: _Selection, position: str, terminal: Terminal, *, tail: int | None
) -> None:
    """Show new output until the run has ended."""
    lost = False
    shown = set(selection.ordinals)
    for update in Follower(store, run_id, after=position).updates():
        if update.lost is not None and not lost:
            complain(f"{update.lost}; waiting for it")
        lost = update.lost is not None
        if not selection.failed_only:
            show(selection.marked(_lines_of(update.logs, selection), terminal), terminal)
            continue
        ended = {ordinal_of(event.job) for event in update.events if event.new in _BAD} - {None}
        new = {ordinal for ordinal in ended if ordinal is not None and ordinal not in update.allowed} - shown
        if new:  # jobs that failed just now: show the output they have printed before
            shown |= new
            _show_past(store, run_id, selection.failed(new), tail, terminal)


def _lines_of(entries: Iterable[LogEntry], selection: _Output) -> Iterator[tuple[LogEntry, Line]]:
    return ((entry, line) for entry in entries for line in selection.lines(entry))


class _LastLines:
    """The last lines of each job, in the order in which they were printed."""

    def __init__(self, limit: int | None) -> None:
        self._kept: defaultdict[str, deque[tuple[int, LogEntry, Line]]] = defaultdict(lambda: deque(maxlen=limit))
        self._count = 0

    def add(self, entries: Iterable[LogEntry], selection: _Output) -> None:
        for entry, line in _lines_of(entries, selection):
            self._count += 1
            self._kept[entry.job].append((self._count, entry, line))

    def lines(self) -> Iterator[tuple[LogEntry, Line]]:
        ordered = sorted((item for kept in self._kept.values() for item in kept), key=lambda item: item[0])
        return ((entry, line) for _count, entry, line in ordered)
