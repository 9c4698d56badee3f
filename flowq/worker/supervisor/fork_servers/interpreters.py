"""Interpreters of `call` jobs: the worker's own, or the one that `python` of a flow names.

Fork servers and horses need only the standard library and the modules of this package, so flowq need not be installed there.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING

from flowq.bundles import FAILED
from flowq.exceptions import UsageError
from flowq.worker.fork_server.server import STARTED
from flowq.worker.ipc.platform import PACKAGE
from flowq.worker.supervisor.fork_servers.key import ForkServerKey

if TYPE_CHECKING:
    from typing import IO

_ROOT = os.path.dirname(PACKAGE)
_PREPARE = "import sys; sys.path.insert(0, sys.argv[1]); from flowq.bundles.prepare import main; main(sys.argv[2:])"
_OLDEST = (3, 11)
_SHORT = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})  # of processes, memory or descriptors
_MOST = 65536  # bytes of what a program has written
_TOO_OLD = 91  # the exit code of a fork server in an older interpreter

# The package is found wherever this one was found; afterwards the path is what the interpreter has by itself, without the current
# directory: `-P` does that too, but an older interpreter does not know it and could not say that it is older.
BOOT = (
    f"import sys; sys.version_info >= {_OLDEST} or sys.exit({_TOO_OLD});"
    " sys.path[:1] == [''] and sys.path.pop(0); sys.path.insert(0, sys.argv[2]);"
    " from flowq.worker.fork_server import server; sys.path.remove(sys.argv[2]); server.main()"
)
"""The program of a fork server; its arguments are a descriptor and the directory of this package."""


def find_interpreter(named: str, where: str) -> str:
    """Return the program that `python` names: an interpreter, or the directory of an environment that has one.

    Args:
        named: an absolute path, or one in the home directory of the worker's user (`~/…`).
        where: the job, for messages.

    Raises:
        UsageError: there is none on this machine.
    """
    path = os.path.expanduser(named)
    program = os.path.join(path, "bin", "python") if os.path.isdir(path) else path
    if not (os.path.isfile(program) and os.access(program, os.X_OK)):
        raise UsageError(f"{where}: `python` names {named}, and this machine has no interpreter there")
    return program


def describe_end(place: ForkServerKey, said: IO[bytes] | None, code: int | None) -> str:
    """Return why a fork server gave no horse, for one in an interpreter that a flow names, or with files that travelled.

    `said`: what an interpreter that a flow names has written to standard error before it was one.
    """
    if code == FAILED and place.bundle:
        from flowq.bundles.cache import BundleCache

        return BundleCache().take_failure(*place.bundle[:2])
    python = place.python
    if code == _TOO_OLD:
        oldest = ".".join(map(str, _OLDEST))
        return f"{python} is older than Python {oldest}, and jobs with `call` need {oldest} or newer"
    text = "" if said is None else _read(said)
    if said is not None and STARTED not in text:
        return f"{python}, which `python` names, is no Python, or one that does not start (exit code {code}){_first(text)}"
    return f"{python}, which `python` names, could not start flowq's process for jobs (exit code {code})"


def refuse_program(place: ForkServerKey, error: OSError) -> None:
    """Refuse what a flow names as its interpreter if the system cannot execute it; another error concerns this process.

    Raises:
        UsageError: it is no program.
    """
    if place.python and not place.bundle and error.errno not in _SHORT:
        raise UsageError(
            f"{place.python}, which `python` names, is no Python: it cannot be executed ({error.strerror})"
        ) from error


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(_MOST).decode(errors="replace")


def _first(text: str) -> str:
    """Return the line that tells most of what a program wrote, without those that quote what it was given."""
    lines = [line for line in text.splitlines() if line.strip() and "sys.version_info" not in line]
    fatal = [line for line in lines if line.startswith("Fatal Python error")]
    if lines[:1] == ["Traceback (most recent call last):"]:
        fatal = lines[-1:]
    return "".join(f": {line}" for line in (fatal or lines)[:1])


def program_of(place: ForkServerKey) -> list[str]:
    """Return the program of a fork server, without its arguments. For files that travelled it makes them ready first."""
    program = [place.python or sys.executable, "-c", BOOT]
    if not place.bundle:
        return program
    from flowq.bundles.cache import BundleCache

    return [sys.executable, "-P", "-c", _PREPARE, _ROOT, BundleCache().root, *place.bundle, *program]
