"""The modules of RQ: where each is in flowq, and what is added to flowq when it is imported."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

PACKAGE: "Final" = "rq"

_OF_COMPAT: "Final" = frozenset(
    {
        "cli",
        "connections",
        "intermediate_queue",
        "logutils",
        "maintenance",
        "scheduler",
        "types",
        "utils",
        "version",
        "worker_registration",
    }
)
"""Modules that flowq does not have by itself, in `flowq.compat.rq`."""

_OF_FLOWQ: "Final" = frozenset(
    {
        "callbacks",
        "command",
        "cron",
        "cron_job_registry",
        "cron_scheduler_registry",
        "decorators",
        "defaults",
        "dependency",
        "exceptions",
        "executions",
        "group",
        "job",
        "queue",
        "rate_limit",
        "registry",
        "repeat",
        "results",
        "serializers",
        "suspension",
        "timeouts",
        "webhook",
        "worker",
        "worker.worker_classes",
        "worker_pool",
    }
)

_ELSEWHERE: "Final" = {"": "flowq.compat.rq", "worker.base": "flowq.worker"}

_JOBS: "Final" = ("jobs",)
_WORKERS: "Final" = ("jobs", "workers")
_ADDITIONS: "Final" = {
    "cron": _WORKERS,
    "decorators": _JOBS,
    "defaults": ("constants",),
    "executions": _JOBS,
    "group": _JOBS,
    "job": _JOBS,
    "queue": _JOBS,
    "registry": _JOBS,
    "results": _JOBS,
    "worker": _WORKERS,
    "worker.base": _WORKERS,
    "worker.worker_classes": _WORKERS,
    "worker_pool": _WORKERS,
}
"""What is added to flowq's modules and classes when a module is first imported under its name in RQ."""


def home_of(module: str) -> str | None:
    """Return the module of flowq that is a module of RQ, given without `rq.`; None where there is none."""
    if module in _ELSEWHERE:
        return _ELSEWHERE[module]
    if module in _OF_COMPAT:
        return f"flowq.compat.rq.{module}"
    return f"flowq.{module}" if module in _OF_FLOWQ else None


def additions_to(module: str) -> list[str]:
    """Return the modules that add what a module of RQ has and flowq's lacks."""
    return [f"flowq.compat.additions.{part}" for part in _ADDITIONS.get(module, ())]
