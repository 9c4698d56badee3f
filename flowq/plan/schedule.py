"""Schedules as the file declares them: frozen data. When their slots are is in `flowq.slots`, what becomes of them in `flowq.schedules`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from flowq.plan.records import Json
from flowq.slots.series import Series

_WEEK: Final = 7 * 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CatchUp:
    """What happens to slots that were missed: `none` or the `latest` is made up, or `all` of a window (ms), at most the latest `max`."""

    mode: str = "latest"
    max: int = 100
    window: int = _WEEK


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry of `schedule`. Times in ms; `params` are templated values; `overlap` is skip, queue, cancel_running or allow.

    `keep` is how many of its ended runs are kept; None: all, for the retention of the flow.
    """

    name: str
    cron: tuple[str, ...] = ()
    every: int | None = None
    at: tuple[str, ...] = ()
    timezone: str = "UTC"
    params: Mapping[str, Json] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    catch_up: CatchUp = field(default_factory=CatchUp)
    overlap: str = "skip"
    jitter: int = 0
    start: str | None = None
    end: str | None = None
    paused: bool = False
    keep: int | None = None
    line: int = 0

    @property
    def series(self) -> Series:
        """Its slots."""
        return Series(cron=self.cron, every=self.every, at=self.at, timezone=self.timezone, start=self.start, end=self.end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled:
    """The slot of a run: when (ms), of which entry, and in which zone its date is."""

    at: int
    entry: str
    timezone: str = "UTC"
