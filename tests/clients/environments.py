"""The environments and sources of the packages that are tried, below `.clients`; `python -m tests.clients.environments quick` makes them.

    .clients/flowq      an environment without rq, in which flowq stands in for it
    .clients/rq         the same with rq, for `all` only
    .clients/sources    the packages with their tests
    .clients/path       flowq itself, by a link: nothing else of this repository is importable there

`quick` without a package index is no error: `missing` has the reason for which the tests are skipped.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tests.clients.packages import ALL, QUICK, RQ, Package
from tests.repository.makefile import ROOT

FOLDER: Final = ROOT / ".clients"
_HERE: Final = Path(__file__).parent
_MISSING: Final = FOLDER / "missing"
_SOURCES: Final = "CLIENTS_SOURCES"  # a directory with checkouts, for machines that do not reach the repositories


class UnavailableError(Exception):
    """Something cannot be downloaded."""


def python(kind: str) -> Path:
    """Return the interpreter of the environment with "rq" or "flowq"."""
    return FOLDER / kind / "bin" / "python"


def source(package: Package) -> Path:
    """Return the folder of a package and its tests; it does not exist if they could not be downloaded."""
    return FOLDER / "sources" / package.name


def missing() -> str:
    """Return why there is no environment, "" if there is one."""
    if _MISSING.exists():
        return _MISSING.read_text(encoding="utf-8")
    return "" if python("flowq").exists() else "`make test` makes it"


def make(packages: Iterable[Package], kinds: Iterable[str], requirements: str) -> None:
    """Make environments and download the packages.

    Raises:
        UnavailableError: an environment or an archive cannot be had.
    """
    path = FOLDER / "path"
    path.mkdir(exist_ok=True)
    if not (path / "flowq").is_symlink():
        (path / "flowq").symlink_to(ROOT / "flowq")
    for kind in kinds:
        _environment(kind, requirements)
    _archives([package for package in packages if not package.repository])
    for package in packages:
        if package.repository:
            _checkout(package)
        overlay = _HERE / "overlays" / package.overlay
        if overlay.exists() and source(package).exists():
            shutil.copytree(overlay, source(package), dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))


def _environment(kind: str, requirements: str) -> None:
    if not python(kind).exists():
        _call([sys.executable, "-m", "venv", "--without-pip", str(FOLDER / kind)])
    wanted = ["--requirement", str(_HERE / requirements), *([f"rq=={RQ}"] if kind == "rq" else [])]
    _pip(kind, ["install", "--no-deps", "--no-compile", *wanted])


def _archives(packages: list[Package]) -> None:
    """Download and unpack the source archives, which have the tests: what is installed often has not."""
    folder = FOLDER / "archives"
    shutil.rmtree(folder, ignore_errors=True)
    # Without isolation the metadata is built with what is installed, in place of an environment for each archive.
    options = ["--no-deps", "--no-build-isolation", "--no-binary", ",".join(package.name for package in packages)]
    _pip(
        "flowq", ["download", *options, "--dest", str(folder), *(f"{package.name}=={package.version}" for package in packages)]
    )
    for package in packages:
        name = f"{package.name}-{package.version}".replace("-", "_")
        archive = next(path for path in folder.iterdir() if re.sub(r"[-_]", "_", path.name).startswith(name))
        unpacked = FOLDER / "unpacked"
        shutil.rmtree(unpacked, ignore_errors=True)
        shutil.rmtree(source(package), ignore_errors=True)
        shutil.unpack_archive(archive, unpacked)
        shutil.move(next(unpacked.iterdir()), source(package))


def _checkout(package: Package) -> None:
    """Take a package's repository from `CLIENTS_SOURCES`, or clone it; without either there is no source."""
    there = Path(os.environ.get(_SOURCES, "")) / package.name
    folder = source(package)
    if os.environ.get(_SOURCES) and there.is_dir():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(there, folder, ignore=shutil.ignore_patterns(".git", "__pycache__"))
    if folder.exists():
        return
    try:
        _call(["git", "clone", "--quiet", "--no-checkout", package.repository, str(folder)])
        _call(["git", "-C", str(folder), "checkout", "--quiet", package.revision])
    except UnavailableError as error:
        shutil.rmtree(folder, ignore_errors=True)
        sys.stderr.write(f"{package.name} is left out: {error}; {_SOURCES}=DIR names a directory with a checkout of it\n")


def _pip(kind: str, arguments: list[str]) -> None:
    _call([sys.executable, "-m", "pip", "--python", str(python(kind)), "--disable-pip-version-check", "--quiet", *arguments])


def _call(command: list[str]) -> None:
    """Run a command.

    Raises:
        UnavailableError: it failed; with the last line that it wrote.
    """
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    result = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if result.returncode:
        lines = [line for line in result.stderr.splitlines() if "WARNING" not in line] or ["it failed"]
        raise UnavailableError(f"{Path(command[0]).name} {' '.join(command[1:3])}: {lines[-1]}")


def main() -> int:
    """Make what `make test` ("quick") or `make clients` ("all") needs; return the exit code."""
    quick = sys.argv[1:] == ["quick"]
    packages = QUICK if quick else ALL
    FOLDER.mkdir(exist_ok=True)
    _MISSING.unlink(missing_ok=True)
    try:
        make(packages, ["flowq"] if quick else ["flowq", "rq"], "quick.txt" if quick else "all.txt")
    except UnavailableError as error:
        _MISSING.write_text(str(error), encoding="utf-8")
        sys.stderr.write(f"packages built on RQ are not tried: {error}\n")
        return 0 if quick else 1
    if all(source(package).exists() for package in packages):  # else the next call tries again
        (FOLDER / f".stamp-{'quick' if quick else 'all'}").touch()
    return 0


if __name__ == "__main__":
    sys.exit(main())
