"""The archive of a bundle: a tar file, compressed, with the same bytes for the same files."""

import gzip
import io
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from typing import Final

from flowq.bundles.listing import MAX_BYTES, MAX_FILES, BundleFile, describe, hash_of
from flowq.exceptions import FlowqError

_LEVEL: Final = 6  # of the compression
_ONE_READ: Final = 64 * 1024  # bytes
"""A file is read in pieces of 16 KiB, no header is as long, and one that claims to be is read at once or, by newer versions, in pieces of 1 MiB."""
_POINTER: Final = b"blob "  # no archive begins so


def pointer(digest: str) -> bytes:
    """Return what stands in place of an archive that is in the file store. `digest`: its SHA-256, in hexadecimal."""
    return _POINTER + digest.encode()


def digest_in(data: bytes) -> str:
    """Return the digest of the archive that such data stands for, "" of an archive itself."""
    return data.removeprefix(_POINTER).decode() if data.startswith(_POINTER) else ""


class BundleError(FlowqError):
    """An archive that is not the bundle that was asked for."""


class _BoundedReader(gzip.GzipFile):
    """The tar file in an archive, of which no more is read than a bundle can have: a header may claim any size, and is read at once."""

    _left = MAX_BYTES + 8 * tarfile.BLOCKSIZE * MAX_FILES  # bytes; what is skipped does not count

    def read(self, size: int | None = -1) -> bytes:
        """Return the next bytes.

        Raises:
            BundleError: they are more than a bundle can have.
        """
        if size is None or not 0 <= size <= min(self._left, _ONE_READ):
            raise BundleError("it is larger than a bundle may be")
        self._left -= size
        return super().read(size)


def pack(root: str, files: Sequence[BundleFile]) -> bytes:
    """Return the archive of files of a directory.

    Raises:
        BundleError: a file has changed since it was listed.
    """
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=packed, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for file in sorted(files):
            entry = tarfile.TarInfo(file.path)
            if file.kind == "l":
                entry.type, entry.linkname = tarfile.SYMTYPE, file.content
                archive.addfile(entry)
                continue
            entry.size, entry.mode = file.size, 0o755 if file.kind == "x" else 0o644
            path = os.path.join(root, file.path)
            try:
                with open(path, "rb") as source:
                    archive.addfile(entry, source)
            except OSError as error:
                raise BundleError(f"{path} has changed while it was put into a bundle: {error.strerror or error}") from error
    return packed.getvalue()


def unpack(data: bytes, directory: str, wanted: str) -> None:
    """Make a directory of an archive: all of it, or nothing.

    Args:
        data: the archive.
        directory: the new directory, whose parent is there.
        wanted: the hash of the bundle.

    Raises:
        BundleError: the archive is damaged, or is another bundle.
    """
    os.mkdir(directory)
    try:
        with _BoundedReader(fileobj=io.BytesIO(data)) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            entries = list(_checked(archive))
            for entry in entries:
                archive.extract(entry, directory, filter="data")
        found = hash_of(describe(os.path.realpath(directory), [entry.name for entry in entries]))
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError, RecursionError, FlowqError) as error:
        shutil.rmtree(directory, ignore_errors=True)
        raise BundleError(f"the bundle {wanted[:12]} cannot be unpacked: {error}") from error
    if found != wanted:
        shutil.rmtree(directory, ignore_errors=True)
        raise BundleError(f"the bundle {wanted[:12]} has another content ({found[:12]}): it was altered or damaged")


def _checked(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    count = size = 0
    for entry in archive:
        count, size = count + 1, size + entry.size
        if count > MAX_FILES or size > MAX_BYTES:
            raise BundleError("it is larger than a bundle may be")
        if not (entry.isreg() or entry.issym()):
            raise BundleError(f"{entry.name} is neither a file nor a link")
        yield entry
