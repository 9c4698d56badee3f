"""The digest of the text of a flow file, by which a run knows that a file has changed since it was submitted."""

import hashlib

_BOM = b"\xef\xbb\xbf"


def digest(text: bytes) -> str:
    """Return the digest of a file's content, without a byte order mark: 32 hexadecimal digits."""
    return hashlib.sha256(text.removeprefix(_BOM)).hexdigest()[:32]
