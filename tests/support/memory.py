"""How much memory this process has had."""

import os
import resource
from pathlib import Path


def peak() -> int:
    """Return the most resident memory since the program began, in kB.

    `ru_maxrss` alone would be that of whoever started it, where that was more: Linux keeps it over `exec`.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return next(
            int(line.split()[1]) for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:")
        )
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used // 1024 if os.uname().sysname == "Darwin" else used
