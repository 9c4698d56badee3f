"""Arguments to ids: `@latest`, `@2`, a prefix or nothing for a run; a name, a cell's name or an id for a job.

One rule for all commands. With one argument it is an exact id, else the exact name of a job of the latest run of this directory, else a
prefix of a run's id, else the name of a job of the latest run of another flow of this directory, which commands that change something only tell. Without a run, commands that read take the latest of this directory, else the latest of all and say so; commands
that change something look at this directory only.
"""

import os
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from flowq.cli.context import complain
from flowq.exceptions import AmbiguousRunError, NoSuchJobError, NoSuchRunError, UsageError
from flowq.flows.actions.selection import find_jobs
from flowq.flows.explain.plain_job import is_plain_job
from flowq.flows.local_worker.orphaned_runs import advice
from flowq.flows.views.orphans import orphaned
from flowq.flows.views.run_view import ordinal_of
from flowq.flows.views.snapshot import read_plan
from flowq.ids import is_member_id, is_run_id, member_id, split_member_id
from flowq.plan import Plan
from flowq.states import RunStatus
from flowq.store.schema.records import RunRecord

if TYPE_CHECKING:
    from flowq.store import Store

_NTH: Final = re.compile(r"@(\d{1,4}|latest)\Z")
_FLOWS: Final = (".yaml", ".yml", ".json")
_LATEST: Final = 100  # latest runs that are looked at for one with a property
_NAMED: Final = 8  # jobs named in a message
_FAILED: Final = frozenset({RunStatus.FAILED, RunStatus.CANCELED})


@dataclass(frozen=True, slots=True)
class Target:
    """The run, and perhaps the job, that the arguments of a command name."""

    run: str
    job: str | None = None


def select_target(store: "Store", run: str | None, job: str | None, *, change: bool = False) -> Target:
    """Return what the arguments `[RUN] [JOB]` name.

    Args:
        store: where the runs are.
        run: the first argument: alone it may name a job of the latest run.
        job: the second one.
        change: the command changes what it finds, see `select_run`.

    Raises:
        NoSuchRunError, NoSuchJobError, AmbiguousRunError, UsageError: as `select_run` and `select_jobs`.
    """
    if run is None or job is not None or _NTH.match(run) or _is_exact(store, run):
        return Target(select_run(store, run, change=change), job)
    if is_member_id(run):
        return Target(select_run(store, run), run)
    own = store.runs.latest(here())
    latest = own or (None if change else store.runs.latest())
    if latest is None:
        return Target(_only_by_id(store, run) if change else select_run(store, run))
    failure: NoSuchJobError | None = None
    try:
        select_jobs(read_plan(store, latest), latest, run)
    except NoSuchJobError as error:
        failure = error
        if is_run_id(run):
            with suppress(NoSuchRunError):
                return Target(_resolve_aloud(store, run))
            failure = NoSuchJobError(f"{error}; and no run's id begins with {run!r}")
    if own is None:
        _tell_elsewhere(store.runs.require(latest))
    if failure is None:
        return Target(latest, run)
    other = None if own is None else _other_with_job(store, latest, run)
    if other is None:
        raise NoSuchJobError(f"{failure}{_of_flow(store, run)}")
    if change:
        raise NoSuchJobError(
            f"{failure}; run {other.id} of {other.flow} has it: {_this_command(f'{other.id} {shlex.quote(run)}')}"
        )
    complain(f"run {latest}, the latest of this directory, has no job {run!r}: this is run {other.id} of {other.flow}")
    return Target(other.id, run)


def _other_with_job(store: "Store", latest: str, job: str) -> RunRecord | None:
    """Return the latest run of another flow of this directory that has a job of this name: a directory that is served has many flows."""
    first = store.runs.require(latest)
    seen = {(first.flow, first.file)}
    for record in _runs(store, lambda run: (run.flow, run.file) not in seen):
        seen.add((record.flow, record.file))
        with suppress(NoSuchJobError):
            select_jobs(read_plan(store, record.id), record.id, job)
            return record
    return None


def _of_flow(store: "Store", given: str) -> str:
    """Return the end of a sentence about a flow of this name, or with this file: its latest run, here or anywhere."""
    name = given.rpartition("/")[2]
    for runs in (store.runs.recent(_LATEST, here()), store.runs.recent(_LATEST)):
        for record in store.runs.readable(runs):
            if name and name in {record.flow, Path(record.file).name}:
                return f"; the latest run of flow {record.flow} is {record.id}"
    return ""


def _this_command(arguments: str) -> str:
    """Return the running command with other arguments, to be copied."""
    context = click.get_current_context(silent=True)
    return f"`{'flowq' if context is None else context.command_path} {arguments}`"


def _only_by_id(store: "Store", given: str) -> str:
    """Return the run that is named for a change, where this directory has none whose job it could be.

    Raises:
        NoSuchRunError: there is none; the latest one elsewhere is named, whose job may be meant.
    """
    try:
        return select_run(store, given)
    except NoSuchRunError:
        meant = _elsewhere(store, lambda record: not record.ended)
        raise NoSuchRunError(f"no run with the id {given!r}, and no run was started in this directory{meant}") from None


def select_run(store: "Store", given: str | None, *, change: bool = False) -> str:
    """Return the id of the run that an argument names.

    None selects the latest run started in this directory. `@latest` is the same, `@2` the one before it. Where there is none, commands
    that read get the latest of all, and the user is told. Anything else is an id or a prefix of one.

    Args:
        store: where the runs are.
        given: the argument.
        change: the command changes the run: a run of another directory is only selected by its id.

    Raises:
        NoSuchRunError: there is no such run.
        AmbiguousRunError: the prefix fits several ids.
        UsageError: the argument cannot be an id.
    """
    match = _NTH.match(given) if given is not None else None
    if given is None or match is not None:
        return _nth(store, 1 if match is None or match[1] == "latest" else int(match[1]), change=change)
    if is_member_id(given) and not _is_exact(store, given):
        return _resolve(store, split_member_id(given)[0])
    if not is_run_id(given):
        raise UsageError(f"{given!r} is not a run: give an id or its beginning, @latest, or @2 for the second latest")
    try:
        return _resolve(store, given)
    except NoSuchRunError as error:
        if is_plain_job(store, given):
            commands = ", ".join(f"`flowq {name} {given}`" for name in ("status", "why", "logs", "result"))
            raise NoSuchRunError(f"{given!r} is no run, it is a job that is in none: {commands} tell of it") from None
        if store.runs.latest() is None:
            raise NoSuchRunError(
                f"no run with the id {given!r}, and there is no run yet at all: `flowq run FILE` starts one"
            ) from None
        latest = store.runs.latest(here())
        if latest is None or given not in read_plan(store, latest).cells_of():
            raise NoSuchRunError(f"{error}{_of_flow(store, given)}") from None
        hint = f"a job of run {latest} has that name: `flowq why {given}`, `flowq logs {given}`"
        raise NoSuchRunError(f"{str(error).partition(':')[0]}; {hint}") from None


def select_failed_run(store: "Store") -> str:
    """Return the id of the latest run of this directory that failed or was canceled.

    Raises:
        NoSuchRunError: there is none; the message names a run that was interrupted, which can be resumed.
    """
    found = next(_runs(store, lambda run: run.status in _FAILED), None)
    if found is not None:
        return found.id
    lost = orphaned(store, (run.id for run in _runs(store, lambda run: not run.ended)))
    if lost:
        raise NoSuchRunError(f"no run of this directory has failed; {advice(lost[0])}")
    raise NoSuchRunError(f"no run of this directory has failed{_elsewhere(store, lambda run: run.status in _FAILED)}")


def refuse_beside_newer(store: "Store", chosen: str) -> None:
    """Refuse to choose a run that failed beside a newer one: one of this directory that is active, which the user may have meant, or
    one of the same flow that has finished, so that the failure may be over.

    Raises:
        UsageError: there is one; the text says how to mean the chosen run.
    """
    latest = store.runs.latest(here())
    record = None if latest is None or latest == chosen else store.runs.get(latest)
    if record is not None and not record.ended:
        lost = f" ({advice(record.id)})" if orphaned(store, [record.id]) else ""
        raise UsageError(
            f"the latest run here, {record.id}, is {record.status}{lost}; the latest one that failed is {chosen}: say which one you mean"
        )
    failed = store.runs.require(chosen)
    for newer in _runs(store, lambda run: (run.flow, run.file) == (failed.flow, failed.file)):
        if newer.id == chosen:
            return
        if newer.status is RunStatus.FINISHED:
            raise UsageError(
                f"{newer.id} of the same flow has finished since {chosen} failed; to retry that all the same: flowq retry {chosen} --failed"
            )


def select_open_run(store: "Store", given: str | None) -> str:
    """Return the id of the run that an argument names; for None, of the latest active run of this directory.

    Raises:
        NoSuchRunError: there is none.
    """
    if given is not None:
        return select_run(store, given, change=True)
    found = next(_runs(store, lambda run: not run.ended), None)
    if found is None:
        raise NoSuchRunError(f"no run of this directory is running{_elsewhere(store, lambda run: not run.ended)}")
    return found.id


def select_jobs(plan: Plan, run_id: str, given: str) -> Sequence[int]:
    """Return the ordinals for a job's name in a run: one job, one cell, or all cells of a matrix in expansion order.

    Raises:
        NoSuchJobError: the run has no such job; the message names the nearest.
    """
    ordinal = ordinal_of(given) if is_member_id(given) else None
    mine = ordinal is not None and given == member_id(run_id, ordinal)
    if mine and ordinal is not None and ordinal < len(plan.cells) and not plan.cells[ordinal].group:
        return [ordinal]
    return find_jobs(plan, given, f"run {run_id}")


def only_job(plan: Plan, run_id: str, command: str, failed: Sequence[str] = ()) -> str:
    """Return the name of the only job of a run, for a command that got none.

    Raises:
        UsageError: it has several. The message names those that `failed`, if there are any.
    """
    names = [name for name in plan.cells_of() if name]
    if len(names) == 1:
        return names[0]
    told = failed or names
    some = ", ".join(told[:_NAMED]) + (", …" if len(told) > _NAMED else "")
    raise UsageError(f"say which job of run {run_id}: `flowq {command} JOB`; {'failed' if failed else 'its jobs'}: {some}")


def looks_like_file(given: str) -> bool:
    """Return whether a FILE-or-RUN argument is a file: the file exists, or the argument has a file's name or cannot be a run's id."""
    is_there = os.path.exists(given)  # noqa: PTH110 - a name that is too long is not
    return is_there or given.endswith(_FLOWS) or not (is_run_id(given) or _NTH.match(given) or is_member_id(given))


def when_orphaned(store: "Store", run_id: str) -> str:
    """Return the end of a sentence about a run that has not ended: how to resume it, if no worker executes it."""
    return f", `flowq run --resume {run_id}` continues it: it has no worker now" if orphaned(store, [run_id]) else ""


def tell_orphaned(store: "Store", run_id: str) -> None:
    """Tell the user who follows a run if no worker executes it."""
    if orphaned(store, [run_id]):
        complain(advice(run_id))


def here() -> str:
    """Return the directory that is stored with a run started now."""
    return str(Path.cwd())


def open_runs_here(store: "Store") -> list[RunRecord]:
    """Return the runs of this directory that have not ended, the latest first."""
    return list(_runs(store, lambda run: not run.ended))


def open_runs_elsewhere(store: "Store") -> Iterator[RunRecord]:
    """Yield the runs of other directories that have not ended, the latest first."""
    own = here()
    return (run for run in store.runs.readable(store.runs.recent(_LATEST)) if not run.ended and run.directory != own)


def _resolve(store: "Store", given: str) -> str:
    """Return the id that a prefix fits; the error for one that fits several has the command for each."""
    try:
        return store.runs.resolve(given)
    except AmbiguousRunError as error:
        commands = ", ".join(map(_this_command, error.runs))
        raise AmbiguousRunError(f"{given!r} fits several runs: {commands}", error.runs) from None


def _resolve_aloud(store: "Store", given: str) -> str:
    """Return the id that a prefix fits; tell the user if it is of another directory, because a job of this one may be meant."""
    found = store.runs.require(_resolve(store, given))
    if found.directory != here():
        complain(f"{given} is the beginning of run {found.id} of {found.flow} in {found.directory}")
    return found.id


def _is_exact(store: "Store", given: str) -> bool:
    return any(store.runs.get(name) is not None for name in dict.fromkeys((given, given.lower())))


def _runs(store: "Store", wanted: Callable[[RunRecord], bool], directory: str | None = None) -> Iterator[RunRecord]:
    """Yield the latest runs of a directory (of this one by default) that are wanted, the latest first."""
    return filter(wanted, store.runs.readable(store.runs.recent(_LATEST, directory or here())))


def _elsewhere(store: "Store", wanted: Callable[[RunRecord], bool]) -> str:
    """Return the end of a sentence about a run of another directory that may be meant, and that must be named."""
    for record in store.runs.readable(store.runs.recent(_LATEST)):
        if wanted(record):
            return f"; the latest elsewhere is {record.id} ({record.flow}) in {record.directory}: to mean it, give its id"
    return "; `flowq runs` lists all runs"


def _nth(store: "Store", position: int, *, change: bool) -> str:
    runs = store.runs.recent(max(1, position), here())
    if runs or change:
        there = "in this directory"
    else:
        runs, there = store.runs.recent(max(1, position)), "at all"
    if position < 1 or len(runs) < position:
        many = f"there are only {len(runs)} {there}" if runs else f"there is none yet {there}"
        hint = _elsewhere(store, lambda _run: True) if change else "; `flowq run FILE` starts one, `flowq runs` lists them all"
        name = "@latest" if position == 1 else f"@{position}"
        raise NoSuchRunError(f"there is no run {name}: {many}{hint}")
    found = runs[position - 1]
    if there == "at all" and (record := store.runs.get(found)) is not None:
        _tell_elsewhere(record)
    return found


def _tell_elsewhere(run: RunRecord) -> None:
    complain(f"no run was started in this directory: this is run {run.id} of {run.flow} in {run.directory}")
