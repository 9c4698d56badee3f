"""The files of a bundle, and its hash."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from flowq.exceptions import UsageError
from flowq.globs import GlobError, exclusion, read_patterns

MAX_FILES: Final = 8_192
"""Files and links in a bundle."""

MAX_BYTES: Final = 256 * 1024 * 1024
"""Size of all files of a bundle."""

IGNORE_FILE: Final = ".flowqignore"
"""The file in the directory with patterns of what is left out, one a line."""

_NEVER: Final = frozenset({".git", ".hg", ".svn", "__pycache__", "node_modules"})
_UNLESS_INCLUDED: Final = frozenset({".env", ".venv", "venv"})  # secrets, and what belongs to one machine
_ENVIRONMENT: Final = "pyvenv.cfg"
_READ: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, order=True)
class BundleFile:
    """One file, or one link.

    Attributes:
        path: relative to the directory, with `/`.
        kind: `-` a file, `x` an executable file, `l` a link.
        content: SHA-256 of the file in hexadecimal; of a link where it points to, relative to its own directory.
        size: in bytes; 0 for a link.
    """

    path: str
    kind: str
    content: str
    size: int


@dataclass(frozen=True, slots=True)
class Rules:
    """What of a directory belongs to a bundle.

    Attributes:
        include: patterns as in `cache`; only what they match belongs. None given: everything.
        exclude: patterns of what does not, after `.flowqignore`.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


def list_files(root: str, rules: Rules) -> tuple[BundleFile, ...]:
    """Return the files of a directory that belong to a bundle, sorted by path.

    Version control, `__pycache__`, `node_modules` and environments of Python never belong; `.env` files only when a pattern names them.

    Raises:
        UsageError: too many or too large files, a link that leaves the directory, or something that cannot be read.
    """
    root = os.path.realpath(root)
    return describe(root, _paths(root, _predicate(root, rules)))


def describe(root: str, paths: Iterable[str]) -> tuple[BundleFile, ...]:
    """Return these files of a directory, sorted by path. `root`: without links.

    Raises:
        UsageError: as of `list_files`.
    """
    files: list[BundleFile] = []
    size = 0
    try:
        for path in paths:
            files.append(_file(root, path))
            size += files[-1].size
            if len(files) > MAX_FILES or size > MAX_BYTES:
                raise UsageError(
                    f"{root} is too large for a bundle, which has at most {MAX_FILES:,} files and {MAX_BYTES // 1024**2} MiB:"
                    f" exclude data with `bundle.exclude` or {IGNORE_FILE}"
                )
    except OSError as error:
        raise UsageError(f"{error.filename or root} cannot be put into a bundle: {error.strerror or error}") from error
    return tuple(sorted(files))


def hash_of(files: Sequence[BundleFile]) -> str:
    """Return the name of a bundle: the SHA-256, in hexadecimal, of the paths, kinds and contents of its files."""
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(b"\0".join(os.fsencode(text) for text in (file.path, file.kind, file.content)) + b"\n")
    return digest.hexdigest()


def _predicate(root: str, rules: Rules) -> Callable[[str], bool]:
    """Return whether a path belongs, by the patterns of the user."""
    ignore = os.path.join(root, IGNORE_FILE)
    try:
        left_out = exclusion([*read_patterns(ignore), *rules.exclude])
        named = exclusion(rules.include) if rules.include else None
    except GlobError as error:
        raise UsageError(f"patterns of the bundle of {root}: {error}") from error

    def belongs(path: str) -> bool:
        if left_out(path):
            return False
        if named is None:
            return _UNLESS_INCLUDED.isdisjoint(path.split("/")) and not path.rpartition("/")[2].startswith(".env.")
        return named(path)

    return belongs


def _paths(root: str, belongs: Callable[[str], bool]) -> Iterator[str]:
    """Yield the paths of files and links; directories that are links count as links."""
    todo = [""]
    while todo:
        here = todo.pop()
        with os.scandir(os.path.join(root, here)) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        if any(entry.name == _ENVIRONMENT for entry in found):
            continue
        for entry in found:
            path = f"{here}/{entry.name}" if here else entry.name
            if entry.name in _NEVER:
                continue
            if entry.is_dir(follow_symlinks=False):
                todo.append(path)
            elif belongs(path):
                yield path


def _file(root: str, path: str) -> BundleFile:
    full = os.path.join(root, path)
    mode = os.lstat(full).st_mode
    if stat.S_ISLNK(mode):
        return BundleFile(path, "l", _link(root, path), 0)
    if not stat.S_ISREG(mode):
        raise UsageError(f"{full} is no file (a pipe, socket or device): exclude it from the bundle")
    digest, size = hashlib.sha256(), 0
    with open(full, "rb") as file:
        while data := file.read(_READ):
            digest.update(data)
            size += len(data)
    return BundleFile(path, "x" if mode & stat.S_IXUSR else "-", digest.hexdigest(), size)


def _link(root: str, path: str) -> str:
    full = os.path.join(root, path)
    target = os.path.realpath(full)
    if os.path.commonpath([root, target]) != root:
        raise UsageError(f"{full} is a link to {target}, outside the directory of the bundle: exclude it, or set `bundle.root`")
    return os.path.relpath(target, os.path.dirname(full))
