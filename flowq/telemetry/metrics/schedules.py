"""Samples of schedules. They are of what is stored, so that a scheduler that has died is seen."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from flowq.schedules.views import ScheduleView, read_schedules
from flowq.telemetry.metrics.samples import Sample, bounded, sample

if TYPE_CHECKING:
    from flowq.store import Store


def schedule_samples(store: "Store") -> Iterator[Sample]:
    """Yield samples of the schedules that are in the files of a directory."""
    yield sample("flowq_schedulers", len(store.schedules.schedulers()))
    now = store.now_ms() / 1000
    views = [view for view in read_schedules(store, store.schedules.names()) if not view.gone]
    yield from bounded((item for view in views for item in _of(view, now)), "schedule")


def _of(view: ScheduleView, now: float) -> Iterator[Sample]:
    name = view.record.id
    yield sample("flowq_schedule_paused", float(view.paused), schedule=name)
    if view.entry is None:  # a trigger: it has no times
        return
    waits = bool(view.backlog) and not view.paused
    yield sample("flowq_schedule_backlog", view.backlog if waits else 0, schedule=name)
    yield sample("flowq_schedule_lag_seconds", max(0.0, now - view.first_ms / 1000) if waits else 0.0, schedule=name)
    if view.next_ms is not None:
        yield sample("flowq_schedule_next_timestamp_seconds", view.next_ms / 1000, schedule=name)
