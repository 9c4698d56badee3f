"""Huge pages for a process that holds much, and is forked for each job.

A fork copies an entry for each page of 4 KiB, and the end of the child drops it: together some 0.1 us each, for a program of 100 MB more than a job
that does nothing takes otherwise. For memory that lies in pages of 2 MiB the kernel does that several times as fast. A horse still copies only the
4 KiB around what it writes. So a server with much memory asks for such pages (`MADV_COLLAPSE`, Linux 6.1 and newer) once it has forked often
enough for that to pay: to gather a huge page takes about a millisecond. A program does it before it is cloned, so that the clone shares them.
"""

from __future__ import annotations

import os
from itertools import islice

from flowq.worker.ipc import platform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

_PAGE: Final = 4096
_HUGE: Final = 512 * _PAGE
_ENTRY: Final = 8  # bytes of a page in /proc/self/pagemap
_LEAST: Final = 16 << 20  # bytes of the process's own: with less, too little lies in whole huge pages
_DENSE: Final = 480  # pages that are there, of 512: the others would be filled with zeros, for nothing
_MOST: Final = 128  # blocks, each of which takes a millisecond
_seen = 0  # bytes that this process, or one that it is a copy of, held when it gathered last


def gather() -> None:
    """Gather memory of this process, at most 256 MiB, into huge pages, unless it has little that it did not have the last time."""
    global _seen  # noqa: PLW0603 - of the whole process
    try:
        held = _own_memory()
        if held < _seen + _LEAST or os.sysconf("SC_PAGESIZE") != _PAGE:
            return
        _seen = held
        for start in islice(_dense_blocks(), _MOST):
            platform.collapse(start, _HUGE)
    except OSError:
        return  # a sandbox without /proc, no descriptor is free: it stays as it is


def _own_memory() -> int:
    """Return the bytes of anonymous memory."""
    with open("/proc/self/statm", "rb") as file:
        _, resident, shared, *_ = file.read().split()
    return (int(resident) - int(shared)) * _PAGE


def _dense_blocks() -> Iterator[int]:
    """Yield the addresses of the blocks of private memory that could be a huge page and are in use nearly everywhere."""
    with open("/proc/self/maps", "rb") as maps:
        areas = [line.split() for line in maps]
    with open("/proc/self/pagemap", "rb", buffering=0) as pages:
        for limits, rights, _, _, inode, *_ in areas:
            if rights != b"rw-p" or inode != b"0":
                continue
            begin, end = (int(limit, 16) for limit in limits.split(b"-"))
            for start in range(-(-begin // _HUGE) * _HUGE, end - _HUGE + 1, _HUGE):
                pages.seek(start // _PAGE * _ENTRY)
                if sum(entry >> 63 for entry in memoryview(pages.read(512 * _ENTRY)).cast("Q")) >= _DENSE:
                    yield start
