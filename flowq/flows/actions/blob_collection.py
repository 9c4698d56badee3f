"""Contents in the file store that no record names any more."""

import time
from typing import TYPE_CHECKING, Final

from flowq.artifacts.opening import open_blobs

if TYPE_CHECKING:
    from flowq.store import Store

_AGE: Final = 86_400.0  # s; younger ones may be those of a job that is about to report its end


def find_unused(store: "Store") -> list[str]:
    """Return the digests of contents that are a day old and that neither artifacts nor bundles name; none without a file store.

    Raises:
        BlobError: the file store cannot be used.
    """
    old = _old(store)
    return sorted(old - store.artifacts.named(store.now_ms())) if old else []


def remove_unused(store: "Store", digests: list[str]) -> list[str]:
    """Remove contents that are still unused and a day old; return which."""
    still = sorted(set(find_unused(store)) & set(digests))
    if still:
        blobs = open_blobs(store.artifacts.file_store())
        for digest in still:
            blobs.remove(digest)
    return still


def _old(store: "Store") -> set[str]:
    url = store.artifacts.file_store()
    if not url:
        return set()
    before = time.time() - _AGE
    return {digest for digest, written in open_blobs(url).entries() if written < before}
