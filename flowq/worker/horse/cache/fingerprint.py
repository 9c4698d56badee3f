"""The inputs of a job, as digests: its code, its values and variables, its key, the content of its input files.

Parts have readable names, because users see them: "script changed", "variable LEVEL changed".
"""

from __future__ import annotations

import os
import stat
from _blake2 import blake2b  # not `hashlib`, which loads all of OpenSSL: 10 ms for each job

from flowq.globs import GlobError, match

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final, TypeAlias

    from flowq.worker.ipc.messages import Task

    Signature: TypeAlias = tuple[int, int, int]

SHORT: Final = 16  # hex digits of a digest that is kept to compare with
_CHUNK: Final = 1024 * 1024
_BYTES: Final = 32  # of a digest


class UnusableError(Exception):
    """There can be no fingerprint: a file cannot be read, no file matches, too many do. The message goes behind "not used:"."""


class Fingerprint:
    """The inputs of a job at one moment.

    Attributes:
        digest: of everything.
        parts: digest of each part that is no file, by its name in words.
        files: digest of each input file, by its path.
    """

    __slots__ = ("_signatures", "digest", "files", "parts")

    def __init__(self, task: Task, base: str) -> None:
        cache = task["cache"]
        paths = _matched(base, cache["inputs"], cache["outputs"]) if cache["inputs"] else []
        self._signatures: dict[str, Signature] = {}
        self.files = {path: _digest_of_file(os.path.join(base, path), path, self._signatures) for path in paths}
        self.parts = {name: digest(text) for name, text in _parts(task).items()}
        if task["kind"] == "call":
            source = _source_of(task["module"])
            if source is not None:
                self.parts[f"code of {task['module']}"] = _digest_of_file(source, source, self._signatures)
        lines = [f"{name}\0{value}" for group in (self.parts, self.files) for name, value in sorted(group.items())]
        self.digest = digest("\n".join([*lines, str(len(self.parts))]))

    def changed_since(self, task: Task, base: str) -> str:
        """Return the first input that has changed since this was made, "" when none has."""
        cache = task["cache"]
        now = _matched(base, cache["inputs"], cache["outputs"]) if cache["inputs"] else []
        for path in now:
            if path not in self.files:
                return path
        for path, signature in self._signatures.items():
            if _signature(os.path.join(base, path)) != signature:
                return path
        there = set(now)
        return next((path for path in self.files if path not in there), "")


def digest(text: str) -> str:
    """Return the digest of a text."""
    return str(_hash(text.encode("utf-8", "surrogatepass")).hexdigest())


def contents(base: str, patterns: list[str]) -> dict[str, str]:
    """Return the files that a job has made, each with the digest of its content.

    Raises:
        UnusableError: a pattern matches no file, or one cannot be read.
    """
    return {path: _digest_of_file(os.path.join(base, path), path, {})[:SHORT] for path in _matched(base, patterns, [])}


def content(base: str, path: str) -> str:
    """Return the digest of one such file, "" when it is not there or cannot be read."""
    try:
        return _digest_of_file(os.path.join(base, path), path, {})[:SHORT]
    except UnusableError:
        return ""


def _matched(base: str, patterns: list[str], without: list[str]) -> list[str]:
    try:
        files, unmatched = match(base, patterns, [pattern for pattern in without if not pattern.startswith("!")])
    except GlobError as error:
        raise UnusableError(str(error)) from error
    if unmatched:
        raise UnusableError(f"no file matches {', '.join(unmatched[:3])}")
    return files


def _parts(task: Task) -> dict[str, str]:
    """Return everything but the files, as text, by its name in words."""
    cache = task["cache"]
    parts = {"patterns": "\0".join([*cache["inputs"], "", *cache["outputs"]])}
    if cache["key"] is not None:
        parts["key"] = cache["key"]
    parts |= {f"variable {name}": value for name, value in (task.get("env") or {}).items()}
    parts |= {f"secret {name}": "" for name in task.get("secrets") or ()}  # its name, which may change every day
    match task["kind"]:
        case "shell":
            parts["script"] = task["script"]
            parts["shell"] = "\0".join(task["shell"])
            parts |= {f"value {name}": value for name, value in task["variables"].items()}
        case "argv":
            parts["command"] = "\0".join(task["argv"])
        case _:
            parts["callable"] = f"{task['module']}:{task['attribute']}"
            parts |= {f"argument {number}": _json(value) for number, value in enumerate(task["args"], start=1)}
            parts |= {f"argument {name}": _json(value) for name, value in task["kwargs"].items()}
    return parts


def _json(value: object) -> str:
    import json

    return json.dumps(value, sort_keys=True)


def _source_of(module: str) -> str | None:
    """Return the file that a module would be imported from, found without importing anything; None when it is not a file."""
    from importlib.machinery import PathFinder

    path = None
    spec = None
    for end in range(1, module.count(".") + 2):
        spec = PathFinder.find_spec(".".join(module.split(".")[:end]), path)
        if spec is None:
            return None
        path = spec.submodule_search_locations
    return spec.origin if spec is not None and spec.has_location else None


def _digest_of_file(full: str, path: str, signatures: dict[str, Signature]) -> str:
    """Return the digest of a file's kind and content, and remember what tells that it was not touched."""
    try:
        link = os.lstat(full)
        try:
            state = os.stat(full)
        except FileNotFoundError:
            state = link  # a link to nothing
        signatures[path] = _signature(full)
        if stat.S_ISLNK(link.st_mode) and not stat.S_ISREG(state.st_mode):
            return digest(f"link to {os.readlink(full)}")
        if not stat.S_ISREG(state.st_mode):
            return digest(f"no file but {stat.S_IFMT(state.st_mode)}")  # a pipe is not waited for, a device not read
        found = _hash(b"x" if state.st_mode & 0o100 else b"-")
        buffer = bytearray(_CHUNK)
        with open(full, "rb", buffering=0) as file:
            while size := file.readinto(buffer):
                found.update(memoryview(buffer)[:size])
        return str(found.hexdigest())
    except OSError as error:
        raise UnusableError(f"{path} cannot be read: {error.strerror}") from error


def _hash(data: bytes) -> Any:
    return blake2b(data, digest_size=_BYTES)


def _signature(full: str) -> Signature:
    try:
        state = os.stat(full)
    except OSError:
        return (0, 0, 0)
    return (state.st_mtime_ns, state.st_size, state.st_ino)
