"""`Run.wait` on a server of your own whose workers do not serve all queues of the run."""

import warnings
from contextlib import ExitStack

import pytest

from flowq.flows.flow import Flow
from flowq.store import Store
from tests.support.server import PrivateServer
from tests.support.wait import until
from tests.support.workers import WorkerProcess

FLOW = "jobs: {a: {run: 'true', queue: quick}, b: {run: 'true', queue: slow}, c: {depends_on: b, run: 'true', queue: slower}}"


def test_a_wait_for_a_queue_that_no_worker_serves_warns_once(store: Store, server: PrivateServer) -> None:
    run = Flow.compile(FLOW).submit(connection=store)
    told = []
    with ExitStack() as workers, warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        workers.enter_context(WorkerProcess(server.url, "quick"))

        def tell(message: Warning | str, category: type[Warning], filename: str, *_: object, **__: object) -> None:
            told.append((str(message), category, filename))
            workers.enter_context(WorkerProcess(server.url, "slow", "slower"))

        warnings.showwarning = tell
        assert run.wait(60) == "finished"
    text = (
        f"no worker listens on 'slow', 'slower': run {run.id} waits until one does; start one with `flowq worker slow slower`"
    )
    assert told == [(text, UserWarning, __file__)]


def test_a_wait_for_workers_that_are_there_does_not_warn(
    store: Store, server: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowq.flows.run._LOOK", 0.0)
    run = Flow.compile("jobs: {a: {run: sleep 1.2}}").submit(connection=store)
    with WorkerProcess(server.url, "default"), warnings.catch_warnings():
        warnings.simplefilter("error")
        until(lambda: run.view().jobs[0].status == "started", message="the job to start")
        assert run.wait(60) == "finished"
