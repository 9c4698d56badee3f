"""To take a lock where the handler of a signal may raise: a time limit, Ctrl+C, the end of a job in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable


def taker(lock: threading.Lock | threading.RLock) -> Iterable[bool]:
    """Return an iterable that takes the lock when it is unpacked, once; `release` has to be in a `finally` right after that.

    Python looks for signals after calls. Since 3.14 `with` calls the lock: what a handler raised between that and the block left the lock taken
    until the program ended. To unpack is no call:

        [_] = taker(lock)
        try:
            ...
        finally:
            lock.release()
    """
    return map(lock.acquire, (True,))
