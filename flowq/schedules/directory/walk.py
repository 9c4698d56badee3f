"""The walk of a directory: the files that may be flows, each with a mark that changes when the file does.

It is made every few seconds, so it reads directories and no files. Nothing is watched: notifications of the kernel are missing on network
file systems, bind mounts and volumes of Kubernetes.
"""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from flowq.exceptions import UsageError
from flowq.globs import GlobError, exclusion, read_patterns

MAX_ENTRIES: Final = 100_000
"""Files and directories that are looked at."""

IGNORE_FILE: Final = ".flowqignore"
"""The file in the directory with patterns of what is left out, one a line."""

_SUFFIXES: Final = (".yaml", ".yml")
_LARGEST: Final = 4 * 1024 * 1024  # bytes; larger YAML files are data
_OWN: Final = ".flowq"  # the one directory with a dot in front that has flows
_WITHOUT: Final = frozenset({"node_modules"})


class FileMark(NamedTuple):
    """What changes when a file is written or replaced. `modified` in ns since the epoch."""

    device: int
    inode: int
    modified: int
    size: int

    @classmethod
    def of(cls, status: os.stat_result) -> "FileMark":
        """Return the mark of a file with this status."""
        return cls(status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)


def mark_of(path: str) -> FileMark | None:
    """Return the mark of a file, links followed; None if it cannot be found."""
    try:
        return FileMark.of(os.stat(path))
    except (OSError, ValueError):
        return None


@dataclass(slots=True)
class Walk:
    """The walk of one directory.

    After `look`, `files` has the marks of the files by their paths, relative to the directory, and `unread` the directories that could not be
    read: what is below them is not known.
    """

    root: str
    files: dict[str, FileMark] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)
    empty: bool = False  # there is nothing at all in the directory
    _ignored: FileMark | None = None
    _excluded: Callable[[str], bool] = field(default_factory=lambda: exclusion(()))

    def look(self) -> None:
        """Read the directory and those below.

        Left out are directories with a dot in front (except `.flowq`) or an underscore, environments of Python, `node_modules`, links to
        directories, and what `.flowqignore` lists.

        Raises:
            OSError: the directory itself cannot be read.
            UsageError: it has too many files, or `.flowqignore` cannot be understood.
        """
        self._read_patterns()
        files: dict[str, FileMark] = {}
        unread: set[str] = set()
        left = MAX_ENTRIES
        todo = [""]
        while todo:
            here = todo.pop()
            try:
                entries = _entries(os.path.join(self.root, here))
            except OSError:
                if not here:
                    raise
                unread.add(here)
                continue
            if not here:
                self.empty = not entries
            left -= len(entries)
            if left < 0:
                raise UsageError(
                    f"{self.root} has more than {MAX_ENTRIES:,} files: list the directories with data in {IGNORE_FILE} there"
                )
            todo += self._sort(here, entries, files)
        self.files, self.unread = files, unread

    def knows(self, path: str) -> bool:
        """Return whether the last look could have seen a file."""
        return not any(path.startswith(f"{directory}/") for directory in self.unread)

    def _sort(self, here: str, entries: list[os.DirEntry[str]], files: dict[str, FileMark]) -> list[str]:
        """Note the files of one directory; return the directories in it that are to be read."""
        if any(entry.name == "pyvenv.cfg" for entry in entries):
            return []
        below = []
        for entry in entries:
            path = f"{here}/{entry.name}" if here else entry.name
            if entry.name.endswith(_SUFFIXES) and entry.name[0] != ".":
                mark = _mark(entry)
                if mark is not None and not self._excluded(path):
                    files[path] = mark
            elif _is_searched(entry) and not self._excluded(path):
                below.append(path)
        return below

    def _read_patterns(self) -> None:
        path = os.path.join(self.root, IGNORE_FILE)
        mark = mark_of(path)
        if mark == self._ignored:
            return
        try:
            self._excluded = exclusion(read_patterns(path))
        except GlobError as error:
            raise UsageError(f"{path} cannot be used: {error}") from error
        self._ignored = mark


def _entries(path: str) -> list[os.DirEntry[str]]:
    with os.scandir(path) as entries:
        return list(entries)


def _is_searched(entry: os.DirEntry[str]) -> bool:
    if entry.name != _OWN and (entry.name[0] in "._" or entry.name in _WITHOUT):
        return False
    return entry.is_dir(follow_symlinks=False)


def _mark(entry: os.DirEntry[str]) -> FileMark | None:
    """Return the mark of a regular file that is not too large to be a flow; None for others, and for links to nothing."""
    try:
        status = entry.stat()
    except OSError:
        return None
    return FileMark.of(status) if stat.S_ISREG(status.st_mode) and status.st_size <= _LARGEST else None
