"""Names of schedules as users give them: an id, its end, or a pattern."""

from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from flowq.exceptions import UsageError

if TYPE_CHECKING:
    from flowq.store import Store

_SPECIAL: Final = frozenset("*?[")
_SHOWN: Final = 5


def select_schedules(store: "Store", given: Sequence[str], *, every: bool = False) -> list[str]:
    """Return the ids of schedules.

    Args:
        store: where they are.
        given: ids such as `flows/etl/nightly:weekdays`; their ends (`etl/nightly:weekdays`, `nightly` if the flow has one entry); or patterns.
        every: all of them; then none may be given.

    Raises:
        UsageError: one fits none or, without being a pattern, several.
    """
    known = store.schedules.names()
    if every:
        if given:
            raise UsageError("--all means every schedule: leave out the names")
        return known
    if not given:
        raise UsageError(f"say which schedule, or --all: {_some(known)}" if known else _none())
    return list(dict.fromkeys(name for item in given for name in _fitting(item, known)))


def select_schedule(store: "Store", given: str) -> str:
    """Return the id of the one schedule that is given, as of `select_schedules`.

    Raises:
        UsageError: none or several fit.
    """
    found = select_schedules(store, [given])
    if len(found) > 1:
        raise UsageError(f"{given!r} fits several schedules: {_some(found)}")
    return found[0]


def _fitting(given: str, known: Sequence[str]) -> list[str]:
    if given in known:
        return [given]
    ends = [name for name in known if any(given in {end, end.rpartition(":")[0]} for end in _ends(name))]
    if _SPECIAL & set(given):
        ends = [name for name in known if any(fnmatchcase(end, given) for end in _ends(name))]
    elif len(ends) > 1:
        raise UsageError(f"{given!r} fits several schedules: {_some(ends)}")
    if ends:
        return ends
    if not known:
        raise UsageError(_none())
    ends = [end for name in known for end in _ends(name)]
    near = get_close_matches(given, [*ends, *(end.rpartition(":")[0] for end in ends)], n=1)
    raise UsageError(f"there is no schedule {given!r}; " + (f"did you mean {near[0]}?" if near else _some(known)))


def _ends(name: str) -> list[str]:
    """Return the ends of an id that begin at a part of its path, the whole id first."""
    parts = name.split("/")
    return ["/".join(parts[index:]) for index in range(len(parts))]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _none() -> str:
    return "there is no schedule on this server: a scheduler adds those of its directory (`flowq serve DIR`)"
