"""Groups of plain jobs as the store sees them. How they are kept: `lua/lib/groups.lua`."""

import math
import time
from typing import TYPE_CHECKING, Any

from flowq.store.schema.outcomes import Outcome
from flowq.store.schema.records import GroupRecord

if TYPE_CHECKING:
    from flowq.store.client.session import Session


class Groups:
    """The store's view of groups."""

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._keys = session.keys

    def names(self) -> list[str]:
        """Return the names of the groups that have jobs, sorted."""
        now = self._session.now_ms()
        with self._session.translated:
            return sorted(item.decode() for item in self._session.client.zrangebyscore(self._keys("groups"), f"({now}", "+inf"))

    def get(self, name: str) -> GroupRecord | None:
        """Return a group's counts, None when it has no jobs (any more)."""
        with self._session.translated:
            row = self._session.client.hgetall(self._keys("group", name))
        if not row:
            return None
        counts = {key[5:].decode(): int(value) for key, value in row.items() if key.startswith(b"jobs:")}
        coming = int(row.get(b"coming", 0)) if int(row.get(b"coming_until", 0)) > self._session.now_ms() else 0
        return GroupRecord(name=name, counts=counts, open=int(row.get(b"open", 0)), coming=coming)

    def members(self, name: str) -> list[str]:
        """Return the ids of the jobs of a group whose records exist."""
        now = self._session.now_ms()
        with self._session.translated:
            found = self._session.client.zrangebyscore(self._keys("members", name), f"({now}", "+inf")
        return [item.decode() for item in found]

    def wait(self, name: str, timeout: float | None) -> bool:
        """Wait up to `timeout` seconds (None: without a limit) for the end of all jobs of a group; return whether it came.

        A group without jobs (any more) has nothing to wait for.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while self._session.run("group/await", name)[0] == b"waiting":
            left = math.inf if deadline is None else deadline - time.monotonic()
            if left <= 0:
                return False
            self._session.wait_for([self._keys("gathered", name)], left)
        return True

    def leave(self, name: str, job: str) -> Outcome:
        """Remove a job from a group; the job itself does not change."""
        return Outcome(self._session.run("group/leave", job, name)[0].decode())

    def leave_in(self, pipeline: Any, name: str, job: str) -> None:
        """Put `leave` into a pipeline of the user's."""
        self._session.put_into(pipeline, "group/leave", [[job, name]])
