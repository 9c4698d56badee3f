"""flowq: declarative workflows in YAML, on Redis, and the job queue below them.

The public names are loaded when they are used, so that `import flowq` and the command line's `--help` cost next to nothing.
"""

import sys

# `typing` would be most of what a watchdog or a horse imports: checkers understand this without it.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from flowq.callbacks import Callback
    from flowq.dependency import Dependency
    from flowq.flows.flow import Flow
    from flowq.flows.run import Run
    from flowq.group import Group
    from flowq.job import Job, cancel_job, get_current_job, requeue_job
    from flowq.queue import Queue
    from flowq.rate_limit import RateLimit
    from flowq.repeat import Repeat
    from flowq.retry import Retry
    from flowq.schedules.users.schedule import Schedule
    from flowq.webhook import Webhook
    from flowq.worker.simple_worker import SimpleWorker
    from flowq.worker.worker import Worker
    from flowq.worker.worker_classes import SpawnWorker

__version__: "Final" = "0.1.0"
VERSION: "Final" = __version__  # RQ's name

_HOMES: "Final" = {
    "Callback": "flowq.callbacks",
    "Dependency": "flowq.dependency",
    "Flow": "flowq.flows.flow",
    "Group": "flowq.group",
    "Job": "flowq.job",
    "Queue": "flowq.queue",
    "RateLimit": "flowq.rate_limit",
    "Repeat": "flowq.repeat",
    "Retry": "flowq.retry",
    "Run": "flowq.flows.run",
    "Schedule": "flowq.schedules.users.schedule",
    "SimpleWorker": "flowq.worker.simple_worker",
    "SpawnWorker": "flowq.worker.worker_classes",
    "Webhook": "flowq.webhook",
    "Worker": "flowq.worker.worker",
    "cancel_job": "flowq.job",
    "get_current_job": "flowq.job",
    "requeue_job": "flowq.job",
}

__all__ = [
    "Callback",
    "Dependency",
    "Flow",
    "Group",
    "Job",
    "Queue",
    "RateLimit",
    "Repeat",
    "Retry",
    "Run",
    "Schedule",
    "SimpleWorker",
    "SpawnWorker",
    "Webhook",
    "Worker",
    "__version__",
    "cancel_job",
    "get_current_job",
    "requeue_job",
]


def __getattr__(name: str) -> "Any":
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'flowq' has no attribute {name!r}")
    import importlib

    _warn_of_foreign()
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def _warn_of_foreign() -> None:
    if "flowq.distribution" in sys.modules:
        return  # the command line has told
    from flowq import distribution

    version = distribution.find_foreign()
    if version:
        import warnings

        warnings.warn(f"{distribution.describe(version)}: {distribution.REMEDY}", stacklevel=3)


def __dir__() -> list[str]:
    return sorted(__all__)
