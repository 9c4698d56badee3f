"""Calls that are put on queues again and again: by cron expressions and intervals.

A scheduler decides *when*; what it puts on a queue is an ordinary job that any worker executes. It keeps nothing to itself: which
slot of which entry was dealt with last is in the store, noted in the same step that creates the job (`store/lua/cron/enqueue_slot.lua`). So
any number of schedulers can run side by side, each can be killed at any moment, and a slot gives one job, neither none nor two.

    schedule   expressions and intervals: pure functions of time      zones        time zones, the local one too
    job        `CronJob`: an entry                                    registering  configuration files
    scheduler  `CronScheduler`: the loop                              listing      the list of schedulers that live
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
