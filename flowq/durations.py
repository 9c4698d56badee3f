"""Durations as users write them: `90`, `"90s"`, `"5m"`, `"1h30m"`, `"2d"`, and `-1` or `"never"` where that makes sense.

Used for flow files and for the options of the queue (`"1h"`, `"3m"`, `"5s"` there). Light: horses and producers import it.
"""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Final

from flowq.exceptions import TimeoutFormatError, UsageError

NEVER: Final = -1.0
"""The value of `parse_duration` for `-1` and `never`: no limit."""

MAX_DURATION: Final = 100 * 365 * 86400.0  # s; more is a typing error, and dates would overflow

_UNITS: Final = {"w": 604_800.0, "d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)(ms|[wdhms])")
_NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,9})?")
_FORMS: Final = "seconds as a number, or text such as 90s, 5m, 1h30m or 2d"


def parse_duration(value: object, *, never: bool = False) -> float:
    """Return a duration in seconds.

    Args:
        value: a number of seconds, or text: a number, or numbers with the units `w d h m s ms`, largest unit first.
        never: whether `-1` and `"never"` are accepted; they give `NEVER`.

    Raises:
        TimeoutFormatError: not a duration, negative, or longer than 100 years.

    Example:
        >>> parse_duration("1h30m")
        5400.0
    """
    seconds = _seconds(value)
    if seconds is None:
        raise TimeoutFormatError(f"expected a duration ({_FORMS}), found {_shown(value)}")
    if seconds == NEVER:
        if never:
            return NEVER
        raise TimeoutFormatError(f"expected a duration ({_FORMS}), found {_shown(value)}: a limit is needed here")
    if not 0 <= seconds <= MAX_DURATION:
        raise TimeoutFormatError(f"expected a duration from 0 to 100 years, found {_shown(value)}")
    return seconds


def parse_intervals(value: object, what: str) -> list[float]:
    """Return waits in seconds, of one duration or of several; `[0]` where there is none.

    Args:
        value: see `parse_duration`; None is 0.
        what: names the value in errors.

    Raises:
        UsageError: it is neither a duration nor several, or one is negative.
    """
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping)):
        items = list(value)
    else:
        items = [0 if value is None else value]
    try:
        return [whole(parse_duration(item)) for item in items] or [0]
    except TimeoutFormatError as error:
        raise UsageError(f"{what}: {error}") from error


def parse_times(value: object, what: str, *, least: int = 1) -> int:
    """Return a number of times.

    Args:
        value: the number.
        what: names the value in errors.
        least: the smallest number.

    Raises:
        UsageError: it is no whole number, or smaller.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(f"{what} must be a whole number of at least {least}, found {_shown(value)}")
    return value


def format_duration(seconds: float) -> str:
    """Return the shortest exact text for a duration: `90 -> "1m30s"`, `0.25 -> "250ms"`, `NEVER -> "never"`."""
    if seconds == NEVER:
        return "never"
    millis = round(seconds * 1000)
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, millis = divmod(millis, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def milliseconds(seconds: float) -> int:
    """Return a duration in the store's form (ms): 0 is 0, more is at least 1; `NEVER` stays -1."""
    if seconds == NEVER:
        return -1
    return max(1, round(seconds * 1000)) if seconds > 0 else 0


def from_milliseconds(stored: str) -> float:
    """Return the seconds of a stored duration; below 0 is `NEVER`."""
    return whole(NEVER if float(stored) < 0 else float(stored) / 1000)


def whole(seconds: float) -> float:
    """Return seconds as a user writes them: an `int` where there is no fraction."""
    return int(seconds) if float(seconds).is_integer() else float(seconds)


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    if isinstance(value, str):
        return _text_seconds(value.strip())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return float(value) if abs(value) <= 2 * MAX_DURATION else math.inf


def _text_seconds(text: str) -> float | None:
    if text == "never":
        return NEVER
    if _NUMBER.fullmatch(text):
        return float(text)
    total, position, smallest = 0.0, 0, math.inf
    while position < len(text):
        match = _PART.match(text, position)
        if match is None or _UNITS[match[2]] >= smallest:
            return None
        smallest = _UNITS[match[2]]
        total += float(match[1]) * smallest
        position = match.end()
    return total if position else None


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, (str, int, float, bool)) or value is None else type(value).__name__
    return text if len(text) <= 60 else text[:57] + "..."
