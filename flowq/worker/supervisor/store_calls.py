"""The calls of the store that a worker makes beside its link, waiting for the answer."""

import math
import time
from collections.abc import Callable
from typing import Final

from flowq.exceptions import CorruptRecordError, DataLostError, ServerError

_PAUSE: Final = 0.5  # s before a call is made again that was refused


class StoreCalls:
    """Calls that each turn of the loop makes. One that is refused waits for a while; the others, and the link, do not wait for it.

    Args:
        refused: told each refusal.
    """

    def __init__(self, refused: Callable[[ServerError | CorruptRecordError], None]) -> None:
        self._refused = refused
        self._waiting: dict[Callable[[], None], float] = {}  # by call that was refused: the monotonic time of the next one

    @property
    def due(self) -> float:
        """The monotonic time at which one that was refused is to be made again, infinity for none. Each turn of the loop asks."""
        return min(self._waiting.values()) if self._waiting else math.inf

    def waits(self, call: Callable[[], None]) -> bool:
        """Return whether a call was refused, and waits."""
        return call in self._waiting

    def make(self, call: Callable[[], None]) -> None:
        """Make a call, unless it waits.

        Raises:
            DataLostError: the data of the server is gone.
        """
        if self._waiting:
            if time.monotonic() < self._waiting.get(call, 0.0):
                return
            self._waiting.pop(call, None)
        try:
            call()
        except DataLostError:
            raise
        except (ServerError, CorruptRecordError) as error:
            self._waiting[call] = time.monotonic() + _PAUSE
            self._refused(error)
