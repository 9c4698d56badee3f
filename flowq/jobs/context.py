"""The task that the current process or thread is executing, for `get_current_job`. Imports next to nothing, so that horses stay light.

A horse executes one job in its life: that is state of the process, and seen by every thread of the job. Where several threads of
one process may execute jobs (sync mode in a web server), each has its own.
"""

from __future__ import annotations

import marshal
from _thread import _local

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    from flowq.store import Store

_current: dict[str, Any] | bytes | None = None
_job_class: Any = None
_thread = _local()


def current_task() -> dict[str, Any] | None:
    """Return the task this thread or process executes (see `flowq.worker.ipc.messages`), or None outside of a job."""
    task: dict[str, Any] | None = getattr(_thread, "task", None)
    if task is None and isinstance(_current, bytes):
        set_current_task(marshal.loads(_current))  # noqa: S302 - of the worker
    return _current if task is None else task  # type: ignore[return-value] # decoded above


def current_store() -> Store | None:
    """Return the store that the task came from, where that is not the process's own."""
    return getattr(_thread, "store", None)


def set_current_task(task: dict[str, Any] | bytes | None) -> None:
    """Set the task that this process executes from now on; one in `marshal` form is decoded when it is asked for."""
    global _current  # noqa: PLW0603 - a process executes one job at a time: this is process state by nature
    _current = task


def current_handle() -> Any:
    """Return the handle on the job that `Job.perform` executes in this thread, or None."""
    return getattr(_thread, "handle", None)


class as_current:  # noqa: N801 - likewise
    """Context manager: this thread executes the job of a handle. Nests."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def __enter__(self) -> None:
        self._former = current_handle()
        _thread.handle = self._handle

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _thread.handle = self._former


class here:  # noqa: N801 - read as "with context.here(task, store)"
    """Context manager: this thread executes a task of a store. Nests, also in a job that `Job.perform` executes."""

    def __init__(self, task: dict[str, Any], store: Store) -> None:
        self._task, self._store = task, store

    def __enter__(self) -> None:
        self._former = getattr(_thread, "task", None), getattr(_thread, "store", None), current_handle()
        _thread.task, _thread.store, _thread.handle = self._task, self._store, None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _thread.task, _thread.store, _thread.handle = self._former


def current_job_class() -> Any:
    """Return the class of jobs (or its dotted name) that this process's worker was given, None for the default."""
    return _job_class


def set_current_job_class(job_class: Any) -> None:
    """Declare the class of jobs in this process; a worker does, for the jobs that it forks."""
    global _job_class  # noqa: PLW0603 - as above
    _job_class = job_class
