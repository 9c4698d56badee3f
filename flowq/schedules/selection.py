"""Names of schedules as users give them: an id, its end, a pattern, or the flow file."""

from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from os.path import abspath, normpath
from typing import TYPE_CHECKING, Final

from flowq.exceptions import UsageError
from flowq.schedules.entries import path_told

if TYPE_CHECKING:
    from flowq.store import Store

_SPECIAL: Final = frozenset("*?[")
_SHOWN: Final = 5
_FILES: Final = (".yaml", ".yml", ".json")


def select_schedules(store: "Store", given: Sequence[str], *, every: bool = False) -> list[str]:
    """Return the ids of schedules.

    Args:
        store: where they are.
        given: ids such as `flows/etl/nightly:weekdays`; their ends (`etl/nightly:weekdays`, `nightly` if the flow has one entry); patterns;
            or flow files (`flows/etl/nightly.yaml:weekdays`, `nightly.yaml` if the flow has one entry).
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
    return list(dict.fromkeys(name for item in given for name in _fitting(store, item, known)))


def select_schedule(store: "Store", given: str) -> str:
    """Return the id of the one schedule that is given, as of `select_schedules`.

    Raises:
        UsageError: none or several fit.
    """
    found = select_schedules(store, [given])
    if len(found) > 1:
        raise UsageError(f"{given!r} fits several schedules: {_some(found)}")
    return found[0]


def split_file(given: str) -> tuple[str, str | None]:
    """Split FILE[:ENTRY]; a file may have a colon in its name. What is no file is returned as it is."""
    file, colon, entry = given.rpartition(":")
    return (file, entry) if colon and file.endswith(_FILES) else (given, None)


def is_file_name(given: str) -> bool:
    """Return whether a NAME has the form of FILE[:ENTRY]."""
    return split_file(given)[0].endswith(_FILES)


def _fitting(store: "Store", given: str, known: Sequence[str]) -> list[str]:
    if given in known:
        return [given]
    ends = _by_end(given, known)
    if not ends and is_file_name(given):
        ends = _by_file(store, given, known)
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


def _by_end(given: str, known: Sequence[str]) -> list[str]:
    return [name for name in known if any(given in {end, end.rpartition(":")[0]} for end in _ends(name))]


def _by_file(store: "Store", given: str, known: Sequence[str]) -> list[str]:
    """Return the schedules of a flow file: of this path on the schedulers' machine, else those whose ids end like it."""
    file, entry = split_file(given)
    path = abspath(file)  # noqa: PTH100 - not resolve(): links stay, as schedulers keep them
    records = [record for record in store.schedules.get_many(known) if record is not None]
    own = [record.id for record in records if path_told(record.description) == path]
    found = [name for name in own if entry in {None, name.rpartition(":")[2]}]
    return found or _by_end(normpath(file).rpartition(".")[0] + ("" if entry is None else f":{entry}"), known)


def _ends(name: str) -> list[str]:
    """Return the ends of an id that begin at a part of its path, the whole id first."""
    parts = name.split("/")
    return ["/".join(parts[index:]) for index in range(len(parts))]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _none() -> str:
    return "there is no schedule on this server: a scheduler adds those of its directory (`flowq serve DIR`)"
