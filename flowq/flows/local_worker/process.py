"""A worker process that waits for its orders. Light to import, because it is started before anything else is."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

from flowq.exceptions import UsageError
from flowq.processes import few_files, missing_proc


def default_slots() -> int:
    """Return how many jobs a local run executes at once by default: one per core, at least two."""
    return max(2, os.cpu_count() or 1)


class LeftBehind(subprocess.Popen[bytes]):
    """A process that may outlive this one on purpose, of which Python does not warn (`subprocess … is still running`)."""

    def __del__(self) -> None:
        """Leave the process to the next `Popen`, which reaps it if it ends before this one does."""
        super().__del__(_warn=_say_nothing)  # type: ignore[call-arg]


def _say_nothing(*_args: object, **_kwargs: object) -> None:
    """Stand in for `warnings.warn`."""


class WorkerProcess:
    """A worker process that has been started and waits for its orders.

    Starting an interpreter and importing a client takes longer than compiling most flows: `flowq run` starts the process first and
    tells it later which run it is for. Orders and lifeline are one pipe: a line of JSON, then its end.
    """

    def __init__(self) -> None:
        if lack := missing_proc() or few_files(
            default_slots()
        ):  # before a run is submitted that this process could not execute
            raise UsageError(lack)
        reading, self._lifeline = os.pipe()
        try:
            self.process = LeftBehind(
                # -P: a file of the user's that is named like a module must not be imported in its place.
                [sys.executable, "-P", "-m", "flowq.worker.main", "--orders", str(reading)],
                stdin=subprocess.DEVNULL,
                pass_fds=(reading,),
                start_new_session=True,  # the terminal's Ctrl+C is for the command, which decides how to react
            )
        finally:
            os.close(reading)

    def order(self, argv: Sequence[str], directory: str, log: str | None, url: str | None = None) -> None:
        """Send its orders: the arguments of `flowq.worker.main`, the directory, the file for its own messages, the server (None: as configured)."""
        line = json.dumps({"argv": list(argv), "directory": directory, "log": log, "url": url}) + "\n"
        with suppress(BrokenPipeError):  # it has died already; the next poll will see that
            os.write(self._lifeline, line.encode("utf-8", "surrogateescape"))

    def let_go(self) -> None:
        """Close the lifeline: without orders it leaves at once, else it hands its jobs back first (unless it is detached)."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
