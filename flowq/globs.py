"""Glob patterns of a `cache`: the files that they match, in the same order on every machine.

Patterns are the shell's: `*`, `?`, `[…]`, `{a,b}`, and `**` for any number of directories. Wildcards do not match a leading dot, nor
`__pycache__`, which Python fills while a job runs. A directory that is named without wildcards, or followed by `**`, stands for all
files below it. `!pattern` excludes what it matches and everything below. Links to directories are followed if a pattern names them,
but not by `**`, which yields the link itself.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable, Iterator
    from typing import Final

MAX_FILES: Final = 100_000
_MAX_BYTES: Final = 1024 * 1024  # of a file with patterns
_MAX_BRACES: Final = 1_000
_MAGIC: Final = frozenset("*?[")


class GlobError(Exception):
    """Patterns that cannot be matched: too many files, or an unreadable directory; the message says which."""


class TooManyFilesError(GlobError):
    """More files than any use of patterns takes."""


def match(base: str, patterns: list[str], without: list[str]) -> tuple[list[str], list[str]]:
    """Return the files that patterns match, sorted, and the patterns that match none.

    Args:
        base: the directory that relative patterns start from, absolute.
        patterns: the patterns; one with `!` in front excludes files.
        without: more patterns to exclude.

    Raises:
        GlobError: more than `MAX_FILES` files, or a directory cannot be read.
    """
    left_out = [*(pattern[1:] for pattern in patterns if pattern.startswith("!")), *without]
    excluded = [_regex(item) for pattern in left_out for item in _braces(pattern)]
    files: set[str] = set()
    unmatched = []
    for pattern in patterns:
        if pattern.startswith("!"):
            continue
        found = False
        try:
            for path in (path for item in _braces(pattern) for path in _Walk(base, excluded).of(item)):
                found = True
                files.add(path)
                if len(files) > MAX_FILES:
                    raise TooManyFilesError(f"more than {MAX_FILES:,} files match")
        except RecursionError:
            raise GlobError(f"{pattern[:60]!r} leads into too many directories, one below the other") from None
        if not found:
            unmatched.append(pattern)
    return sorted(files), unmatched


def read_patterns(path: str) -> list[str]:
    """Return the patterns in a file, one a line, without comments.

    Raises:
        GlobError: it cannot be read, or is too large; one that is not there has none.
    """
    try:
        # Non-blocking: opening a named pipe would otherwise wait for a writer without an end.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            text = file.read(_MAX_BYTES + 1).decode()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise GlobError(f"{os.path.basename(path)} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(text) > _MAX_BYTES:
        raise GlobError(f"{os.path.basename(path)} has more than {_MAX_BYTES:,} bytes")
    lines = [line.strip() for line in text.split("\n")]
    return [line for line in lines if line and not line.startswith("#")]


def exclusion(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Return a predicate of relative paths: whether a pattern matches the path, or a directory above it, and no `!pattern` does.

    Raises:
        GlobError: the braces of a pattern stand for too many patterns.
    """
    without: list[re.Pattern[str]] = []
    kept: list[re.Pattern[str]] = []
    for pattern in patterns:
        target = kept if pattern.startswith("!") else without
        target += [_regex(item) for item in _braces(pattern.removeprefix("!"))]

    def excluded(path: str) -> bool:
        return any(item.fullmatch(path) for item in without) and not any(item.fullmatch(path) for item in kept)

    return excluded


class _Walk:
    """The walk of one pattern. Paths keep the form of the pattern: relative to `base` unless it is absolute."""

    def __init__(self, base: str, excluded: list[re.Pattern[str]]) -> None:
        self._base = base
        self._excluded = excluded
        self._seen: set[tuple[str, int]] = set()  # `a/**/b/**` reaches a directory on several paths

    def of(self, pattern: str) -> Iterator[str]:
        return self._follow("/" if pattern.startswith("/") else "", _segments(pattern))

    def _follow(self, path: str, segments: list[str]) -> Iterator[str]:
        if (path, len(segments)) in self._seen:
            return
        self._seen.add((path, len(segments)))
        if not segments:
            yield from self._whole(path)
            return
        head, rest = segments[0], segments[1:]
        if head == "**":
            yield from self._follow(path, rest)
            for entry, name in self._entries(path):
                if entry.is_dir(follow_symlinks=False):
                    yield from self._follow(name, segments)
        elif _MAGIC.isdisjoint(head):
            name = _join(path, head)
            if os.path.lexists(self._full(name)) and not self._left_out(name):
                yield from self._follow(name, rest)
        else:
            fits = _segment(head)
            for entry, name in self._entries(path, dots=head.startswith(".")):
                if not fits.fullmatch(entry.name):
                    continue
                if rest and _is_directory(entry):
                    yield from self._follow(name, rest)
                elif not rest and not entry.is_dir(follow_symlinks=False):
                    yield name

    def _whole(self, path: str) -> Iterator[str]:
        """Yield a file, or all files below a directory."""
        if not os.path.isdir(self._full(path)):
            yield path
            return
        for entry, name in self._entries(path):
            if entry.is_dir(follow_symlinks=False):
                yield from self._whole(name)
            else:
                yield name

    def _entries(self, path: str, *, dots: bool = False) -> list[tuple[os.DirEntry[str], str]]:
        try:
            with os.scandir(self._full(path)) as entries:
                found = [(entry, _join(path, entry.name)) for entry in entries if _visible(entry.name, dots=dots)]
        except (NotADirectoryError, ValueError):  # an interpolated value contains a NUL character: no such path
            return []
        except OSError as error:
            raise GlobError(f"the directory {path or '.'} cannot be read: {error.strerror}") from error
        return [(entry, name) for entry, name in found if not self._left_out(name)]

    def _full(self, path: str) -> str:
        return os.path.join(self._base, path)

    def _left_out(self, path: str) -> bool:
        return any(pattern.fullmatch(path) for pattern in self._excluded)


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _visible(name: str, *, dots: bool) -> bool:
    return (dots or not name.startswith(".")) and name != "__pycache__"


def _join(path: str, name: str) -> str:
    return name if not path else f"{path}{name}" if path.endswith("/") else f"{path}/{name}"


def _braces(pattern: str) -> list[str]:
    """Expand the `{a,b}` of a pattern."""
    done: list[str] = []
    todo = [pattern]
    while todo:
        text = todo.pop()
        end = text.find("}")
        start = text.rfind("{", 0, max(end, 0))
        if end < 0 or start < 0:
            done.append(text)
            continue
        todo += [f"{text[:start]}{choice}{text[end + 1 :]}" for choice in text[start + 1 : end].split(",")]
        if len(todo) + len(done) > _MAX_BRACES:
            raise GlobError(f"{pattern[:60]!r} stands for more than {_MAX_BRACES:,} patterns")
    return done


def _segment(text: str) -> re.Pattern[str]:
    """Return the regular expression for one segment, without `/`, of a path."""
    import re

    return re.compile(_translated(text), re.DOTALL)


def _regex(pattern: str) -> re.Pattern[str]:
    """Return the regular expression for excluded paths: the pattern itself, and everything below it."""
    import re

    segments = _segments(pattern)
    parts = ["(?:[^/]+/)*" if part == "**" else _translated(part) + "/" for part in segments]
    if parts and segments[-1] != "**":
        parts[-1] = parts[-1][:-1]
    start = "/" if pattern.startswith("/") else ""
    return re.compile(f"{start}{''.join(parts)}(?:/.*)?", re.DOTALL)


def _segments(pattern: str) -> list[str]:
    """Split a pattern at `/`; a `**` at its end is dropped, because a directory already stands for all its files."""
    segments = [part for part in pattern.split("/") if part not in {"", "."}]
    while segments and segments[-1] == "**":
        segments.pop()
    return segments


def _translated(text: str) -> str:
    """Translate one segment to a regular expression."""
    import re

    out = []
    position = 0
    while position < len(text):
        char = text[position]
        end = text.find("]", position + 2 + (text[position + 1 : position + 2] == "!")) if char == "[" else -1
        if char == "*":
            out.append("[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif end > 0:
            body = text[position + 1 : end].replace("\\", r"\\").replace("[", r"\[").replace("^", r"\^")
            out.append(f"(?!/)[^{body[1:]}]" if body.startswith("!") else f"[{body}]")
            position = end
        else:
            out.append(re.escape(char))
        position += 1
    return "".join(out)
