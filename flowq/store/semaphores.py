"""Read access to semaphores. `lua/lib/semaphores.lua` takes and releases them."""

import hashlib
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from flowq.store.client.session import Session

_PLAIN: Final = re.compile(r"[\w.:/@+=, -]{1,200}")


def group_semaphore(kind: str, group: str) -> str:
    """Return the semaphore of a concurrency group: its name as written, or a digest if a key must not contain the name.

    Args:
        kind: "job" or "run": the two never share a group.
        group: the group's name.
    """
    if _PLAIN.fullmatch(group):
        return f"{kind}/{group}"
    return f"{kind}/sha256:{hashlib.sha256(group.encode('utf-8', 'surrogatepass')).hexdigest()}"


class Semaphores:
    """The store's view of semaphores."""

    def __init__(self, session: "Session") -> None:
        self._session = session

    def holders(self, name: str) -> list[str]:
        """Return the ids of the jobs (of a group of runs: the runs) that hold a semaphore now, or have a place in a queue for it."""
        now = self._session.now_ms()
        with self._session.translated:
            found = self._session.client.zrange(self._session.keys("holders", name), 0, -1, withscores=True)
        kept = float("-inf") if name.startswith("run/") else now  # for runs the score is the time at which they took it
        # "<id>|<token>" keeps the place of a deleted job until its process is gone.
        return [item.decode().partition("|")[0] for item, until in found if until >= kept]

    def limited(self) -> list[str]:
        """Return the keys of the rate limits that have jobs, sorted."""
        with self._session.translated:
            found = self._session.client.smembers(self._session.keys("limited"))
        return sorted(item.decode().partition("/")[2] for item in found)

    def waiters(self, name: str) -> list[str]:
        """Return the ids of the waiters of a semaphore, in their order."""
        with self._session.translated:
            return [item.decode() for item in self._session.client.zrange(self._session.keys("waiters", name), 0, -1)]
