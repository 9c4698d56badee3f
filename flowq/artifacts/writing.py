"""Files that are fetched: each is complete under its name, or is not there."""

from __future__ import annotations

import os
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO


class WriteError(Exception):
    """A file that cannot be made; the message says why."""


def place_for(root: str, path: str) -> str:
    """Return where a file of a manifest goes below a directory without links; the directories on the way are made.

    Raises:
        WriteError: a link on the way leads out of the directory, or something is there that is no directory.
    """
    full = os.path.join(root, path)
    parent = os.path.dirname(full)
    try:
        os.makedirs(parent, exist_ok=True)
    except OSError as error:
        raise WriteError(f"the directory {parent} cannot be made: {error.strerror}") from error
    if not (os.path.realpath(parent) + "/").startswith(root.rstrip("/") + "/"):
        raise WriteError(f"{parent} leads out of {root}")
    return full


@contextmanager
def new_file(path: str, *, executable: bool) -> Iterator[BinaryIO]:
    """Open a file to be written, which gets its name at the end of the block if nothing goes wrong in it.

    Raises:
        WriteError: it cannot be made.
    """
    # A name of its own: that of the file may be as long as names can be, and processes of other machines or containers have the same numbers.
    new = os.path.join(os.path.dirname(path), f".{os.urandom(8).hex()}.part")
    try:
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o777 if executable else 0o666)
        try:
            with open(fd, "wb") as target:
                yield target
            os.replace(new, path)
        except BaseException:
            os.unlink(new)
            raise
    except OSError as error:
        raise WriteError(f"it cannot be written: {error.strerror or error}") from error
