"""Attempts with a wrong secret: after ten within a minute from one address, that address has to wait.

The same secret again is no further guess: it is a program whose token has expired, and must not keep others at its address out.
"""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

MOST: Final = 10
PERIOD: Final = 60.0  # s
_ADDRESSES: Final = 10_000  # that are kept


class Attempts:
    """Failed attempts by address.

    Args:
        clock: returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: OrderedDict[str, deque[tuple[float, str]]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, address: str) -> float:
        """Return the seconds after which an address may try again; 0: now."""
        with self._lock:
            times = self._failed.get(address)
            now = self._clock()
            while times and now - times[0][0] >= PERIOD:
                times.popleft()
            return 0.0 if times is None or len(times) < MOST else PERIOD - (now - times[0][0])

    def fail(self, address: str, secret: str = "") -> None:
        """Note a failed attempt; `secret`: the digest of what was tried, where that can be the same again."""
        with self._lock:
            times = self._failed.setdefault(address, deque(maxlen=MOST))
            if not (secret and any(secret == tried for _, tried in times)):
                times.append((self._clock(), secret))
            self._failed.move_to_end(address)
            while len(self._failed) > _ADDRESSES:
                self._failed.popitem(last=False)
