"""A job that is in no run, as lines."""

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from flowq.cli.render.run_table import commands_lines
from flowq.cli.render.styled_text import Line
from flowq.cli.render.vocabulary import clock, symbol, took, word
from flowq.cli.terminal import Terminal
from flowq.flows.views.text import plural, safe_line
from flowq.states import JobStatus

if TYPE_CHECKING:
    from flowq.flows.explain.plain_job import PlainJob

_ROWS: Final = 200  # of an error


def plain_job_lines(found: "PlainJob", terminal: Terminal, *, times: bool = False) -> Iterator[Line]:
    """Yield the state of a job that is in no run, its whole error, and what can be done; with `times` when it was executed."""
    record = found.record
    text, style = word(record.status)
    reason = f": {safe_line(found.text)}" if found.text else ""
    duration = f"  {took(record.duration)}" if times and record.ended and record.duration is not None else ""
    yield (
        (f"{symbol(record.status, unicode=terminal.unicode)} ", style),
        (safe_line(record.id), "bold"),
        (f" {text}{reason}", style),
        (duration, ""),
    )
    if record.worker:
        yield ((f"  on worker {safe_line(record.worker)}", "dim"),)
    if times:
        yield ((f"  {safe_line(_when(found, terminal.zone))}", "dim"),)
    rows = (found.error or "").splitlines()
    if len(rows) > 1:
        yield from (((f"  {safe_line(row)}", ""),) for row in rows[-_ROWS:])
    if advice := _advice(found):
        yield (("", ""),)
        yield from commands_lines(advice, terminal.width)


def _when(found: "PlainJob", zone: str) -> str:
    record = found.record
    began = "enqueued" if record.started_ms is None else "started"
    moment = record.started_ms or record.enqueued_ms or record.created_ms
    parts = [f"{began} {clock(moment, zone)}" if moment is not None else "", f"queue {record.queue}"]
    parts += [plural(record.attempt, "attempt")] if record.attempt > 1 else []
    return ", ".join(filter(None, parts))


def _advice(found: "PlainJob") -> list[tuple[str, str]]:
    record = found.record
    job, queue = shlex.quote(record.id), shlex.quote(record.queue)
    if record.status is JobStatus.QUEUED and not record.worker:
        return [(f"flowq worker {queue}", "executes the jobs of the queue")]
    advice = [(f"flowq logs {job}", "what it printed")] if record.attempt else []
    if record.status is JobStatus.FAILED:
        advice.append((f"flowq requeue --queue {queue} {job}", "runs it again"))
    return advice
