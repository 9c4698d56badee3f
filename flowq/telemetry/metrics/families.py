"""The table of all metrics. docs/metrics.md, the dashboard and the alerts are held to it by tests."""

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Family:
    """A metric.

    Attributes:
        name: of the metric.
        kind: its type.
        labels: names of its labels.
        meaning: its help text.
        own: it is about the process that is asked, so `flowq metrics` has it not.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    meaning: str
    own: bool = False


FAMILIES: Final = (
    Family("flowq_info", "gauge", ("version",), "1; the version of flowq that answers"),
    # -- runs
    Family("flowq_runs_total", "counter", ("flow", "status", "cause"), "Ends of runs; one that is retried ends again"),
    Family("flowq_run_duration_seconds", "histogram", ("flow",), "Time from the beginning of a run to its end"),
    Family("flowq_runs", "gauge", ("flow", "status"), "Runs that are stored"),
    # -- jobs
    Family(
        "flowq_jobs_total",
        "counter",
        ("flow", "queue", "status", "reason"),
        "Ends of jobs; those that are in no run have no flow",
    ),
    Family(
        "flowq_job_duration_seconds", "histogram", ("queue",), "Time from the beginning of a job's last execution to its end"
    ),
    Family(
        "flowq_job_wait_seconds",
        "histogram",
        ("queue",),
        "Time that a job that has ended had been in its queue before its last execution",
    ),
    Family("flowq_leases_lost_total", "counter", (), "Executions that were lost with their worker"),
    # -- queues and workers
    Family("flowq_queue_jobs", "gauge", ("queue", "state"), "Jobs of a queue that have not ended"),
    Family(
        "flowq_queue_oldest_seconds",
        "gauge",
        ("queue",),
        "How long the next job of a queue has been in it; 0 of an empty queue",
    ),
    Family("flowq_queue_workers", "gauge", ("queue",), "Live workers that serve a queue"),
    Family("flowq_workers", "gauge", ("state",), "Live workers"),
    Family("flowq_slots", "gauge", ("state",), "Jobs that the live workers execute, and that they could execute besides"),
    Family(
        "flowq_executor_up",
        "gauge",
        ("executor",),
        "1 if the engine of an executor had a place for the last job of at least one worker, else 0",
    ),
    # -- schedules
    Family("flowq_schedulers", "gauge", (), "Schedulers with a beat within the last minute"),
    Family(
        "flowq_schedule_slots_total",
        "counter",
        ("schedule", "outcome"),
        "Slots of schedules, and events of triggers, that were dealt with",
    ),
    Family(
        "flowq_schedule_lag_seconds",
        "gauge",
        ("schedule",),
        "How long the first slot is due that was not dealt with; 0 without one",
    ),
    Family("flowq_schedule_backlog", "gauge", ("schedule",), "Slots that are due and were not dealt with, up to 10,000"),
    Family(
        "flowq_schedule_next_timestamp_seconds", "gauge", ("schedule",), "When the next slot is, in seconds since the epoch"
    ),
    Family("flowq_schedule_paused", "gauge", ("schedule",), "1 if the schedule is paused"),
    # -- the process that is asked
    Family("flowq_flows", "gauge", ("state",), "Flows of the directory of this process", own=True),
    Family(
        "flowq_http_requests_total", "counter", ("route", "method", "code"), "Requests that this process has answered", own=True
    ),
    Family("flowq_live_clients", "gauge", (), "Clients that this process tells changes", own=True),
    Family(
        "flowq_store_seconds", "histogram", (), "Time in which the server answered this process, once for each scrape", own=True
    ),
)

BY_NAME: Final = {family.name: family for family in FAMILIES}
"""The metrics by name."""
