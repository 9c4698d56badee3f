"""The files of a trigger: those that a pattern matches, once they are written."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from flowq.exceptions import FlowqError
from flowq.globs import GlobError, match
from flowq.plan import Json
from flowq.store.schema.documents import iso

_LOOK: Final = 2000  # ms between looks
_TOLD: Final = 3600.0  # s between notes that files are still there


class SpoolError(FlowqError):
    """The files of a trigger that cannot be listed."""


@dataclass(frozen=True, slots=True)
class SpoolFile:
    """A file: its path as the pattern has it, size in bytes, time of its last change in ns, and when it came here in that form (ms)."""

    path: str
    size: int
    modified: int
    arrived_ms: int

    @property
    def key(self) -> str:
        """What no other content of the file has, as far as can be told without reading it."""
        return f"{self.path}|{self.size}|{self.modified}"

    def data(self) -> dict[str, Json]:
        """Return what expressions see of it."""
        return {
            "path": self.path,
            "name": Path(self.path).name,
            "size": self.size,
            "modified_at": iso(self.modified // 1_000_000),
        }


@dataclass(slots=True)
class Spool:
    """The files that match a pattern relative to a directory. One is written when it has not changed for `settle` ms."""

    root: str
    pattern: str
    settle: int
    _since: dict[str, float] = field(default_factory=dict)  # key -> monotonic time at which it was seen first
    _told: float = 0.0

    def present(self) -> list[str]:
        """Return the keys of all files, also of those that are being written.

        Raises:
            SpoolError: they cannot be listed.
        """
        return [file.key for file in self._list()]

    def settled(self) -> dict[str, SpoolFile]:
        """Return the files that are written, by their keys, in the order of their names.

        Raises:
            SpoolError: they cannot be listed.
        """
        now = time.monotonic()
        files = {file.key: file for file in self._list()}
        self._since = {key: self._since.get(key, now) for key in files}
        return {key: file for key, file in files.items() if self._is_written(file, now)}

    def pause(self) -> int:
        """Return the ms until the next look."""
        return min(_LOOK, max(100, self.settle))

    def is_time_to_tell(self) -> bool:
        """Return whether it is time to note that the files are still there."""
        due = time.monotonic() - self._told > _TOLD
        if due:
            self._told = time.monotonic()
        return due

    def _is_written(self, file: SpoolFile, now: float) -> bool:
        quiet = abs(time.time_ns() - file.modified) / 1_000_000 >= self.settle
        return quiet or (now - self._since[file.key]) * 1000 >= self.settle

    def _list(self) -> list[SpoolFile]:
        try:
            found, _ = match(self.root, [self.pattern], [])
        except GlobError as error:
            raise SpoolError(f"the files {self.pattern} cannot be listed: {error}") from error
        files = []
        for path in found:
            try:
                status = Path(self.root, path).stat()
            except OSError:
                continue  # moved away in between, or a link to nothing
            files.append(SpoolFile(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns // 1_000_000))
        return files
