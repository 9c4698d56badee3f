"""Versions of the server with holes that let a client take it over, or tamper with the answers to others.

Of 29 November 2026, from the records of cve.org and the release notes of Redis and Valkey. Only holes that reach what flowq uses: scripts,
functions and TLS. A distribution may have mended an older version under its number.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_NEVER: Final = ()  # no version of the line was mended


@dataclass(frozen=True, slots=True)
class ServerHole:
    """A hole.

    Attributes:
        name: its number.
        since: the date on which it became known.
        effect: who can do what.
        mended: for each line of versions, such as (7, 2), the first one without it. Later lines never had it.
    """

    name: str
    since: str
    effect: str
    mended: Mapping[tuple[int, int], tuple[int, ...]]


REDIS: Final = (
    ServerHole(
        "CVE-2025-49844",
        "2025-10-03",
        "a client that may call scripts can take over the server",
        {(7, 0): _NEVER, (7, 2): (7, 2, 11), (7, 4): (7, 4, 6), (8, 0): (8, 0, 4), (8, 2): (8, 2, 2)},
    ),
    ServerHole(
        "CVE-2026-81934",
        "2026-08-27",
        "without a password, over TLS, one can take over the server",
        {
            (7, 0): _NEVER,
            (7, 2): (7, 2, 16),
            (7, 4): (7, 4, 11),
            (8, 0): _NEVER,
            (8, 2): (8, 2, 9),
            (8, 4): (8, 4, 6),
            (8, 6): (8, 6, 6),
            (8, 8): (8, 8, 2),
            (8, 10): (8, 10, 1),
        },
    ),
)
VALKEY: Final = (
    ServerHole(
        "CVE-2025-49844",
        "2025-10-03",
        "a client that may call scripts can take over the server",
        {(7, 2): (7, 2, 11), (8, 0): (8, 0, 6), (8, 1): (8, 1, 4)},
    ),
    ServerHole(
        "CVE-2025-67733",
        "2026-02-23",
        "a client that may call scripts can change the answers to others on a shared connection",
        {(7, 2): (7, 2, 12), (8, 0): (8, 0, 7), (8, 1): (8, 1, 6), (9, 0): (9, 0, 2)},
    ),
    ServerHole(
        "CVE-2026-56684",
        "2026-07-21",
        "over TLS, a client that may call CLIENT KILL can take over the server",
        {(8, 1): (8, 1, 9), (9, 0): (9, 0, 5), (9, 1): (9, 1, 1)},
    ),
)


def holes_of(server: Mapping[str, Any]) -> list[ServerHole]:
    """Return the holes of a server. `server` is its INFO; a version that cannot be read has none."""
    is_valkey = "valkey_version" in server
    text = str(server.get("valkey_version" if is_valkey else "redis_version", ""))
    version = tuple(int(part) for part in text.split(".")[:3] if part.isdecimal())
    if len(version) < 3:
        return []
    return [hole for hole in (VALKEY if is_valkey else REDIS) if _has(version, hole)]


def _has(version: tuple[int, ...], hole: ServerHole) -> bool:
    mended = hole.mended.get((version[0], version[1]))
    return mended is not None and (mended == _NEVER or version < mended)


def remedy(holes: list[ServerHole], server: Mapping[str, Any]) -> str:
    """Return what to do about the holes of a server."""
    newest = max(mended for hole in holes for mended in hole.mended.values())
    name = "Valkey" if "valkey_version" in server else "Redis"
    return (
        f"upgrade it, to {name} {'.'.join(map(str, newest))} for example; if it comes from a distribution, look whether the changelog of its"
        " package names what it has mended under this version"
    )
