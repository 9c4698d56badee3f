"""Run chosen jobs of an ended run again: they are reset whatever became of them, with or without what depends on them.

The counterpart of `flowq.flows.retry`, which chooses by what failed; what follows is the same, see `flowq.flows.resets`.
"""

from collections.abc import Collection

from flowq.exceptions import InvalidRunOperation
from flowq.flows.resets import RetryPlan, read_ended
from flowq.store import Store


def plan_rerun(store: Store, run: str, chosen: Collection[int], *, only: bool) -> RetryPlan:
    """Return what it means to run these jobs again.

    Args:
        store: where the run is.
        run: its id.
        chosen: ordinals of jobs, also of cells that a foreach has made.
        only: leave what depends on them as it is, even if it used their results.

    Raises:
        NoSuchRunError: there is no such run.
        InvalidRunOperation: the run has not ended, or a chosen job's record has expired.
    """
    ended = read_ended(store, run)
    for ordinal in chosen:
        if not ended.plan.cells[ordinal].selected:
            name = ended.plan.cells[ordinal].name
            raise InvalidRunOperation(f"{name!r} was not selected in run {run}: `flowq run --again {run} --job {name}` runs it")
        if ended.records[ordinal] is None:
            name = ended.plan.cells[ordinal].name
            raise InvalidRunOperation(f"{name!r} of run {run} cannot run again: its record has expired")
    # Who asks for a job wants to see it run; what depends on it need not, if nothing it is made of has changed.
    return ended.retry(dict.fromkeys(sorted(chosen), "chosen"), only=only).without_cache(chosen)
