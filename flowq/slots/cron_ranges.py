"""Ranges of cron expressions that go past the end of a field, such as the hours `22-2`: what to write in their place."""

import re
from collections.abc import Callable
from typing import Final

_MONTHS: Final = ("-", "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_BOUNDS: Final = (
    (0, 59),
    (0, 23),
    (1, 31),
    (1, 12),
    (0, 6),
    (0, 59),
)  # minute hour day month weekday second, as they are written
_NAMES: Final = {3: _MONTHS, 4: _DAYS}
_RANGE: Final = re.compile(r"([A-Za-z]{3}|[0-9]{1,2})-([A-Za-z]{3}|[0-9]{1,2})(?:/([1-9][0-9]?))?")


def without_wrapping(text: str) -> str:
    """Return an expression whose ranges go up: `0 22-23,0-2 * * *` for `0 22-2 * * *`. Others stay as they are.

    Args:
        text: the expression, seconds last.
    """
    return " ".join(
        ",".join(_split(item, *_BOUNDS[place], _NAMES.get(place, ())) for item in field.split(","))
        for place, field in enumerate(text.split()[: len(_BOUNDS)])
    )


def _split(item: str, low: int, high: int, names: tuple[str, ...]) -> str:
    """Return one item of a field: a range that goes past `high` as what it has before and after it, another one as it is."""
    found = _RANGE.fullmatch(item)
    if found is None:
        return item
    first, last, step = _number(found[1], names), _number(found[2], names), int(found[3] or 1)
    if not low <= last < first <= high:
        return item
    begin = low + (first - high - 1) % step  # the step goes on after the end
    spell = str if found[1].isdecimal() else names.__getitem__
    after = [] if begin > last else [_range(begin, last, step, spell)]
    return ",".join([_range(first, high, step, spell), *after])


def _range(first: int, last: int, step: int, spell: Callable[[int], str]) -> str:
    if first + step > last:
        return spell(first)
    return f"{spell(first)}-{spell(last)}" + (f"/{step}" if step > 1 else "")


def _number(word: str, names: tuple[str, ...]) -> int:
    """Return the number of a word; -1 for one that is none."""
    return int(word) if word.isdecimal() else names.index(word.upper()) if word.upper() in names else -1
