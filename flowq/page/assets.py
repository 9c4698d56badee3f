"""The files of the page as a server sends them: hashed addresses that never change their content, and the document that names them."""

import gzip
import hashlib
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import Final

_STATIC: Final = Path(__file__).parent / "static"
_SHELL: Final = "shell.html"
_STYLE: Final = "style.css"  # all style sheets as one: a request less for each costs a slow device less
_MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""The types of what is sent; licences and notes beside the files are not."""

_IMPORT: Final = re.compile(r"""^(?:import|export)\b[^;]*?\bfrom\s*"(\.[^"]+)";|\bfrom"(\.[^"]+)\"""", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of the page.

    `path` is its address below `/assets/`: a hash over all files, then the name. Files import each other by relative names, so
    one hash for all of them is what lets every one be cached without end.
    """

    path: str
    content: bytes
    media_type: str


@cache
def assets() -> Mapping[str, Asset]:
    """Return every file by its path below `/assets/`. They are read once per process."""
    files = _files()
    release = release_hash()
    return {
        f"{release}/{name}": Asset(
            path=f"{release}/{name}",
            content=content,
            media_type=_MEDIA_TYPES[Path(name).suffix],
        )
        for name, content in files.items()
    }


@cache
def compressed(path: str) -> bytes:
    """Return the content of a file by its path below `/assets/`, compressed by gzip. Once per process."""
    return gzip.compress(assets()[path].content, mtime=0)


@cache
def release_hash() -> str:
    """Return the hash over all files: another one when any of them changes."""
    digest = hashlib.sha256()
    for name, content in _files().items():
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:12]


@cache
def shell(prefix: str = "", views: tuple[str, ...] = ()) -> bytes:
    """Return the document, the same for every route of the page but for what it preloads.

    Args:
        prefix: the path below which the server is reached, without a slash at its end: `""` or `"/flowq"`.
        views: the modules of the route, which are loaded at once, by their paths below `static/`.
    """
    first = dict.fromkeys(name for module in ("js/main.js", *views) for name in modules(module))
    base = f"{prefix}/assets/{release_hash()}"
    values = {
        "PREFIX": escape(prefix),
        "ASSETS": escape(base),
        "STYLE": escape(f"{base}/{_STYLE}"),
        "MODULES": "\n".join(f'<link rel="modulepreload" href="{escape(base)}/{name}">' for name in first),
    }
    text = (_STATIC / _SHELL).read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace(f"%{key}%", value)
    return text.encode()


def modules(first: str) -> tuple[str, ...]:
    """Return a module and all that it imports, by their paths below `static/`; not what it loads later."""
    found: dict[str, None] = {}
    waiting = [first]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = None
            text = _files()[name].decode()
            waiting += [posixpath.normpath(posixpath.join(posixpath.dirname(name), to)) for to in _imports(text)]
    return tuple(sorted(found))


def _imports(text: str) -> list[str]:
    return [match[1] or match[2] for match in _IMPORT.finditer(text)]


@cache
def _files() -> Mapping[str, bytes]:
    """Return the content of each file that is sent, by its path below `static/`, in the order of the paths."""
    found = sorted(path for path in _STATIC.rglob("*") if path.suffix in _MEDIA_TYPES)
    files = {path.relative_to(_STATIC).as_posix(): path.read_bytes() for path in found if path.suffix != ".css"}
    return files | {_STYLE: b"".join(path.read_bytes() for path in found if path.suffix == ".css")}
