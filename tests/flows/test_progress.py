"""A view updated by events: the worker and the slot of a running job."""

from pathlib import Path

import pytest

from flowq.flows.actions.submit import submit
from flowq.flows.views.follow import Follower, Progress
from flowq.flows.views.snapshot import read_snapshot
from flowq.store import Store
from flowq.store.schema.outcomes import Claim
from tests.support.graphs import plan
from tests.support.slot_driver import Driver


@pytest.mark.parametrize("local", [True, False])
def test_running_jobs_have_a_place(store: Store, tmp_path: Path, *, local: bool) -> None:
    run = submit(store, plan({name: [] for name in "abcd"}), directory=tmp_path, local=local)
    progress = Progress(*read_snapshot(store, run))
    updates = Follower(store, run, wait=0.01, workers=not local).updates()
    driver = Driver(store, f"{run}/default" if local else "default", name="host.1.x")

    def claim() -> Claim:
        found = driver.claim()
        assert found is not None
        return found

    def places() -> dict[str, tuple[int | None, str | None]]:
        for update in updates:
            progress.apply(update)
            if not update.events:
                break
        return {job.name: (job.lane, job.worker) for job in progress.view().jobs if job.started_ms and not job.ended}

    try:
        first, second, third = claim(), claim(), claim()
        name = None if local else "host.1.x"
        lanes = (1, 2, 3) if local else (None,) * 3
        assert places() == {"a": (lanes[0], name), "b": (lanes[1], name), "c": (lanes[2], name)}
        driver.end(second, "finished")
        fourth = claim()
        assert places() == {"a": (lanes[0], name), "c": (lanes[2], name), "d": (lanes[1], name)}
        # A later reader numbers the jobs that run then.
        late = Progress(*read_snapshot(store, run)).view()
        assert [job.lane for job in late.jobs] == ([1, None, 2, 3] if local else [None] * 4)
        for claimed in (first, third, fourth):
            driver.end(claimed, "finished")
        assert places() == {}
    finally:
        driver.close()
