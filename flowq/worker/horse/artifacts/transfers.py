"""The helper that moves large files between a job's directory and the file store, as a child of the horse: a signal reaches both."""

from __future__ import annotations

import os
import sys

from flowq.worker.ipc.platform import PACKAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from flowq.worker.ipc.messages import Task

_PROGRAM: Final = "import sys; sys.path.insert(0, sys.argv[1]); from flowq.artifacts.transfer import main; main()"
_SHOWN: Final = 300  # characters of what the helper prints when it breaks


class TransferError(Exception):
    """Files that cannot be fetched or kept; the message says which and why."""


def move(store: Task, **what: list[list[Any]]) -> None:
    """Move files as `flowq.artifacts.transfer` describes it.

    Args:
        store: address of the file store, and the interpreter in which what it takes is installed.
        what: `put` or `get`.

    Raises:
        TransferError: not all could be moved.
    """
    import json
    import subprocess

    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LD_"))}
    try:
        done = subprocess.run(
            [store["python"] or sys.executable, "-P", "-c", _PROGRAM, os.path.dirname(PACKAGE)],
            input=json.dumps({"url": store["url"], **what}).encode(),
            capture_output=True,
            env=env,
            check=False,
        )
    except OSError as error:
        raise TransferError(f"no process could be started for the file store: {error.strerror}") from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2][:_SHOWN]
        raise TransferError(f"the process for the file store ended with {done.returncode}: {said}")
    problem = json.loads(done.stdout)["error"]
    if problem:
        raise TransferError(problem)
