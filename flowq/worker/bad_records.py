"""The log of records that could not be processed: the store sets each aside once, and tells it to one worker."""

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_log = logging.getLogger("flowq.worker")


def report(set_aside: "Iterable[tuple[str, str]]") -> None:
    """Log `("<kind>|<id>", why)` of a `SweepReply`."""
    for name, why in set_aside:
        _log.warning("a record was set aside (%s): %s; `flowq doctor` lists it", name.replace("|", " ", 1), why)
