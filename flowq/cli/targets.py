"""Arguments to ids: `@latest`, `@2`, a prefix or nothing for a run; a name, a cell's name or an id for a job."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flowq.exceptions import NoSuchRunError, UsageError
from flowq.flows.actions.selection import find_jobs
from flowq.flows.views.run_view import ordinal_of
from flowq.ids import split_member_id
from flowq.plan import Plan

if TYPE_CHECKING:
    from flowq.store import Store

_NTH: Final = re.compile(r"@(\d{1,4}|latest)\Z")
_PREFIX: Final = re.compile(r"[a-z0-9]{1,8}\Z")
_MEMBER: Final = re.compile(r"[a-z0-9]{8}-\d+")


def select_run(store: "Store", given: str | None, *, failed: bool = False) -> str:
    """Return the id of the run that an argument names.

    None selects the latest run (with `failed`, that failed) started in this directory, else the latest of all. `@latest` is the
    latest of any status, `@2` the one before it. Anything else is an id or a prefix of one.

    Raises:
        NoSuchRunError: there is no such run.
        AmbiguousRunError: the prefix fits several ids.
        UsageError: the argument cannot be an id.
    """
    if given is None:
        found = store.runs.latest(here(), failed=failed) or store.runs.latest(failed=failed)
        if found is None:
            what = "no run has failed" if failed else "there is no run yet"
            raise NoSuchRunError(f"{what}: `flowq run FILE` starts one, `flowq runs` lists them all")
        return found
    match = _NTH.match(given)
    if match:
        return _nth(store, 1 if match[1] == "latest" else int(match[1]))
    name = split_member_id(given)[0] if _MEMBER.fullmatch(given) else given.lower()
    if not _PREFIX.match(name):
        raise UsageError(
            f"{given!r} is not a run: give an id or its beginning (letters and digits), @latest, or @2 for the second latest"
        )
    return store.runs.resolve(name)


def refuse_beside_running(store: "Store", chosen: str) -> None:
    """Refuse to choose a run while a newer one of this directory is active, which the user may have meant.

    Raises:
        UsageError: the latest run of this directory has not ended.
    """
    latest = store.runs.latest(here())
    record = None if latest is None or latest == chosen else store.runs.get(latest)
    if record is not None and not record.ended:
        raise UsageError(
            f"the latest run here, {record.id}, is {record.status}; the latest one that failed is {chosen}: say which one you mean"
        )


def select_open_run(store: "Store", given: str | None) -> str:
    """Return the id of the run that an argument names; for None, of the latest active run of this directory, else of all."""
    if given is not None:
        return select_run(store, given)
    for directory in (here(), None):
        for run_id in store.runs.recent(100, directory):
            record = store.runs.get(run_id)
            if record is not None and not record.ended:
                return run_id
    raise NoSuchRunError("no run is running: `flowq runs` lists the latest ones")


def select_jobs(plan: Plan, run_id: str, given: str) -> Sequence[int]:
    """Return the ordinals for a job's name in a run: one job, one cell, or all cells of a matrix in expansion order.

    Raises:
        NoSuchJobError: the run has no such job; the message names the nearest.
    """
    ordinal = ordinal_of(given)
    if given.startswith(f"{run_id}-") and ordinal is not None and ordinal < len(plan.cells) and not plan.cells[ordinal].group:
        return [ordinal]
    return find_jobs(plan, given, f"run {run_id}")


def looks_like_file(given: str) -> bool:
    """Return whether a FILE-or-RUN argument is a file: the file exists, or the argument cannot be a run's id."""
    is_there = os.path.exists(given)  # noqa: PTH110 - a name that is too long is not
    return is_there or not (_PREFIX.match(given.lower()) or _NTH.match(given) or _MEMBER.fullmatch(given))


def here() -> str:
    """Return the directory that is stored with a run started now."""
    return str(Path.cwd())


def _nth(store: "Store", position: int) -> str:
    runs = store.runs.recent(max(1, position), here()) or store.runs.recent(max(1, position))
    if position < 1 or len(runs) < position:
        there = f"there are only {len(runs)}" if runs else "there is none yet"
        raise NoSuchRunError(f"there is no run @{position}: {there}; `flowq runs` lists them")
    return runs[position - 1]
