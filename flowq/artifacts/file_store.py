"""A directory as a store of contents, which all machines see: `file:///shared/flowq`.

<directory>/blobs/<sha256>      one content
<directory>/blobs/.<…>          one that is being written; it gets its name when it is complete and on the disk
"""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, Final

from flowq.artifacts.blobs import BlobError, OtherContentError, copy

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class FileStore:
    """The contents below a directory, which is made when it is needed."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._blobs = os.path.join(directory, "blobs")

    def has(self, digest: str) -> bool:
        """Return whether a content is there."""
        return os.path.isfile(self._path(digest))

    def put(self, digest: str, source: BinaryIO) -> None:
        """Store a content, all of it or nothing."""
        path = self._path(digest)
        with self._told("written"):
            if os.path.isfile(path):
                os.utime(path)  # it must not be taken for one that nothing needs
                return
            os.makedirs(self._blobs, exist_ok=True)
            new = os.path.join(self._blobs, f".{digest}.{os.getpid()}.{time.monotonic_ns()}")
            try:
                with open(new, "xb") as target:
                    copy(
                        source,
                        target,
                        digest,
                        into=f"the file store {self._directory}",
                        otherwise="it changed while it was kept",
                    )
                    target.flush()
                    os.fsync(target.fileno())
                os.replace(new, path)
            except BaseException:
                _remove(new)
                raise

    def get(self, digest: str, target: BinaryIO) -> None:
        """Write a content to a file."""
        if not self.has(digest):
            raise BlobError(f"it is missing in the file store {self._directory}")
        try:
            with self._told("read"), open(self._path(digest), "rb") as source:
                copy(source, target, digest, into="the file", otherwise=f"it was altered in the file store {self._directory}")
        except OtherContentError:
            with suppress(OSError):  # set aside, so that the job that is executed again can store it
                os.rename(self._path(digest), os.path.join(self._blobs, f".{digest}.altered"))
            raise

    def entries(self) -> Iterator[tuple[str, float]]:
        """Yield the contents, and what is left of unfinished ones."""
        with self._told("read"):
            try:
                found = list(os.scandir(self._blobs))
            except FileNotFoundError:
                return
            for entry in found:
                if _DIGEST.fullmatch(entry.name) or entry.name.startswith("."):
                    with suppress(FileNotFoundError):
                        yield entry.name, entry.stat(follow_symlinks=False).st_mtime

    def remove(self, digest: str) -> None:
        """Remove a content, if it is there."""
        with self._told("written"):
            _remove(self._path(digest))

    def _path(self, digest: str) -> str:
        return os.path.join(self._blobs, digest)

    @contextmanager
    def _told(self, how: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise BlobError(f"the file store {self._directory} cannot be {how}: {error.strerror or error}") from error


def _remove(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)
