"""Celery: an application with its tasks, canvas for chains and chords. Results are kept, as with RQ and flowq."""

import os
from collections.abc import Sequence

from celery import Celery, group
from celery import chain as sequence

from benchmarks import heavy, noop
from benchmarks.patterns import Call, Submit

_URL = os.environ["BENCHMARK_URL"].replace("unix://", "redis+socket://")

app = Celery("benchmarks", broker=_URL, backend=_URL)
app.conf.broker_connection_retry_on_startup = True
_tasks = {function: app.task(function) for function in (noop.noop, noop.short, noop.mark, noop.since, heavy.heavy)}


def put(call: Call) -> None:
    """Send one task."""
    function, *arguments = call
    _tasks[function].delay(*arguments)


def chain(calls: Sequence[Call]) -> Submit:
    """Prepare a chain."""
    send: Submit = sequence(*(_signature(call) for call in calls)).apply_async
    return send


def fan(first: Call, middle: Sequence[Call], last: Call) -> Submit:
    """Prepare one task, a group, and one task: Celery makes a chord of the group and the last task."""
    send: Submit = sequence(_signature(first), group([_signature(call) for call in middle]), _signature(last)).apply_async
    return send


def _signature(call: Call):  # type: ignore[no-untyped-def] # noqa: ANN202 - Celery's own, which has no types
    function, *arguments = call
    return _tasks[function].si(*arguments)
