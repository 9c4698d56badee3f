"""Suggestions in help lines: the nearest name, and lists of legal values."""

import difflib
from collections.abc import Collection, Iterable

_MOST = 500  # names compared; bounds the time in a large flow


def close_match(name: str, known: Collection[str], cutoff: float = 0.65) -> str | None:
    """Return the known name nearest to `name`, or None. `cutoff`: how alike they must be, 1 for the same letters."""
    if len(name) > 100:
        return None
    candidates = list(known) if len(known) <= _MOST else [item for item in known if item[:1] == name[:1]][:_MOST]
    folded = {item.lower(): item for item in candidates}
    found = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=cutoff)
    return folded[found[0]] if found else None


def did_you_mean(name: str, known: Collection[str], what: str = "known are") -> str:
    """Return a help line: the nearest name, else the first known names."""
    close = close_match(name, known)
    if close is not None:
        return f"did you mean {close}?"
    return f"{what} {listing(known)}" if known else ""


def listing(names: Iterable[str], most: int = 12) -> str:
    """Return names as `a, b, c`, and the number of the others."""
    items = list(names)
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
