"""The packages of another interpreter, found without executing it: the files of its environment say where they are."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flowq.compiler.syntax.source import read_file

_KINDS: Final = ("site-packages", "dist-packages")
_NAME: Final = re.compile(r"python(\d{1,2})\.(\d{1,3})t?\Z")
_HARMLESS: Final = "SETUPTOOLS_USE_DISTUTILS"  # in the .pth file of setuptools, which adds no packages
_VERSION: Final = re.compile(r"(\d{1,2})\.(\d{1,3})")


@dataclass(frozen=True, slots=True)
class Installed:
    """What an interpreter has installed.

    Attributes:
        python: its path, as named.
        exists: whether it is on this machine.
        version: major and minor; empty if it cannot be told.
        folders: the folders of its packages.
        complete: whether all of its packages are in these.
    """

    python: str
    exists: bool = False
    version: tuple[int, ...] = ()
    folders: tuple[str, ...] = ()
    complete: bool = False


def read_installed(python: str) -> Installed:
    """Return the packages of an interpreter.

    Args:
        python: its path, absolute or `~/…`, or that of the directory of its environment.
    """
    try:
        path = Path(python).expanduser()
        program = path / "bin" / "python" if path.is_dir() else path
        if not program.is_file():
            return Installed(python)
        return _read(python, program)
    except (OSError, RuntimeError, ValueError):  # it may not be read; there is no such user; no path at all
        return Installed(python)


def _read(python: str, program: Path) -> Installed:
    settings = _settings(program.parent.parent / "pyvenv.cfg")  # not resolved: the program of an environment is a link
    if settings:
        version = _version(settings.get("version_info") or settings.get("version") or "")
    else:
        program = program.resolve()
        named = _NAME.search(program.name)
        version = tuple(map(int, named.groups())) if named else ()
    folders = _packages(program.parent.parent, version)
    linked, hooks = _links(folders)
    shared = settings.get("include-system-site-packages", "false").lower() == "true"
    complete = bool(settings and version and folders) and not hooks and not shared
    return Installed(python, True, version, tuple(map(str, (*folders, *linked))), complete)


def _settings(path: Path) -> Mapping[str, str]:
    """Return the settings of an environment; empty if there is none."""
    pairs = (line.partition("=") for line in _text(path).splitlines())
    return {key.strip().lower(): value.strip() for key, equals, value in pairs if equals}


def _version(text: str) -> tuple[int, ...]:
    found = _VERSION.match(text)
    return (int(found[1]), int(found[2])) if found else ()


def _packages(prefix: Path, version: tuple[int, ...]) -> list[Path]:
    """Return the folders in which an installation keeps packages."""
    name = "python" + ".".join(map(str, version)) if version else "python3*"
    found = (sorted(prefix.glob(f"{lib}/{name}/{kind}")) for lib in ("lib", "lib64") for kind in _KINDS)
    return list(dict.fromkeys(folder.resolve() for folders in found for folder in folders))


def _links(folders: list[Path]) -> tuple[list[Path], bool]:
    """Return the folders that `.pth` files add, and whether one of them has code, which may add anything."""
    linked: list[Path] = []
    hooks = False
    for folder, line in _lines(folders):
        if line.startswith(("import ", "import\t")):
            hooks = hooks or _HARMLESS not in line
        elif (folder / line).is_dir():
            linked.append((folder / line).resolve())
    return linked, hooks


def _lines(folders: list[Path]) -> Iterator[tuple[Path, str]]:
    for folder in folders:
        for path in sorted(folder.glob("*.pth")):
            lines = (line.strip() for line in _text(path).splitlines())
            yield from ((folder, line) for line in lines if line and not line.startswith("#"))


def _text(path: Path) -> str:
    data, problem = read_file(str(path))
    return "" if problem is not None else data.decode("utf-8", "replace")
