"""What the current process is executing: set by the horse, read by `get_current_job`. Imports nothing, so that horses stay light."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_current: dict[str, Any] | None = None
_job_class: Any = None


def current_task() -> dict[str, Any] | None:
    """Return the task this process executes (see `flowq.worker.horse`), or None outside of a job."""
    return _current


def set_current_task(task: dict[str, Any] | None) -> None:
    """Declare what this process executes from now on."""
    global _current  # noqa: PLW0603 - a process executes one job at a time: this is process state by nature
    _current = task


def current_job_class() -> Any:
    """Return the class of jobs (or its dotted name) that this process's worker was given, None for the default."""
    return _job_class


def set_current_job_class(job_class: Any) -> None:
    """Declare the class of jobs in this process; a worker does, for the jobs that it forks."""
    global _job_class  # noqa: PLW0603 - as above
    _job_class = job_class
