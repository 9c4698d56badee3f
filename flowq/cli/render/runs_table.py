"""The table of runs, for `flowq runs` and the active runs in `flowq info`."""

import json
import time
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from flowq.cli.render.styled_text import Line, columns, cut, fit, pad
from flowq.cli.render.vocabulary import clock, clock_width, took
from flowq.cli.terminal import Terminal
from flowq.flows.views.run_view import elapsed
from flowq.flows.views.text import safe_line, safe_params
from flowq.states import JobStatus, RunStatus
from flowq.store.schema.records import RunRecord

STATUS_STYLES: Final = {
    RunStatus.FINISHED: "good",
    RunStatus.FAILED: "badbold",
    RunStatus.RUNNING: "busy",
    RunStatus.CANCELED: "warn",
    RunStatus.SKIPPED: "warn",
    RunStatus.QUEUED: "dim",
}

_VALUES: Final = 100  # columns of the values of a run's params where the width is not that of a terminal


def runs_table(runs: Sequence[RunRecord], terminal: Terminal, orphaned: Collection[str] = ()) -> Iterator[Line]:
    """Yield the lines of a table of runs; the duration of an active run is the time up to now. `orphaned`: ids of orphaned runs.

    What tells a run from the others of its flow stands last: the values of its params, else the slot that it is of.
    """
    now_ms = time.time_ns() // 1_000_000
    ids = max(len("kcb9yfh2"), *(len(run.id) for run in runs))
    names = min(max(len("FLOW"), *(columns(safe_line(run.flow)) for run in runs)), 32)
    times = clock_width(terminal.zone)
    jobs = [_jobs(run) for run in runs]
    about = [cut(_about(run, terminal.zone), _VALUES, unicode=terminal.unicode) for run in runs]
    counts = max(4, *map(len, jobs)) if any(about) else 4
    columns_head = (
        f"{pad('RUN', ids)}  {pad('FLOW', names)}  {'STATUS':<8}  {'STARTED':<{times}}  {'TOOK':>6}  {'JOBS':<{counts}}"
    )
    head: Line = ((columns_head + ("  PARAMS" if any(about) else ""), "dim"),)
    yield fit(head, terminal.width, unicode=terminal.unicode)
    for run, count, what in zip(runs, jobs, about, strict=True):
        flow = pad(cut(safe_line(run.flow), names, unicode=terminal.unicode), names)
        line: Line = (
            (f"{pad(run.id, ids)}  ", "bold"),
            (f"{flow}  ", ""),
            (f"{'orphaned':<9} ", "warn") if run.id in orphaned else _status(run),
            (f"{clock(run.created_ms, terminal.zone)}  ", "dim"),
            (f"{took(elapsed(run.started_ms, run.ended_ms, now_ms)):>6}  ", ""),
            (f"{count:<{counts}}  {what}" if what else count, "dim"),
        )
        yield fit(line, terminal.width, unicode=terminal.unicode)


def _status(run: RunRecord) -> tuple[str, str]:
    word = "canceling" if run.canceling and not run.ended else str(run.status)
    return f"{word:<9} ", STATUS_STYLES[run.status]


def _about(run: RunRecord, zone: str) -> str:
    if params := safe_params(json.loads(run.params or "{}")):
        return params
    return f"slot {clock(run.slot, zone)}" if run.slot is not None else ""


def _jobs(run: RunRecord) -> str:
    failed = run.counts.get(JobStatus.FAILED, 0) + run.counts.get(JobStatus.STOPPED, 0)
    skipped = max(0, run.counts.get(JobStatus.SKIPPED, 0) - run.not_needed) if run.ended else 0
    parts = [f"{run.counts.get(JobStatus.FINISHED, 0)}/{run.total - run.not_needed}"]
    parts += [f"{count} {what}" for count, what in ((failed, "failed"), (skipped, "skipped")) if count]
    return ", ".join(parts)
