"""Processes in a separate pid namespace, as in a container that shares the disk."""

import functools
import subprocess

UNSHARE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
"""Starts a command so. `--kill-child`: it ends with the process that starts it."""


@functools.cache
def why_not() -> str:
    """Return why such processes are not possible here; empty if they are."""
    try:
        tried = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, timeout=20, check=False)
    except FileNotFoundError:
        return "there is no unshare here"
    return tried.stderr.strip() if tried.returncode else ""
