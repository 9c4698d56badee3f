"""What the parts of a scheduler have in common: they describe what they know to users, and an error of one schedule harms no other."""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from flowq.exceptions import FlowqError, ServerError
from flowq.schedules.directory.catalog import FlowChangedError
from flowq.schedules.slot_runs import log

if TYPE_CHECKING:
    from flowq.store.schedules import Schedules

NEVER: Final = 1 << 62
"""A time that does not come: a call or the next beat leads on."""

SOON: Final = 1000
"""ms before another try: a file is being written, or another scheduler is at work."""

_LONG: Final = 10.0  # s for which a file may be written before that is told


class Turns:
    """The turns of schedules, or of triggers.

    Args:
        schedules: where they are described.
    """

    def __init__(self, schedules: "Schedules") -> None:
        self._schedules = schedules
        self._described: Mapping[str, str] = {}
        self._troubles: dict[str, str] = {}
        self._changing: dict[str, float] = {}  # since when (monotonic) a flow has another text than the one that is known

    def describe(self, texts: Mapping[str, str]) -> None:
        """Keep what users are shown, by id, where it has changed."""
        changed = {name: text for name, text in texts.items() if self._described.get(name) != text}
        if changed:
            self._schedules.describe(changed)
        self._described = texts

    def take(self, name: str, turn: Callable[[], int], now: int) -> int:
        """Call a turn; return the time (ms) that it returns, at which to look again. An error is logged once, not at each try.

        Raises:
            ServerError: the server cannot be used.
        """
        try:
            again = turn()
        except ServerError:
            raise
        except FlowChangedError as error:  # the next look at the directory leads on, if there is one
            if time.monotonic() - self._changing.setdefault(name, time.monotonic()) >= _LONG:
                self._tell(name, str(error))
            return now + SOON
        except FlowqError as error:
            self._tell(name, str(error))
            return now + SOON
        self._troubles.pop(name, None)
        self._changing.pop(name, None)
        return again

    def _tell(self, name: str, trouble: str) -> None:
        if self._troubles.get(name) != trouble:
            log.error("%s: %s", name, trouble)
        self._troubles[name] = trouble
