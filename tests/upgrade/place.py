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
OF_SCHEDULES: Final = Path("/tmp/flowq-schedules")  # likewise, of `data_schedules`
SOURCES_OF_SCHEDULES: Final = Path(__file__).parent / "data_schedules" / "place"
NAMESPACE: Final = "flowq"
SIGNED: Final = "signed"  # the namespace of the signed run and job
KEY: Final = "the key that signed the data of f5782f9"


@contextmanager
def taken_place(place: Path = PLACE, sources: Path = SOURCES) -> Iterator[Path]:
    """Create the directory with the flows and their modules, and remove it at the end; other processes wait."""
    descriptor = os.open(f"{place}.lock", os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if place.is_dir() and not place.is_symlink() and place.stat().st_uid == os.geteuid():
            shutil.rmtree(place)  # left by a killed process
        place.mkdir(mode=0o700)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(sources, place, dirs_exist_ok=True, copy_function=shutil.copyfile, ignore=ignored)
        place.chmod(0o700)
        try:
            yield place
        finally:
            shutil.rmtree(place)
    finally:
        os.close(descriptor)
