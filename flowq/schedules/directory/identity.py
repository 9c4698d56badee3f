"""The identity of a directory: which repository it belongs to, the same on every machine that has a checkout of it.

Two directories `flows` of two repositories on one server would share their schedules; the identity tells them apart.
"""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flowq.exceptions import UsageError
from flowq.schedules.directory.names import catalog_name

if TYPE_CHECKING:
    from flowq.store import Store

_REMOTE: Final = re.compile(r'^\s*\[remote "(?P<name>[^"]*)"\]\s*$')
_URL: Final = re.compile(r"^\s*url\s*=\s*(?P<url>\S+)")
_ADDRESS: Final = re.compile(r"(?:\w[\w+.-]*://)?(?:[^@/]*@)?(?P<host>[^:/]+)(?::\d+(?=/))?[:/]+(?P<path>.+?)(?:\.git)?/*")


def claim_name(store: "Store", root: str, given: str | None) -> str:
    """Return the name of the catalog of a directory, which no other repository has on this server.

    Args:
        store: where its schedules are.
        root: the directory.
        given: a name that the user chose: it is taken over if another directory has it.

    Raises:
        UsageError: another repository's directory has the name, or it cannot be a name.
    """
    name, identity = catalog_name(root, given), identity_of(root)
    holder = store.schedules.claim_catalog(name, identity, take_over=given is not None)
    if holder != identity:
        raise UsageError(
            f"the name {name} belongs to {holder} on this server, and this is {identity}: their schedules would be mixed;"
            f" `--name NAME` gives this directory another name, `--name {name}` takes that one over"
        )
    return name


def identity_of(directory: str) -> str:
    """Return the identity of a directory: the address of its repository without user and password, and its path in there.

    Without a repository, or for one without a remote, it is the directory's path.
    """
    here = os.path.realpath(directory)
    root = _repository(here)
    address = "" if root is None else _address(root)
    if root is None or not address:
        return here
    inside = os.path.relpath(here, root)
    return address if inside == "." else f"{address}/{inside}"


def _repository(directory: str) -> str | None:
    place = Path(directory)
    return next((str(here) for here in (place, *place.parents) if (here / ".git").exists()), None)


def _address(root: str) -> str:
    """Return host and path of the remote, `origin` if there is one; "" if there is none or it cannot be read."""
    remotes: dict[str, str] = {}
    name = None
    try:
        lines = (_git_directory(Path(root)) / "config").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        if line.lstrip().startswith("["):
            match = _REMOTE.match(line)
            name = None if match is None else match["name"]
        elif name is not None and (match := _URL.match(line)):
            remotes.setdefault(name, match["url"])
    url = remotes.get("origin") or next(iter(remotes.values()), "")
    match = _ADDRESS.fullmatch(url)
    return "" if match is None or url.startswith((".", "/", "file:")) else f"{match['host'].lower()}/{match['path']}"


def _git_directory(root: Path) -> Path:
    """Return the directory with the repository's settings: that of the main checkout where this is a further one."""
    place = root / ".git"
    if place.is_file():  # a further work tree, or a submodule
        place = root / place.read_text(encoding="utf-8", errors="replace").removeprefix("gitdir:").strip()
        common = place / "commondir"
        if common.is_file():
            place /= common.read_text(encoding="utf-8", errors="replace").strip()
    return place
