"""The peak memory of this process."""

import os
import resource
from pathlib import Path


def peak() -> int:
    """Return the peak resident memory since the start of the program, in kB.

    `ru_maxrss` alone may be that of the parent process, because Linux keeps it over `exec`.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return next(
            int(line.split()[1]) for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:")
        )
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used // 1024 if os.uname().sysname == "Darwin" else used
