"""Periodic jobs: calls that a scheduler enqueues by cron expressions and intervals.

A scheduler enqueues ordinary jobs, which any worker executes. Its state is in the store: the script that creates a job also records
the latest slot of its entry (`store/lua/cron/enqueue_slot.lua`). So any number of schedulers can run side by side, each can be killed
at any moment, and each slot creates exactly one job. `flowq.slots` computes the slots.

    job          `CronJob`: an entry
    registration configuration files
    scheduler    `CronScheduler`: the loop
    schedulers   the registry of live schedulers
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowq.cron.job import CronJob, get_cron_job_ids
    from flowq.cron.registration import register
    from flowq.cron.scheduler import CronScheduler, create_cron

__all__ = ["CronJob", "CronScheduler", "create_cron", "get_cron_job_ids", "register"]

_HOMES = {
    "CronJob": "flowq.cron.job",
    "CronScheduler": "flowq.cron.scheduler",
    "create_cron": "flowq.cron.scheduler",
    "get_cron_job_ids": "flowq.cron.job",
    "register": "flowq.cron.registration",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
