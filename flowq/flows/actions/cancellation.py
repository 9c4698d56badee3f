"""Cancellation of a run: its jobs at once, its handlers only on request."""

from typing import TYPE_CHECKING, Final

from flowq.exceptions import InvalidRunOperation
from flowq.flows.views.snapshot import read_view
from flowq.store.schema.outcomes import Outcome

if TYPE_CHECKING:
    from flowq.store import Store

_NAMED: Final = 3  # handlers


def cancel_run(store: "Store", run_id: str, *, force: bool) -> str:
    """Cancel a run; return a note about its handlers for the user, empty when they do not run yet.

    Args:
        store: where the run is.
        run_id: its full id.
        force: cancel running handlers too.

    Raises:
        NoSuchRunError: there is no such run.
        InvalidRunOperation: it has ended, or nothing but its handlers is left and it was not canceled before.
    """
    outcome = store.runs.cancel(run_id, handlers=force)
    if outcome is not Outcome.CONFLICT:
        store.runs.refuse(run_id, outcome, "cancel")
        return ""
    run = read_view(store, run_id)
    if run.ended:
        store.runs.refuse(run_id, outcome, "cancel")
    names = [job.name for job in run.jobs if job.phase and not job.ended]
    named = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
    what = f"its clean-up is running ({named})" if named else "its clean-up is about to run"
    how = f"`flowq cancel {run_id} --force` kills that too"
    if run.canceling:
        return f"run {run_id} is canceled already, and {what}: {how}"
    raise InvalidRunOperation(f"cannot cancel run {run_id}: its jobs have ended, and {what}; {how}")
