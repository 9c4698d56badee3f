"""Installing the finder that answers for RQ: once per process, and only where the real rq has not been imported."""

from __future__ import annotations

import logging
import os
import sys
from importlib.machinery import PathFinder

from flowq.compat.finder import Finder
from flowq.compat.modules import PACKAGE
from flowq.exceptions import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

VARIABLE: Final = "FLOWQ_COMPAT"
_RQ: Final = "rq"  # the only value of the variable


def install() -> None:
    """Let `import rq` give flowq in this process, and in the processes that it starts to execute jobs.

    Calls after the first one do nothing. Where rq is installed as well, a warning says once that it is not used.

    Raises:
        UsageError: the real rq has been imported here already.
    """
    if _installed():
        return
    place = _place_of_the_real_rq()
    _put_in()
    os.environ[VARIABLE] = _RQ  # fork servers of a SpawnWorker are fresh interpreters
    if place is not None:
        import warnings

        warnings.warn(
            f"rq is installed too ({place}) and is not used: `import rq` gives flowq in this process",
            RuntimeWarning,
            stacklevel=2,
        )


def install_quietly() -> None:
    """Install in a process that another one has started: that one has warned already.

    Raises:
        UsageError: the real rq has been imported here already.
    """
    if not _installed():
        _put_in()


def wanted(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether the environment asks for it.

    Raises:
        UsageError: it asks for something else.
    """
    value = environ.get(VARIABLE, "")
    if value not in {"", _RQ}:
        raise UsageError(f'{VARIABLE}={value}: expected "rq", the only package that flowq stands in for')
    return value == _RQ


def _installed() -> bool:
    return any(isinstance(finder, Finder) for finder in sys.meta_path)


def _put_in() -> None:
    real = sys.modules.get(PACKAGE)
    if real is not None:
        raise UsageError(
            f"rq has been imported already, from {getattr(real, '__file__', None)}: call flowq.compat.install() before anything"
            " imports rq, or uninstall rq"
        )
    # Before Python's own, which may find the real rq, and behind those of import hooks, which ask the others and tell who waits.
    place = sys.meta_path.index(PathFinder) if PathFinder in sys.meta_path else 0
    sys.meta_path.insert(place, Finder())
    # A program that configures or reads the logger of RQ's workers gets what flowq's workers log.
    logging.getLogger("flowq.worker").parent = logging.getLogger("rq.worker")


def _place_of_the_real_rq() -> str | None:
    """Return where rq is installed, None where it is not."""
    spec = PathFinder.find_spec(PACKAGE)
    return None if spec is None or spec.origin is None else os.path.dirname(spec.origin)  # noqa: PTH120 - pathlib is not imported in fork servers
