"""Points in time as they are stored: texts of milliseconds since the epoch."""

from typing import Final, overload

_LAST: Final = 253_402_300_799_999  # the end of the year 9999: what Python can show


@overload
def instant(text: str) -> int: ...
@overload
def instant(text: str | None) -> int | None: ...
def instant(text: str | None) -> int | None:
    """Return a stored time in ms, None of none.

    Raises:
        ValueError: it is no time of the common calendar.
    """
    if text is None:
        return None
    value = float(text)
    if not 0 <= value <= _LAST:  # what is no number at all is neither
        raise ValueError(f"{text[:100]!r} is no time in milliseconds")
    return int(value)
