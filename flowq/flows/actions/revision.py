"""The revision of the code that a run was started with: the commit of its flow's repository, and whether files differ from it."""

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_KNOWN_FOR: Final = 5.0  # s: a program that submits many runs does not ask git for each
_TIMEOUT: Final = 2.0  # s that git may take; a huge repository has no known revision rather than slow runs
_STATUS: Final = ("status", "--porcelain=v2", "--branch", "--untracked-files=no", "--ignore-submodules=all")
_OID: Final = "# branch.oid "

_known: dict[str, tuple[float, "Revision | None"]] = {}  # by file


@dataclass(frozen=True, slots=True)
class Revision:
    """A commit. `dirty`: a file that git knows differs from it, or git does not know the flow's file."""

    commit: str
    dirty: bool

    @property
    def fields(self) -> dict[str, str | int]:
        """The fields of a run's record."""
        return {"commit": self.commit, "dirty": int(self.dirty)}


def revision_of(file: str, directory: str) -> Revision | None:
    """Return the revision of a flow; None outside of a repository, without git, or before the first commit.

    Args:
        file: the flow file, absolute; "" for a flow that is no file.
        directory: where its run belongs: its repository counts then.
    """
    place = file or str(Path(directory) / ".")
    known = _known.get(place)
    if known is None or time.monotonic() - known[0] >= _KNOWN_FOR:
        known = _known[place] = time.monotonic(), _read(file, os.path.dirname(file) or directory)  # noqa: PTH120
    return known[1]


def _read(file: str, directory: str) -> Revision | None:
    here = Path(directory)
    if not any((folder / ".git").exists() for folder in (here, *here.parents)):
        return None
    told = _git(directory, *_STATUS)
    if told is None:
        return None
    commit = next((line.removeprefix(_OID) for line in told.splitlines() if line.startswith(_OID)), "")
    if not commit.isalnum():  # "(initial)"
        return None
    changed = any(not line.startswith("#") for line in told.splitlines())
    return Revision(commit, changed or (bool(file) and _git(directory, "ls-files", "--error-unmatch", "--", file) is None))


def _git(directory: str, *arguments: str) -> str | None:
    """Return what git prints; None if it cannot say. It takes no lock, and executes no program that the repository names."""
    command = ["git", "-c", "core.fsmonitor=false", "-C", directory, *arguments]
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            command,
            env={**own, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_TIMEOUT,
            text=True,
            errors="replace",
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
