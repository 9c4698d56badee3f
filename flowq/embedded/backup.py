"""A copy of the embedded server's data, made while it is used.

The append-only file is a file that is only ever appended to, behind a base that never changes. Only a rewrite replaces them, so there is none meanwhile. A
copy may end in the middle of the last change, as after a crash; the server that loads it leaves that out.
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from flowq.config import describe, load_settings, redact
from flowq.embedded import resp
from flowq.embedded.attach import attach
from flowq.embedded.directory import Home, locate
from flowq.exceptions import ServerError, UsageError

_FOLDER: Final = "appendonlydir"
_MANIFEST: Final = "appendonly.aof.manifest"
_GROWTH: Final = "auto-aof-rewrite-percentage"
_USUAL: Final = "100"  # %: the server's own default
_TIMEOUT: Final = 10.0  # s for an answer
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
        if os.listdir(root):
            raise UsageError(f"{root} is not empty: a backup is a directory of its own")
        os.chmod(root, 0o700)
        with (
            attach(source) as attachment,
            _no_rewrite(attachment.home),
            _whole(Home(root)) as copy,
        ):
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


@contextmanager
def _whole(target: Home) -> Iterator[Home]:
    """Leave no part of a backup that did not succeed."""
    try:
        yield target
    except BaseException:
        shutil.rmtree(target.data, ignore_errors=True)
        with suppress(OSError):
            os.unlink(target.written_by)
        raise


@contextmanager
def _no_rewrite(home: Home) -> Iterator[None]:
    _ask(home, "CONFIG", "SET", _GROWTH, "0")
    try:
        deadline = time.monotonic() + _REWRITE
        while _is_rewriting(home):
            if time.monotonic() > deadline:
                raise ServerError(f"the embedded server in {home.root} rewrites its data for longer than {_REWRITE:g} s")
            time.sleep(0.05)
        yield
    finally:
        _ask(home, "CONFIG", "SET", _GROWTH, _USUAL)


def _is_rewriting(home: Home) -> bool:
    facts = resp.info(home.socket)
    return not facts or any(facts.get(f"aof_rewrite_{name}") != "0" for name in ("in_progress", "scheduled"))


def _ask(home: Home, *words: str) -> None:
    try:
        answer = resp.request(home.socket, *words, timeout=_TIMEOUT)
    except OSError as error:
        raise ServerError(f"the embedded server in {home.root} does not answer: {error}") from error
    if answer.startswith(b"-"):
        raise ServerError(f"the embedded server in {home.root} refuses: {answer[1:].decode('utf-8', 'replace')}")


def _copy(source: Home, target: Home) -> int:
    """Copy the files that the manifest names; history, which the server is about to remove, is left out of both."""
    begin, end = f"{source.data}/{_FOLDER}", f"{target.data}/{_FOLDER}"
    os.makedirs(end, mode=0o700)
    with open(f"{begin}/{_MANIFEST}", encoding="utf-8") as stream:
        lines = [line for line in stream if not line.rstrip().endswith("type h")]
    for line in lines:
        name = line.split()[1]
        shutil.copyfile(f"{begin}/{name}", f"{end}/{name}")
    with open(f"{end}/{_MANIFEST}", "w", encoding="utf-8") as stream:
        stream.writelines(lines)
    if os.path.exists(source.written_by):
        shutil.copyfile(source.written_by, target.written_by)
    copied = [f"{end}/{name}" for name in os.listdir(end)]
    for path in copied:
        os.chmod(path, 0o600)
        _settle(path)
    return sum(map(os.path.getsize, copied))


def _settle(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
