"""A copy of the embedded server's data, made while it is used.

The append-only file is a file that is only ever appended to, behind a base that never changes. A rewrite removes them, but not from those who have them
open. So nothing on the server is changed for a backup: one that is killed leaves nothing behind there, and several do not disturb each other. A copy may end
in the middle of the last change, as after a crash; the server that loads it leaves that out.
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import IO, Final

from flowq.config import describe, load_settings, redact
from flowq.embedded import resp
from flowq.embedded.attach import attach
from flowq.embedded.directory import Home, locate
from flowq.embedded.locks import LockFile
from flowq.exceptions import ConfigError, ServerError, UsageError

_FOLDER: Final = "appendonlydir"
_MANIFEST: Final = "appendonly.aof.manifest"
_PARTIAL: Final = "incomplete"  # in place of `data`, until all is there
_LOCK: Final = "backup.lock"  # held meanwhile
_ATTEMPTS: Final = 20  # to open the files of a manifest; between two, a rewrite has ended
_PIECE: Final = 1024 * 1024  # bytes
_REWRITE: Final = 600.0  # s that a rewrite which is under way may take


def back_up(target: str) -> int:
    """Copy the data to a new state directory, and return how many bytes it has. Processes may use the server meanwhile.

    Args:
        target: the directory, which must not exist or be empty. With it as `FLOWQ_HOME`, the copy is served.

    Raises:
        UsageError: the target cannot be written, or has something in it; the data are on another server, or there are none.
        ConfigError, ServerNotFoundError, ServerError: as in `attach`; the server does not answer.
    """
    source = _source()
    root = os.path.abspath(os.path.expanduser(target))
    try:
        os.makedirs(root, mode=0o700, exist_ok=True)
        _check_empty(root)
        os.chmod(root, 0o700)
        with _alone_in(root), attach(source) as attachment, _whole(Home(root)) as copy:
            _await_rewrite(attachment.home)
            return _copy(attachment.home, copy)
    except OSError as error:
        raise UsageError(f"cannot back up to {root}: {error.strerror or error}") from error


def _source() -> str:
    """Return the state directory, after checking that it is what the user works with, and has something."""
    settings = load_settings()
    if settings.url is not None:
        raise UsageError(
            f"runs are kept on the server at {redact(settings.url.value)} here ({describe(settings.url, 'url')}), not on the embedded one:"
            " back it up as its manual says"
        )
    place = locate(settings.home.value if settings.home else None)
    if not os.path.isdir(place.data):
        raise UsageError(f"there is nothing to back up: the embedded server has no data in {place.root}")
    return place.root


def _check_empty(root: str) -> None:
    if not {_PARTIAL, _LOCK}.issuperset(os.listdir(root)):
        raise UsageError(f"{root} is not empty: a backup is a directory of its own")


@contextmanager
def _alone_in(root: str) -> Iterator[None]:
    """Keep other backups out of the directory, and remove what one has left that was killed."""
    lock = LockFile(f"{root}/{_LOCK}")
    try:
        if not (_locked(lock) and lock.is_in_place()):
            raise UsageError(f"another backup to {root} is under way: name another directory")
        try:
            _check_empty(root)  # by now: another one may have ended
            shutil.rmtree(f"{root}/{_PARTIAL}", ignore_errors=True)
            yield
        finally:
            os.unlink(lock.path)
    finally:
        lock.close()


def _locked(lock: LockFile) -> bool:
    try:
        return lock.try_exclusive()
    except ConfigError:
        return True  # a network file system without locks is no bad place for a backup


@contextmanager
def _whole(target: Home) -> Iterator[Home]:
    """Leave no part of a backup that did not succeed."""
    try:
        yield target
    except BaseException:
        shutil.rmtree(f"{target.root}/{_PARTIAL}", ignore_errors=True)
        with suppress(OSError):
            os.unlink(target.written_by)
        raise


def _await_rewrite(home: Home) -> None:
    """Wait for the end of a rewrite: it may be the one that removes half of a change, which a power cut has left in the file."""
    deadline = time.monotonic() + _REWRITE
    while _is_rewriting(home):
        if time.monotonic() > deadline:
            raise ServerError(f"the embedded server in {home.root} rewrites its data for longer than {_REWRITE:g} s")
        time.sleep(0.05)


def _is_rewriting(home: Home) -> bool:
    facts = resp.info(home.socket)
    return not facts or any(facts.get(f"aof_rewrite_{name}") != "0" for name in ("in_progress", "scheduled"))


def _copy(source: Home, target: Home) -> int:
    """Copy the files that the manifest names; history, which the server is about to remove, is left out of both."""
    partial = f"{target.root}/{_PARTIAL}"
    end = f"{partial}/{_FOLDER}"
    os.makedirs(end, mode=0o700)
    with ExitStack() as stack:
        lines, files = _opened(f"{source.data}/{_FOLDER}", stack)
        for name, file in files.items():
            with open(f"{end}/{name}", "wb") as copy:
                shutil.copyfileobj(file, copy, _PIECE)
    with open(f"{end}/{_MANIFEST}", "w", encoding="utf-8") as stream:
        stream.writelines(lines)
    if os.path.exists(source.written_by):
        shutil.copyfile(source.written_by, target.written_by)
    copied = [f"{end}/{name}" for name in os.listdir(end)]
    for path in copied:
        os.chmod(path, 0o600)
        _settle(path)
    size = sum(map(os.path.getsize, copied))
    os.rename(partial, target.data)
    return size


def _opened(folder: str, stack: ExitStack) -> tuple[list[str], dict[str, IO[bytes]]]:
    """Return the lines of the manifest, and the files that it names, all open: a rewrite may remove them from now on."""
    for attempt in range(_ATTEMPTS):
        with open(f"{folder}/{_MANIFEST}", encoding="utf-8") as stream:
            lines = [line for line in stream if not line.rstrip().endswith("type h")]
        with ExitStack() as opened:
            try:
                names = [line.split()[1] for line in lines]
                files: dict[str, IO[bytes]] = {name: opened.enter_context(open(f"{folder}/{name}", "rb")) for name in names}
            except FileNotFoundError:  # removed since the manifest was read
                if attempt == _ATTEMPTS - 1:
                    raise
                continue
            stack.push(opened.pop_all())
            return lines, files
    raise AssertionError("the last attempt returns or raises")


def _settle(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
