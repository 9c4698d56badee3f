"""A clock that a test sets while processes run: a library, preloaded into them, adds an offset from a file to the time of day.

libfaketime does the same and more; it also moves the monotonic clock, which no step of a real clock does.
"""

import mmap
import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
static volatile int64_t *offset;  /* in seconds */
static int (*get)(clockid_t, struct timespec *);
__attribute__((constructor)) static void begin(void) {
    int file = open(getenv("SKEW_FILE"), O_RDONLY);
    offset = file < 0 ? 0 : mmap(0, 8, PROT_READ, MAP_SHARED, file, 0);
    get = dlsym(RTLD_NEXT, "clock_gettime");
}
int clock_gettime(clockid_t clock, struct timespec *now) {
    if (!get) get = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = get(clock, now);
    if (!failed && offset && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += *offset;
    return failed;
}
int gettimeofday(struct timeval *now, void *zone) {
    struct timespec exact;
    int failed = clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec; now->tv_usec = exact.tv_nsec / 1000;
    return failed;
}
time_t time(time_t *stored) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (stored) *stored = exact.tv_sec;
    return exact.tv_sec;
}
"""


class Skew:
    """A clock of its own for some processes. `environment` belongs into theirs.

    Args:
        directory: for the library and the file.
        seconds: how far it is ahead of the machine's clock.
    """

    def __init__(self, directory: Path, seconds: int = 0) -> None:
        file = directory / f"clock-{os.urandom(4).hex()}"
        file.write_bytes(struct.pack("q", seconds))
        with file.open("r+b") as opened:
            self._offset = mmap.mmap(opened.fileno(), 8)
        self.environment = {"LD_PRELOAD": str(_library(directory)), "SKEW_FILE": str(file)}

    def set(self, seconds: int) -> None:
        """Step the clock to so many seconds ahead of the machine's."""
        self._offset[:] = struct.pack("q", seconds)


def _library(directory: Path) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler, with which the library that sets clocks is made")
    library, source = directory / "skew.so", directory / "skew.c"
    if not library.exists():
        source.write_text(_SOURCE)
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    return library
