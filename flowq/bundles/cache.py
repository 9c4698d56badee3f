"""The directory of a machine in which bundles are kept and unpacked.

    <cache>/archives/<hash>.tgz      as it came from the store
    <cache>/archives/<hash>.from     where it is in the file store: it is fetched by the process that unpacks it
    <cache>/runs/<run>-<hash>/       the files of one run: its jobs may write there, as they may in a directory of their own
    <cache>/runs/<run>-<hash>.lock   held (shared) by each fork server of the run, through which its jobs get the files

A directory whose lock no process holds is removed a while after it was used last, and so are archives, the oldest first, beyond a limit.
"""

import fcntl
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, Final

from flowq.artifacts.opening import open_blobs
from flowq.bundles.archive import BundleError, unpack
from flowq.exceptions import UsageError
from flowq.user_home import absent_home

VARIABLE: Final = "FLOWQ_CACHE"
"""The variable that names the directory; else it is `flowq` in the user's directory of caches."""

_UNUSED: Final = 600.0  # s after which the files of a run are removed that no fork server has
_ARCHIVES: Final = 2 * 1024**3  # bytes of archives that are kept
_SHOWN: Final = 16  # characters of a hash in the name of a directory


class BundleCache:
    """The bundles on this machine. `root`: the directory, which is made when it is needed."""

    def __init__(self, root: str | None = None) -> None:
        self.root = root or _default()

    def archive(self, name: str) -> str:
        """Return the path of a bundle's archive, existing or not."""
        return os.path.join(self.root, "archives", f"{name}.tgz")

    def directory(self, run: str, name: str) -> str:
        """Return the path of a run's files, existing or not."""
        return os.path.join(self.root, "runs", f"{run}-{name[:_SHOWN]}")

    def add(self, name: str, data: bytes) -> None:
        """Keep the archive of a bundle.

        Raises:
            OSError: the directory cannot be used.
        """
        self._write(self.archive(name), lambda file: file.write(data))
        self._drop_archives()

    def add_place(self, name: str, url: str, digest: str) -> None:
        """Note where the archive of a bundle is in a file store.

        Raises:
            OSError: the directory cannot be used.
        """
        self._write(self._place(name), lambda file: file.write(f"{digest} {url}".encode()))

    def _fetch(self, name: str) -> None:
        """Get an archive that is not here from the file store, if it is there.

        Raises:
            BlobError: the file store cannot be used.
        """
        if os.path.exists(self.archive(name)) or not os.path.exists(self._place(name)):
            return
        with open(self._place(name), encoding="utf-8") as file:
            digest, _, url = file.read().partition(" ")
        self._write(self.archive(name), lambda target: open_blobs(url).get(digest, target))
        self._drop_archives()

    def _place(self, name: str) -> str:
        return os.path.join(self.root, "archives", f"{name}.from")

    def _write(self, path: str, fill: Callable[[BinaryIO], object]) -> None:
        """Write a file that gets its name when it is complete; only this user can read it."""
        self._make("archives")
        new = f"{path}.{os.getpid()}.{time.monotonic_ns()}"
        try:
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
                fill(file)
            os.replace(new, path)
        except BaseException:
            _remove(new)
            raise

    def prepare(self, run: str, name: str) -> int:
        """Unpack a bundle for a run if it is not there yet.

        Returns:
            The descriptor of the lock that keeps the files; it closes with the process, and is inherited.

        Raises:
            BundleError: the archive is damaged.
            OSError: the directory cannot be used.
        """
        self._make("runs")
        directory = self.directory(run, name)
        self._drop_unused(directory)
        while True:
            lock = os.open(f"{directory}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_SH)  # waits for one that unpacks
            if _is_at(lock, f"{directory}.lock") and (os.path.isdir(directory) or self._unpacked(name, directory, lock)):
                os.utime(lock)
                os.set_inheritable(lock, True)
                return lock
            os.close(lock)

    def _unpacked(self, name: str, directory: str, lock: int) -> bool:
        """Unpack, if no other process is about to; return whether it was done."""
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if not os.path.isdir(directory):
            self._unpack(name, directory)
        fcntl.flock(lock, fcntl.LOCK_SH)
        return True

    def note_failure(self, run: str, name: str, why: str) -> None:
        """Note why the files of a run are not ready."""
        try:
            with open(f"{self.directory(run, name)}.failure", "w", encoding="utf-8") as file:
                file.write(why)
        except OSError:  # the reader says that there is no reason
            return

    def take_failure(self, run: str, name: str) -> str:
        """Return why the files of a run are not ready, and forget it."""
        path = f"{self.directory(run, name)}.failure"
        try:
            with open(path, encoding="utf-8") as file:
                why = file.read()
            os.unlink(path)
        except OSError:
            return f"the files of run {run} could not be made ready in {self.root}"
        return why

    def _unpack(self, name: str, directory: str) -> None:
        self._fetch(name)
        with open(self.archive(name), "rb") as file:
            data = file.read()
        new = f"{directory}.new"
        _remove_tree(new)
        try:
            unpack(data, new, name)
        except BundleError:
            os.remove(self.archive(name))  # the next try gets it from the store
            raise
        os.rename(new, directory)

    def _drop_unused(self, wanted: str) -> None:
        before = time.time() - _UNUSED
        for path in _entries(os.path.join(self.root, "runs")):
            if not path.endswith(".lock") or path == f"{wanted}.lock":
                continue
            with _alone(path, before) as alone:
                if alone:
                    directory = path.removesuffix(".lock")
                    _remove_tree(directory)
                    _remove_tree(f"{directory}.new")
                    os.unlink(path)

    def _drop_archives(self) -> None:
        found = []
        for path in _entries(os.path.join(self.root, "archives")):
            try:
                status = os.stat(path)
            except FileNotFoundError:
                continue
            found.append((status.st_mtime, status.st_size, path))
        kept = 0
        for _time, size, path in sorted(found, reverse=True):
            kept += size
            if kept > _ARCHIVES:
                _remove(path)

    def _make(self, folder: str) -> None:
        """Make a folder that only this user can enter: its content is executed."""
        if absent := absent_home(self.root):
            raise UsageError(
                f"the home directory of this user, {absent}, does not exist, and the files of runs would be below it: set {VARIABLE} to a directory"
            )
        path = os.path.join(self.root, folder)
        os.makedirs(os.path.dirname(self.root), exist_ok=True)
        for each in (self.root, path):  # one by one: `makedirs` gives a mode to the last directory only
            with suppress(FileExistsError):
                os.mkdir(each, 0o700)
            status = os.stat(each)
            if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o022:
                raise UsageError(
                    f"{each}: other users can write there, and jobs execute what is in it: `chmod go-w {each}` if all in it is yours, or set"
                    f" {VARIABLE} to another directory"
                )


def _default() -> str:
    if os.environ.get(VARIABLE):
        return os.path.abspath(os.environ[VARIABLE])
    return os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "flowq")


def _entries(directory: str) -> list[str]:
    try:
        return [os.path.join(directory, name) for name in sorted(os.listdir(directory))]
    except FileNotFoundError:
        return []


@contextmanager
def _alone(lock_file: str, before: float) -> Iterator[bool]:
    """Hold a lock that was used last before a time, if no process has it."""
    try:
        lock = os.open(lock_file, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        if os.fstat(lock).st_mtime > before:
            yield False
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield _is_at(lock, lock_file)
    finally:
        os.close(lock)


def _is_at(descriptor: int, path: str) -> bool:
    """Return whether a file is still the one at a path."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _remove_tree(path: str) -> None:
    """Remove a directory as far as possible: a job may have nested what is in it without end."""
    with suppress(RecursionError):
        shutil.rmtree(path, ignore_errors=True)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
