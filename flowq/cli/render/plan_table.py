"""The output of `flowq plan`: the jobs of a flow in order, what each waits for, and the effect of a failure."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Final

from flowq.cli.render.styled_text import Line, columns, cut, fit, pad, wrap
from flowq.cli.render.vocabulary import count_text, foreach_text, reason_text, took
from flowq.cli.terminal import Terminal
from flowq.durations import format_duration
from flowq.flows.forecast.duration import Forecast, forecast
from flowq.flows.forecast.history import History
from flowq.flows.forecast.outcomes import PredictedEnd, run_status
from flowq.flows.forecast.resources import describe, expected_resources
from flowq.flows.local_worker.process import default_slots
from flowq.flows.views.text import plural, safe_line, safe_params
from flowq.plan import Cell, Node, Plan
from flowq.states import JobStatus, Reason, RunStatus

_NAME = 40  # cells of a name before it is cut
_WHY = 24  # minimal cells of the last column, in which it is wrapped
_ROWS = 4  # maximal rows of a job
_PATH = 12  # jobs of the critical path shown
_ALIKE: Final = 12  # cells of a matrix that are shown though nothing but their names tells them apart
_FIRST: Final = 3  # of more, those that are shown
_TURNS = {
    "success": "when the run has succeeded",
    "failure": "when the run has failed",
    "cancel": "when the run was canceled",
    "exit": "at the end, whatever came before",
}
"""When the handlers of a phase run."""


def plan_lines(
    plan: Plan,
    ends: Sequence[PredictedEnd],
    history: History,
    terminal: Terminal,
    *,
    workers: int | None,
    failing: Sequence[str],
) -> list[Line]:
    """Return the text: head, one row per job, the forecast, the effect of a failure."""
    expected = forecast(plan, ends, history)
    lines: list[Line] = [((f"{safe_line(plan.name)}: {count_text(plan)}", "bold"), (_with_cells(plan, expected), "dim"))]
    if plan.params:
        lines.append(((f"params {safe_params(plan.params)}", "dim"),))
    lines.append((("", ""),))
    lines += _table(plan, ends, expected, terminal, with_ends=bool(failing))
    if expected is not None:
        lines += [(("", ""),), *_expectations(expected, history, workers, unicode=terminal.unicode)]
    if failing:
        lines += [(("", ""),), _consequence(plan, ends, failing)]
    return [fit(line, terminal.width, unicode=terminal.unicode) for line in lines]


def plan_json(plan: Plan, ends: Sequence[PredictedEnd], history: History, workers: int | None) -> dict[str, Any]:
    """Return the plan as a JSON document."""
    steps = step_numbers(plan)
    expected = forecast(plan, ends, history)
    slots = workers or default_slots()
    return {
        "flow": plan.name,
        "file": plan.file,
        "params": dict(plan.params),
        "status": str(run_status(plan, list(ends))),
        "jobs": [
            {
                "name": cell.name,
                "job": plan.node_of(cell).name,
                "step": steps[cell.ordinal],
                "queue": plan.queue_of(cell),
                "depends_on": [name for name, _condition in plan.shown_parents(cell)],
                "conditions": [condition for _name, condition in plan.shown_parents(cell)],
                "if": plan.node_of(cell).condition,
                "foreach": plan.node_of(cell).foreach,
                "cells": None if expected is None else expected.cells(cell.ordinal),
                "timeout": plan.node_of(cell).timeout,
                "retries": _retries(plan.node_of(cell)),
                "secrets": list(plan.node_of(cell).secrets),
                "resources": expected_resources(plan, cell),
                "file": plan.file_of(plan.node_of(cell)),
                "line": plan.node_of(cell).line,
                "status": str(ends[cell.ordinal].end.status),
                "reason": None if ends[cell.ordinal].reason is None else str(ends[cell.ordinal].reason),
                "open": ends[cell.ordinal].open,
                "expected": None if expected is None else expected.each(cell.ordinal),
            }
            for cell in plan.shown_jobs()
        ],
        "expected": None
        if expected is None
        else {
            "runs": history.runs,
            "workers": slots,
            "duration": expected.duration(slots),
            "critical_path": [expected.label(ordinal) for ordinal in expected.path],
            "critical_path_duration": expected.path_seconds,
        },
    }


def step_numbers(plan: Plan) -> list[int]:
    """Return for each ordinal the earliest step in which it can run, from 1; groups and gates take no step."""
    steps: list[int] = []
    for cell in plan.cells:
        before = max((steps[edge.parent] for edge in cell.parents), default=0)
        steps.append(before if cell.group or cell.hidden else before + 1)
    return steps


def _table(
    plan: Plan, ends: Sequence[PredictedEnd], expected: Forecast | None, terminal: Terminal, *, with_ends: bool
) -> Iterator[Line]:
    jobs = list(plan.selected_jobs())
    steps = step_numbers(plan)
    jobs.sort(key=lambda cell: (bool(cell.phase), steps[cell.ordinal]))
    left_out = _left_out(plan, ends, jobs)
    jobs = [cell for cell in jobs if cell.ordinal not in left_out or left_out[cell.ordinal]]
    names = [safe_line(cell.name) for cell in jobs]
    if terminal.width is not None:
        names = [cut(name, _NAME, unicode=terminal.unicode) for name in names]
    queues = [safe_line(plan.queue_of(cell)) for cell in jobs]
    limits = [_limits(plan, cell) for cell in jobs]
    name, queue, limit = (
        max([columns(text) for text in texts] + [least]) for texts, least in ((names, 3), (queues, 5), (limits, 6))
    )
    digits = max(1, len(str(max(steps, default=1))))
    times = f"  {'TIME':>6}" if expected is not None else ""
    then = f"  {'THEN':<8}" if with_ends else ""
    yield ((f"{'#':>{digits}}  {pad('JOB', name)}{then}  {pad('QUEUE', queue)}  {pad('LIMITS', limit)}{times}  WHY", "dim"),)
    for index, cell in enumerate(jobs):
        if alike := left_out.get(cell.ordinal):
            more = f"{'…' if terminal.unicode else '...'} {plural(alike, 'more cell')} like these: all are in --json"
            yield ((f"{' ' * digits}  {more}", "dim"),)
            continue
        end = _end(ends[cell.ordinal])
        row: Line = (
            (f"{'' if cell.phase else steps[cell.ordinal]:>{digits}}  ", "dim"),
            (pad(names[index], name), ""),
            (f"  {end[0]:<8}" if with_ends else "", end[1]),
            (f"  {pad(queues[index], queue)}  {pad(limits[index], limit)}", "dim"),
            (f"  {took(expected.each(cell.ordinal)):>6}" if expected is not None else "", ""),
        )
        why = f"  {_why(plan, cell, ends[cell.ordinal])}{_cells(expected, cell) if ends[cell.ordinal].runs else ''}"
        lead = columns("".join(text for text, _style in row))
        below = " " * (lead + 2) if terminal.width is not None and terminal.width - lead >= _WHY else "    "
        yield from wrap((*row, (why, "")), terminal.width, below=below, most=_ROWS, unicode=terminal.unicode)


def _left_out(plan: Plan, ends: Sequence[PredictedEnd], jobs: Sequence[Cell]) -> dict[int, int]:
    """Return by ordinal the cells without a row: of each matrix with many that are alike, the last with their number, the others with 0."""
    found: dict[int, int] = {}
    for _what, group in groupby(
        jobs,
        key=lambda cell: (
            cell.node,
            plan.queue_of(cell),
            _limits(plan, cell),
            _end(ends[cell.ordinal]),
            _why(plan, cell, ends[cell.ordinal]),
        ),
    ):
        cells = list(group)
        if len(cells) > _ALIKE:
            found |= dict.fromkeys((cell.ordinal for cell in cells[_FIRST:]), 0)
            found[cells[-1].ordinal] = len(cells) - _FIRST
    return found


def _limits(plan: Plan, cell: Cell) -> str:
    node = plan.node_of(cell)
    parts = [format_duration(node.timeout)] if node.timeout is not None else []
    if _retries(node):
        parts.append(f"{_retries(node)} {'retry' if _retries(node) == 1 else 'retries'}")
    if node.ttl is not None:
        parts.append(f"ttl {format_duration(node.ttl)}")
    if node.delay:
        parts.append(f"delay {format_duration(node.delay)}")
    if node.allow_failure is not False:
        parts.append("may fail")
    if node.secrets:
        parts.append(f"secrets {' '.join(node.secrets)}")
    if node.resources:
        parts.append(safe_line(describe(expected_resources(plan, cell))))
    return ", ".join(parts)


def _retries(node: Node) -> int:
    return node.retry.max if node.retry is not None else 0


def _why(plan: Plan, cell: Cell, end: PredictedEnd) -> str:
    node = plan.node_of(cell)
    if end.reason == Reason.IF_FALSE:
        return f"skipped: its `if: {safe_line(node.condition or '')}` is false"
    if end.because is not None:
        return f"{reason_text(end.reason)}: {safe_line(plan.cells[end.because].label)}"
    if cell.phase and not cell.parents:
        return _TURNS[cell.phase]
    parents = ", ".join(
        safe_line(name) + ("" if condition == "success" else f" ({condition})") for name, condition in plan.shown_parents(cell)
    )
    parts = [f"after {parents}" if parents else "no dependencies"]
    if node.condition is not None:
        parts.append(f"if {safe_line(node.condition)}")
    if node.foreach is not None:
        parts.append(foreach_text(plan, cell))
    return ", ".join(parts)


def _cells(expected: Forecast | None, cell: Cell) -> str:
    count = None if expected is None else expected.cells(cell.ordinal)
    if count is None:
        return ""
    return f" (about {plural(count, 'cell')})" if count else " (no cells in earlier runs)"


def _with_cells(plan: Plan, expected: Forecast | None) -> str:
    """Return how many jobs there are with the cells that each foreach is expected to have."""
    if expected is None:
        return ""
    cells = [expected.cells(cell.ordinal) or 1 for cell in plan.selected_jobs()]
    return f" (about {sum(cells)} with cells)" if sum(cells) > len(cells) else ""


def _end(end: PredictedEnd) -> tuple[str, str]:
    match end.end.status:
        case JobStatus.SKIPPED:
            return "skipped", "dim"
        case JobStatus.FAILED:
            return ("fails", "warn" if end.end.allowed else "badbold")
        case _:
            return ("may run" if end.open else "runs"), "good"


def _expectations(expected: Forecast, history: History, workers: int | None, *, unicode: bool) -> Iterator[Line]:
    slots = workers or default_slots()
    total = expected.duration(slots)
    source = f"from {plural(history.runs, 'earlier run')}"
    if expected.unknown:
        source += f", {plural(expected.unknown, 'job')} guessed"
    yield ((f"expected: {took(total)} with {plural(slots, 'worker')}", "bold"), (f"  ({source})", "dim"))
    names = [safe_line(name) for name in expected.names()]
    if len(names) > _PATH:
        names = [*names[: _PATH - 1], f"{len(names) - _PATH} more", names[-1]]
    arrow = " → " if unicode else " -> "
    yield ((f"critical path: {took(expected.path_seconds)}  ", ""), (arrow.join(names), "dim"))


def _consequence(plan: Plan, ends: Sequence[PredictedEnd], failing: Sequence[str]) -> Line:
    jobs = [ends[cell.ordinal] for cell in plan.selected_jobs()]
    skipped = sum(end.end.status is JobStatus.SKIPPED for end in jobs)
    failed = run_status(plan, list(ends)) is RunStatus.FAILED
    names = ", ".join(safe_line(name) for name in failing[:3]) + (f" and {len(failing) - 3} more" if len(failing) > 3 else "")
    verb = "fails" if len(failing) == 1 else "fail"
    return (
        (f"if {names} {verb}: ", "bold"),
        ("the run fails" if failed else "the run finishes all the same", "badbold" if failed else "good"),
        (f"; {skipped} of {plural(len(jobs), 'job')} skipped, {sum(end.runs for end in jobs)} executed", ""),
    )
