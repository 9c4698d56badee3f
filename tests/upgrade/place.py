"""The directory in which the flows of the data run.

A run keeps the directory it was started in, and the signature of a plan covers it. So the writer and the tests use
the same fixed path, one process at a time.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PLACE: Final = Path("/tmp/flowq-f5782f9")  # made with mode 0700
SOURCES: Final = Path(__file__).parent / "data_f5782f9" / "place"
NAMESPACE: Final = "flowq"
SIGNED: Final = "signed"  # the namespace of the signed run and job
KEY: Final = "the key that signed the data of f5782f9"


@contextmanager
def taken_place() -> Iterator[Path]:
    """Create the directory with the flows and their modules, and remove it at the end; other processes wait."""
    descriptor = os.open(f"{PLACE}.lock", os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if PLACE.is_dir() and not PLACE.is_symlink() and PLACE.stat().st_uid == os.geteuid():
            shutil.rmtree(PLACE)  # left by a killed process
        PLACE.mkdir(mode=0o700)
        for source in SOURCES.iterdir():
            if source.is_file():
                shutil.copy(source, PLACE)
        try:
            yield PLACE
        finally:
            shutil.rmtree(PLACE)
    finally:
        os.close(descriptor)
