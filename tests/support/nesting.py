"""A directory with directories in it, one below the other, more than a program that calls itself for each of them can visit."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def nested(directory: Path, levels: int = 1000) -> Iterator[Path]:
    """Make it, and remove it at the end: nothing of Python's can."""
    fd = os.open(directory.parent, os.O_RDONLY)
    try:
        for name in (directory.name, *["d"] * levels):
            os.mkdir(name, dir_fd=fd)
            inner = os.open(name, os.O_RDONLY, dir_fd=fd)
            os.close(fd)
            fd = inner
        yield directory
    finally:
        os.close(fd)
        subprocess.run(["rm", "-rf", str(directory)], check=True)
