"""The files that a job leaves: found by their patterns, listed with their digests, and kept."""

from __future__ import annotations

import os
import stat

from flowq.artifacts.limits import BESIDE_STORE, MAX_FILES, MAX_NAMES, ON_SERVER
from flowq.artifacts.paths import problem_of, readable
from flowq.globs import GlobError, TooManyFilesError, match
from flowq.worker.horse.artifacts.transfers import TransferError, move

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final

    from flowq.worker.ipc.messages import Task

_CHUNK: Final = 1024 * 1024


def collect(wanted: list[dict[str, Any]], base: str, task: Task, *, strict: bool) -> tuple[dict[str, Any], list[str]]:
    """Return the files of artifacts, and what is missing of them in words; what is too large for the server is in the file store then.

    Args:
        wanted: the artifacts, see `flowq.worker.ipc.messages`.
        base: directory of the job, without links.
        task: of the job.
        strict: whether a pattern must match something, unless it ends with `?`.

    Raises:
        TransferError: a file cannot be kept.
    """
    missing: list[str] = []
    found = [(item, list(_files(item, base, missing, strict=strict))) for item in wanted]
    paths = [path for _, files in found for path, _, _ in files]
    if len(paths) > MAX_FILES or sum(len(path.encode()) for path in paths) > MAX_NAMES:
        raise TransferError(f"{len(paths):,} files match, at most {MAX_FILES:,} are kept of a job: pack them into an archive")
    total = sum(state.st_size for _, files in found for _, _, state in files)
    store = task.get("store")
    here = total <= (ON_SERVER if store is None else BESIDE_STORE)
    if not here and store is None:
        raise TransferError(
            f"the files take {total / 1024**2:.1f} MiB, and at most {ON_SERVER // 1024**2} MiB of a job are kept on the server:"
            " set FLOWQ_STORE to a directory that all workers see (file:///shared/flowq) or to an object store (s3://bucket/flowq)"
        )
    contents: dict[str, bytes] = {}
    items, far = [], []
    for item, files in found:
        rows = []
        for path, real, state in files:
            digest, content = _read(f"{item['name']}: {readable(path)}", real, state, keep=here)
            rows.append([path, state.st_size, digest, bool(state.st_mode & 0o100)])
            if here:
                contents[digest] = content
            else:
                far.append([real, digest])
        items.append({"name": item["name"], "keep": item["keep"], "files": rows, "remote": not here})
    if far and store is not None:
        move(store, put=far)
    return {"items": items, "contents": contents}, missing


def _files(item: dict[str, Any], base: str, missing: list[str], *, strict: bool) -> Iterator[tuple[str, str, os.stat_result]]:
    """Yield path, place and state of each file of an artifact, sorted by path; add to `missing` what it lacks."""
    name, patterns = item["name"], item["path"]
    bare = [pattern if pattern.startswith("!") else pattern.removesuffix("?") for pattern in patterns]
    for pattern in bare:
        if os.path.isabs(pattern.removeprefix("!")) or ".." in pattern.split("/"):
            raise TransferError(f"{name}: {readable(pattern)} leaves the job's directory")
    try:
        paths, unmatched = match(base, bare, [])
    except GlobError as error:
        many = isinstance(error, TooManyFilesError)
        advice = f", at most {MAX_FILES:,} are kept of a job: pack them into an archive" if many else ""
        raise TransferError(f"{name}: {readable(str(error))}{advice}") from error
    lacking = [pattern for pattern in unmatched if pattern in patterns]
    if lacking:
        missing.append(f"{name}: no file matches {readable(', '.join(lacking[:3]))}")
        if strict:
            raise TransferError(f"{missing[-1]}; if there need not be any, end the pattern with a `?`")
    seen = set()
    for path in sorted(os.path.normpath(path) for path in paths):
        if path in seen:
            continue
        seen.add(path)
        shown = f"{name}: {readable(path)}"
        if problem := problem_of(path):
            raise TransferError(f"{shown} {problem}")
        real = os.path.realpath(os.path.join(base, path))
        if not real.startswith(base.rstrip("/") + "/"):
            raise TransferError(f"{shown} leads out of the job's directory: leave it out with !{readable(path)}")
        try:
            state = os.stat(real)
        except OSError as error:
            raise TransferError(f"{shown} cannot be read: {error.strerror}") from error
        if not stat.S_ISREG(state.st_mode):
            what = "a link to a directory" if stat.S_ISDIR(state.st_mode) else "no file"
            raise TransferError(f"{shown} is {what}: leave it out with !{readable(path)}")
        yield path, real, state


def _read(shown: str, real: str, before: os.stat_result, *, keep: bool) -> tuple[str, bytes]:
    """Return the SHA-256 of a file and, if asked for, its content.

    Raises:
        TransferError: it cannot be read, or has changed since it was found.
    """
    import hashlib

    digest, content, size = hashlib.sha256(), [], 0
    try:
        fd = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            while size <= before.st_size and (chunk := os.read(fd, _CHUNK)):
                digest.update(chunk)
                size += len(chunk)
                if keep:
                    content.append(chunk)
            after = os.fstat(fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise TransferError(f"{shown} cannot be read: {error.strerror}") from error
    if size != before.st_size or _marks(before) != _marks(after):
        raise TransferError(f"{shown} changed while it was read: end what writes it before the job ends")
    return digest.hexdigest(), b"".join(content)


def _marks(state: os.stat_result) -> tuple[int, ...]:
    return state.st_size, state.st_mtime_ns, state.st_ino, state.st_dev
