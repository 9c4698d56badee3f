"""Stores that fsspec reaches: object stores, SFTP and others. An extra of the distribution installs it."""

import posixpath
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Final

from flowq.artifacts.blobs import BlobError, copy
from flowq.distribution import NAME

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_FRESH: Final = 12 * 3600.0  # s of age up to which a content is not written again: `gc` removes unused ones after a day


class RemoteStore:
    """The contents below an address such as `s3://bucket/flowq`.

    Raises:
        BlobError: fsspec, or what it needs for such addresses, is not installed, or the address is wrong.
    """

    _files: Any

    def __init__(self, url: str) -> None:
        self._shown = url.partition("://")[0]
        try:
            from fsspec.core import url_to_fs
        except ImportError:
            raise BlobError(f"a file store at {self._shown}://… needs fsspec: pip install '{NAME}[store]'") from None
        try:
            self._files, root = url_to_fs(url)
        except (ImportError, ValueError, OSError) as error:
            raise BlobError(f"the file store {self._shown}://… cannot be used: {error}") from error
        self._blobs = posixpath.join(root, "blobs")

    def has(self, digest: str) -> bool:
        """Return whether a content is there."""
        with self._told():
            return bool(self._files.exists(self._path(digest)))

    def put(self, digest: str, source: BinaryIO) -> None:
        """Store a content. It is moved to its name when it is complete; an object store shows nothing before either."""
        path = self._path(digest)
        with self._told():
            if self._files.exists(path) and time.time() - self._modified(path) < _FRESH:
                return
            self._files.makedirs(self._blobs, exist_ok=True)
            new = posixpath.join(self._blobs, f".{digest}.{time.monotonic_ns()}")
            try:
                with self._files.open(new, "wb") as target:
                    copy(
                        source,
                        target,
                        digest,
                        into=f"the file store {self._shown}://…",
                        otherwise="it changed while it was kept",
                    )
                self._files.mv(new, path)
            except BaseException:
                if self._files.exists(new):
                    self._files.rm_file(new)
                raise

    def get(self, digest: str, target: BinaryIO) -> None:
        """Write a content to a file."""
        with self._told():
            if not self._files.exists(self._path(digest)):
                raise BlobError(f"it is missing in the file store {self._shown}://…")
            with self._files.open(self._path(digest), "rb") as source:
                copy(source, target, digest, into="the file", otherwise=f"it was altered in the file store {self._shown}://…")

    def entries(self) -> Iterator[tuple[str, float]]:
        """Yield the contents, and what is left of unfinished ones."""
        with self._told():
            if not self._files.exists(self._blobs):
                return
            for path in self._files.ls(self._blobs, detail=False):
                name = posixpath.basename(path)
                if _DIGEST.fullmatch(name) or name.startswith("."):
                    yield name, self._modified(path)

    def remove(self, digest: str) -> None:
        """Remove a content, if it is there."""
        with self._told():
            if self._files.exists(self._path(digest)):
                self._files.rm_file(self._path(digest))

    def _path(self, digest: str) -> str:
        return posixpath.join(self._blobs, digest)

    def _modified(self, path: str) -> float:
        return float(self._files.modified(path).timestamp())

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except BlobError:
            raise
        except Exception as error:
            raise BlobError(f"the file store {self._shown}://… cannot be used: {type(error).__name__}: {error}") from error
