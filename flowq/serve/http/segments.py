"""Names in paths: the name of a flow, schedule, queue or worker as one segment.

Proxies decode, merge or refuse `%2F`, so a slash is written as a colon, and a colon as two. There is no way back: a segment is looked up
among the names that there are. Its twin for browsers is `segment` in `flowq/page/static`.
"""

from collections.abc import Iterable
from urllib.parse import quote


def segment(name: str) -> str:
    """Return a name as one segment of a path, before it is percent-encoded."""
    return name.replace(":", "::").replace("/", ":")


def quoted(name: str) -> str:
    """Return a name as one segment of an address."""
    return quote(segment(name), safe=":")


def named(given: str, names: Iterable[str]) -> str | None:
    """Return the name that a segment of a path stands for, None if it is none of these."""
    return next((name for name in names if segment(name) == given), None)
