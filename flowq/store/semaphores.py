"""Names of semaphores. What they are and how they are taken and given back: `lua/lib/semaphore.lua`."""

import hashlib
import re
from typing import Final

_PLAIN: Final = re.compile(r"[\w.:/@+=, -]{1,200}")


def group_semaphore(kind: str, group: str) -> str:
    """Return the semaphore of a concurrency group: its name as people wrote it, or a digest where a key must not hold that.

    Args:
        kind: "job" or "run": the two never share a group.
        group: the group's name.
    """
    if _PLAIN.fullmatch(group):
        return f"{kind}/{group}"
    return f"{kind}/sha256:{hashlib.sha256(group.encode('utf-8', 'surrogatepass')).hexdigest()}"
