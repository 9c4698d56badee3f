"""The files that travel with runs, as a node has them: where they are here, and which are missing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flowq.bundles.cache import BundleCache
from flowq.exceptions import UsageError

if TYPE_CHECKING:
    from typing import Any

    from flowq.worker.ipc.messages import Task


class RunFiles:
    """The files of runs on this machine."""

    def __init__(self) -> None:
        self._cache = BundleCache()

    def wanted(self, task: Task) -> str:
        """Return the name of the bundle that a task needs and this machine has not, "" if it lacks nothing."""
        name: str = task["bundle"][1] if task.get("bundle") else ""
        return "" if not name or os.path.exists(self._cache.archive(name)) else name

    def add(self, name: str, archive: bytes | None) -> str:
        """Keep a bundle; return why that is not possible, "" if it is. What is in it is checked when it is unpacked."""
        if archive is None:
            return "the files that travel with the run are not on the machine of the worker any more"
        try:
            self._cache.add(name, archive)
        except (OSError, UsageError) as error:
            return f"the files that travel with the run cannot be kept on the node: {error}"
        return ""

    def placed(self, task: Task) -> Task:
        """Return a task with the paths of this machine: the worker has put in those that its own would have."""
        if not task.get("bundle") or "files" not in task:
            return task
        run, name, *_ = task["bundle"]
        there, here = task.pop("files"), self._cache.directory(run, name)
        placed: Task = _replaced(task, there, here)
        return placed


def _replaced(value: Any, old: str, new: str) -> Any:
    """Return a value with another path in all its texts. The path ends in run and hash, so that nothing else looks like it."""
    match value:
        case str():
            return value.replace(old, new)
        case list():
            return [_replaced(item, old, new) for item in value]
        case dict():
            return {key: _replaced(item, old, new) for key, item in value.items()}
    return value
