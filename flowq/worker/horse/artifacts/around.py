"""What is done around a job with `fetch` or `artifacts`, inside its timeout: first the files of others, at last its own.

The supervisor gets the lists, and the contents of what is small, with the outcome: so an execution that has lost its job leaves nothing.
What is large goes to the file store at once, where contents that no record names are removed after a while.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os

from flowq.worker.horse.artifacts import fetch, save
from flowq.worker.horse.artifacts.transfers import TransferError
from flowq.worker.ipc.messages import failed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from flowq.worker.ipc.messages import Task, TaskResult


def through(task: Task, perform: Callable[[], TaskResult]) -> TaskResult:
    """Return the outcome of a job, which `perform` executes, with its artifacts.

    A job whose files cannot be fetched is not executed; one that succeeded, and whose artifacts cannot be kept, has failed.
    """
    try:
        base = os.path.realpath(task["cwd"])
        for item in task.get("fetch") or ():
            fetch.put_in_place(item, base, task.get("store"))
    except TransferError as error:
        return failed("error", f"fetch: {error}")
    outcome = perform()
    succeeded = outcome["outcome"] == "finished"
    wanted = [item for item in task.get("artifacts") or () if succeeded or item["always"]]
    if not wanted:
        return outcome
    if not task.get("deaf"):
        _signal.signal(_signal.SIGTERM, _signal.SIG_DFL)  # there is nothing left to end in order
    try:
        found, missing = save.collect(wanted, base, task, strict=succeeded)
    except TransferError as error:
        if succeeded:
            kept = {"cache": outcome["cache"]} if "cache" in outcome else {}
            return failed("error", f"artifacts: {error}", exit_code=outcome["exit_code"]) | kept
        say(f"not kept: {error}")
        return outcome
    for text in missing:
        say(text)
    for item in found["items"]:
        size = sum(row[1] for row in item["files"])
        say(f"{item['name']}: {len(item['files']):,} file{'s' * (len(item['files']) != 1)}, {size:,} bytes")
    return outcome | {"artifacts": found}


def say(text: str) -> None:
    """Write a line into the job's output."""
    try:
        os.write(2, f"artifacts {text}\n".encode())
    except OSError:
        pass  # the job has closed its output
