"""Lock files: `flock`, which belongs to an open file and is released with its last descriptor, however its holder dies.

A forked child shares the descriptor and with it the lock. So no code here unlocks: a lock is released when the last process that
shares it closes it or dies.
"""

import fcntl
import os
import time

from flowq.embedded.patience import Patience
from flowq.exceptions import ConfigError, ServerUnavailableError

_PAUSE = 0.002  # s between attempts when a deadline forbids blocking
_ATTEMPTS = 10
_LONGEST = 300  # bytes of a holder's text


class LockFile:
    """An open lock file, not locked yet. Garbage collection closes it.

    Args:
        path: the file, created with mode 0600 if it does not exist.
        descriptor: an open (and possibly locked) descriptor of that file to take over instead of opening it.
    """

    __slots__ = ("_descriptor", "path")

    _close = staticmethod(os.close)  # at the end of the interpreter, `os` is gone before the last file is closed

    def __init__(self, path: str, descriptor: int | None = None) -> None:
        self._descriptor = -1
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600) if descriptor is None else descriptor

    def fileno(self) -> int:
        """Return the descriptor, to pass the lock to another process."""
        return self._descriptor

    def try_exclusive(self) -> bool:
        """Take the lock exclusively if it is free; return whether it was taken."""
        return self._flock(fcntl.LOCK_EX | fcntl.LOCK_NB)

    def try_shared(self) -> bool:
        """Take the lock shared if no process holds it exclusively; return whether it was taken."""
        return self._flock(fcntl.LOCK_SH | fcntl.LOCK_NB)

    def exclusive(self) -> None:
        """Take the lock exclusively; block while others hold it."""
        self._flock(fcntl.LOCK_EX)

    def shared(self, patience: Patience) -> None:
        """Take the lock shared.

        Args:
            patience: how long to wait.

        Raises:
            ServerUnavailableError: another process held the lock exclusively for all of that time.
        """
        while not self.try_shared():
            if patience.over():
                raise ServerUnavailableError(
                    f"the embedded server has been stopping for too long ({self.path} is locked): try again"
                )
            time.sleep(_PAUSE)

    def is_in_place(self) -> bool:
        """Return whether the path still names this file: its directory may have been removed, and made again."""
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def read(self) -> str:
        """Return the text that the holder wrote into the file."""
        return os.pread(self._descriptor, _LONGEST, 0).decode("ascii", "replace").strip()

    def write(self, text: str) -> None:
        """Replace the text of the file; only the holder of the lock may call this.

        The file keeps its length, and so its place on a disk that is full by now.
        """
        os.pwrite(self._descriptor, text.encode("ascii").ljust(_LONGEST), 0)

    def touch(self) -> None:
        """Set the file's modification time, which tells the watchdog when users attached and detached."""
        os.utime(self._descriptor)

    def close(self) -> None:
        """Close the file, which releases the lock unless a child shares it. Closing twice is allowed."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            self._close(descriptor)

    def __del__(self) -> None:
        self.close()

    def _flock(self, operation: int) -> bool:
        try:
            fcntl.flock(self._descriptor, operation)
        except BlockingIOError:
            return False
        except OSError as error:
            raise ConfigError(
                f"{self.path} cannot be locked ({error.strerror}), as on some network file systems:"
                " set FLOWQ_HOME to a directory on a local disk"
            ) from error
        return True


def is_held(path: str) -> bool:
    """Return whether a process holds this lock exclusively (keeper.lock, alive.lock). The file may not exist.

    It tries a shared lock, so that two processes that check at the same time do not mistake each other for the holder.
    """
    if not os.path.exists(path):
        return False
    lock = LockFile(path)
    try:
        return not lock.try_shared()
    finally:
        lock.close()


def take_unused(path: str) -> LockFile | None:
    """Return the lock, taken exclusively, if no process uses it (users.lock), else None.

    A process that makes the same check holds the lock for a moment, so a single failure proves nothing.
    """
    lock = LockFile(path)
    for _ in range(_ATTEMPTS):
        if lock.try_exclusive():
            return lock
        time.sleep(_PAUSE)
    lock.close()
    return None
