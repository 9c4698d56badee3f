"""Scratch directories: each fork server has one for the files of its horses, and what killed fork servers have left is removed.

A fork server locks its directory (`flock`) for as long as it lives. A process id would not do: workers in different containers may
share a `/tmp`, and there the same ids are of other processes. The kernel drops a lock with its holder, however that dies. Where a
file system has no locks, leftovers stay.
"""

from __future__ import annotations

import fcntl
import os
import stat

_PREFIX = "flowq-scratch-"
_ATTEMPTS = 5  # another worker may take a directory that is not locked yet for a leftover


class ScratchDirectory:
    """The directory of this process. `lock` is a descriptor, -1 if there is none: a child of the fork server closes it. `path` never changes; it is there and locked after `ensure`, unless the system refuses."""

    __slots__ = ("lock", "path")

    def __init__(self) -> None:
        self.path = os.path.join(temporary(), _PREFIX + os.urandom(6).hex())
        self.lock = -1

    def ensure(self) -> None:
        """Make and lock the directory if needed. A horse without one reports why it cannot be made."""
        for _ in range(_ATTEMPTS):
            if self.lock >= 0 and _is_at(self.lock, self.path):
                return
            self.let_go()
            try:
                os.makedirs(self.path, mode=0o700, exist_ok=True)
                self.lock = _lock(self.path)
            except BlockingIOError:
                continue
            except OSError:
                return

    def let_go(self) -> None:
        """Give up the lock."""
        descriptor, self.lock = self.lock, -1
        if descriptor >= 0:
            os.close(descriptor)

    def remove(self) -> None:
        """Remove the directory."""
        remove_tree(self.path)
        self.let_go()


def remove_leftovers() -> None:
    """Remove the scratch directories of fork servers that were killed; their ends remove them otherwise.

    Only what such a server has certainly made: a directory that only this user may enter, with the name that they have, and that no
    process has locked.
    """
    try:
        with os.scandir(temporary()) as entries:
            found = [entry for entry in entries if entry.name.startswith(_PREFIX)]
    except OSError:
        return  # there is no such directory: nothing was left in it
    for entry in found:
        try:
            state = entry.stat(follow_symlinks=False)
            if not (stat.S_ISDIR(state.st_mode) and stat.S_IMODE(state.st_mode) == 0o700 and state.st_uid == os.getuid()):
                continue
            lock = _lock(entry.path)
        except OSError:
            continue  # its fork server lives, or another worker was faster
        try:
            if _is_at(lock, entry.path):
                remove_tree(entry.path)
        finally:
            os.close(lock)


def remove_tree(path: str) -> None:
    """Remove what is at a path, if there is something. Never follows links, never raises.

    A job may have made trees that are deeper than a stack, have paths that are too long, or take more descriptors than there are: so one
    directory is open at a time.
    """
    if _remove(path):
        return
    here = -1
    try:
        here = _enter(path)
        names = os.listdir(here)
        above: list[tuple[str, list[str]]] = []  # the directories between path and here, and what is left to remove beside each
        while names or above:
            if not names:
                here = _change(here, os.open("..", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=here))
                name, names = above.pop()
                _remove(name, here)
            elif not _remove(name := names.pop(), here):
                try:
                    here = _change(here, _enter(name, here))
                except OSError:
                    continue  # it stays
                above.append((name, names))
                names = os.listdir(here)
    except OSError:
        pass
    finally:
        if here >= 0:
            os.close(here)
    _remove(path)


def _remove(path: str, at: int | None = None) -> bool:
    """Remove a file, a link or an empty directory; return whether that has succeeded."""
    for remove in (os.unlink, os.rmdir):
        try:
            remove(path, dir_fd=at)
        except OSError:
            continue
        return True
    return False


def _enter(path: str, at: int | None = None) -> int:
    """Open a directory whose entries are to be removed, which takes the right to write to it."""
    os.chmod(path, 0o700, dir_fd=at)
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)


def _change(former: int, now: int) -> int:
    os.close(former)
    return now


def temporary() -> str:
    """Return the directory for temporary files; `tempfile` is too heavy to be imported here."""
    named = os.environ.get("TMPDIR")
    return named if named and os.path.isdir(named) else "/tmp"  # noqa: S108 - what is made there has a random name and mode 0700


def _lock(path: str) -> int:
    """Open and lock a directory and return its descriptor; raises OSError when another process has locked it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _is_at(descriptor: int, path: str) -> bool:
    """Return whether an open directory is the one at this path: it may have been removed before it was locked."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except OSError:
        return False
