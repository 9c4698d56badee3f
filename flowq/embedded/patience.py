"""How long something is waited for that is looked at again and again."""

import time
from typing import Final

_LONGEST_LOOK: Final = 3.0  # s that one look counts at most; a look at a silent server takes one


class Patience:
    """The seconds that are left of a wait; the time from one look to the next counts, but three seconds at most.

    A virtual machine that is moved or saved, or a process that is stopped, stands still for long while the clock goes on. What is waited for
    stood still as well, and has to be given its time.
    """

    __slots__ = ("_last", "left")

    def __init__(self, seconds: float) -> None:
        self.left = seconds
        self._last = time.monotonic()

    def over(self) -> bool:
        """Count the time since the last look; return whether it is enough."""
        now = time.monotonic()
        self.left -= min(now - self._last, _LONGEST_LOOK)
        self._last = now
        return self.left < 0
