"""The worker of a round whose jobs are executed on a node behind a command, and processes by their ancestors."""

import json
import sys
from pathlib import Path
from typing import Final

from tests.chaos.jobs import LOG
from tests.support.launcher import MARK

EXECUTOR: Final = "lab"
DEPTHS: Final = {"fork server": "driver", "horse": "node"}
"""What stands under such a worker where others have a fork server and a horse."""

_COMMAND: Final = (sys.executable, "-P", "-m", "flowq.worker.node")
_NEEDED: Final = (MARK, LOG, "PYTHONPATH", "PYTHONSAFEPATH")


def settings(slots: int) -> str:
    """Return the text of the settings file of a round. A node gets what its jobs need for the execution log, and its worker's mark."""
    command, environment = json.dumps(_COMMAND), json.dumps(_NEEDED)
    return (
        f"[executors.{EXECUTOR}]\ntype = 'pipe'\ncommand = {command}\nenvironment = {environment}\n"
        f"slots = {slots}\nstart_timeout = '30s'\n"
    )


def depth(pid: int, ancestor: int) -> int:
    """Return how many generations a process is below another one; -1 if it is not, or has ended."""
    found = 0
    while pid not in {0, 1, ancestor}:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
        except OSError:
            return -1
        found += 1
    return found if pid == ancestor else -1
