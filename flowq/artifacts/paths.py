"""The paths of files in manifests: relative, below one directory, in readable characters."""

from __future__ import annotations


def problem_of(path: str) -> str:
    """Return what is wrong with a path of a manifest, "" for nothing."""
    if not path or path.startswith("/") or path.endswith("/"):
        return "is not the relative path of a file"
    if any(part in {"", ".", ".."} for part in path.split("/")):
        return "leaves its directory"
    if "\0" in path:
        return "has a NUL character"
    try:
        path.encode()
    except UnicodeEncodeError:
        return "is not UTF-8"
    return ""


def readable(path: str) -> str:
    """Return a path in one line of legal characters: names of files may have any bytes."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in path)
