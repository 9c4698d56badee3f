"""The store of an address."""

from urllib.parse import unquote

from flowq.artifacts.blobs import BlobError, BlobStore

VARIABLE = "FLOWQ_STORE"
"""The variable that has the address."""

WAYS = f"set {VARIABLE} to a directory that all workers see (file:///shared/flowq) or to an object store (s3://bucket/flowq)"
"""The way out where something is too large for the server."""


def open_blobs(url: str) -> BlobStore:
    """Return the store at an address. `file://` needs nothing; others need fsspec.

    Raises:
        BlobError: the address is wrong, or what it takes is not installed.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or not scheme:
        raise BlobError(f"{VARIABLE} is not an address: {WAYS}")
    if scheme == "file":
        if not rest.startswith("/"):
            raise BlobError(f"{VARIABLE}: a directory is written with three slashes, as in file:///shared/flowq")
        from flowq.artifacts.file_store import FileStore

        return FileStore(unquote(rest))
    from flowq.artifacts.remote import RemoteStore

    return RemoteStore(url)
