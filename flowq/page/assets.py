"""The files of the page as a server sends them."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of the page; `path` is its address below `/assets/`, with a hash in it."""

    path: str
    content: bytes
    media_type: str
    etag: str


def assets() -> Mapping[str, Asset]:
    """Return every file by its path below `/assets/`."""
    return {}


def shell(prefix: str = "") -> bytes:
    """Return the document, the same for every route of the page."""
    return f"<!doctype html><html lang=en><title>flowq</title><p>The API is at {prefix}/api/v1.</p></html>".encode()
