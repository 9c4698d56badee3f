"""The files that Python's own ctypes keeps open: libffi 3.5 has one of its own."""

import ctypes
import os
from pathlib import Path


def kept_by_ctypes() -> int:
    """Return how many open files of this process belong to the library below ctypes, which every process with ctypes has."""
    assert ctypes.sizeof(ctypes.c_int)
    files = Path("/proc/self/fd")
    return sum("libffi" in os.readlink(files / name) for name in os.listdir(files) if os.path.lexists(files / name))
