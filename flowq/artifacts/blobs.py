"""`BlobStore`: what every store of contents promises."""

import hashlib
from collections.abc import Iterator
from typing import BinaryIO, Final, Protocol

from flowq.exceptions import FlowqError

_CHUNK: Final = 1024 * 1024


class BlobError(FlowqError):
    """A store that cannot be used, or a content that is missing or is another one."""


class OtherContentError(BlobError):
    """What was read has another digest."""


class BlobStore(Protocol):
    """Contents by their SHA-256 in hexadecimal. Writing one that is there changes nothing but its age."""

    def has(self, digest: str) -> bool:
        """Return whether a content is there.

        Raises:
            BlobError: the store cannot be used; so with each of these methods.
        """

    def put(self, digest: str, source: BinaryIO) -> None:
        """Store a content.

        Raises:
            BlobError: what was read has another digest; nothing is stored.
        """

    def get(self, digest: str, target: BinaryIO) -> None:
        """Write a content to a file.

        Raises:
            BlobError: it is missing, or was altered.
        """

    def entries(self) -> Iterator[tuple[str, float]]:
        """Yield each content's digest, and when it was written last, in seconds since the epoch."""

    def remove(self, digest: str) -> None:
        """Remove a content, if it is there."""


def copy(source: BinaryIO, target: BinaryIO, digest: str, *, into: str, otherwise: str) -> None:
    """Copy a content.

    Raises:
        OtherContentError: it has another digest, and `otherwise` says what that means.
        BlobError: `into`, as messages call the target, cannot be written.
    """
    found = hashlib.sha256()
    while chunk := source.read(_CHUNK):
        found.update(chunk)
        try:
            target.write(chunk)
        except OSError as error:
            raise BlobError(f"{into} cannot be written: {error.strerror or error}") from error
    if found.hexdigest() != digest:
        raise OtherContentError(otherwise)
