"""`--ship`: the files of a served directory travel with its runs, whatever starts them."""

import json
import os
import shutil
from pathlib import Path

import pytest

from flowq.flows.views.json_documents import run_json
from flowq.flows.views.snapshot import read_view
from flowq.plan.schedule import Entry
from flowq.schedules.directory.catalog import Catalog
from flowq.schedules.entries import Description
from flowq.schedules.scheduler import Scheduler
from flowq.schedules.slot_runs import Maker
from flowq.schedules.users.launch import LaunchRequest, launch
from flowq.states import RunStatus
from flowq.store import Store
from flowq.store.schema.documents import record_json
from tests.schedules.test_serve import serve
from tests.support.server import PrivateServer
from tests.support.wait import until
from tests.support.workers import WorkerProcess

TICK = "schedule: {every: 1s, overlap: queue}\njobs: {read: {run: cat ../data.txt data.txt; pwd, workdir: flow}}\n"


@pytest.fixture
def flows(tmp_path: Path) -> Path:
    root = tmp_path / "flows"
    (root / "etl").mkdir(parents=True)
    (root / "etl" / "tick.yaml").write_text(TICK)
    (root / "data.txt").write_text("above\n")
    (root / "etl" / "data.txt").write_text("beside\n")
    os.utime(root / "etl" / "tick.yaml", (0, 0))  # a file that was written just now is taken for half-written
    return root


def test_each_way_to_start_a_run_ships_the_directory(store: Store, flows: Path) -> None:
    catalog = Catalog(str(flows), "flows")
    catalog.look()
    maker = Maker(store, str(flows), ships=True)
    Scheduler(store, catalog, maker=maker).turn()
    described = Description.from_json(store.schedules.get_many(["flows/etl/tick:default"])[0].description)  # type: ignore[union-attr]
    assert described is not None
    assert described.ships, "commands that start a run of a slot by hand ship it, too"
    run = launch(maker, catalog.flows["etl/tick"], LaunchRequest(), by="ann")
    record = store.runs.require(run)
    assert record.bundle_root == str(flows)
    document = {"hash": record.bundle, "root": str(flows), "requires": None}
    assert run_json(read_view(store, run))["bundle"] == document
    assert record_json(record)["bundle"] == document
    plain = launch(Maker(store, str(flows)), catalog.flows["etl/tick"], LaunchRequest(), by="ann")
    assert run_json(read_view(store, plain))["bundle"] is None


def test_an_older_description_ships_nothing() -> None:
    text = Description(Entry(name="a", every=1000), "/f/a.yaml", "/f").to_json()
    older = {name: value for name, value in json.loads(text).items() if name != "ships"}
    found = Description.from_json(json.dumps(older))
    assert found is not None
    assert not found.ships


@pytest.mark.slow
def test_a_worker_without_the_directory_executes_what_is_served(
    store: Store, server: PrivateServer, flows: Path, tmp_path: Path
) -> None:
    env = {"FLOWQ_REDIS_URL": server.url, "FLOWQ_NAMESPACE": store.namespace}
    with serve(flows, env, "--ship", "--no-workers") as served:
        until(lambda: len(store.runs.recent(5)) >= 1, timeout=30, message="the run of a slot")
        served.process.terminate()
        assert served.process.wait(20) == 0
    run = store.runs.recent(1)[0]
    shutil.rmtree(flows)
    worker_env = {"FLOWQ_CACHE": str(tmp_path / "cache")}
    with WorkerProcess(server.url, "default", namespace=store.namespace, env=worker_env):
        until(lambda: store.runs.require(run).ended, timeout=20, message="the run to end")
    assert store.runs.require(run).status is RunStatus.FINISHED
    lines = b"".join(entry.data for entry in store.runs.logs(run)).decode().splitlines()
    assert lines[:2] == ["above", "beside"]
    assert lines[2].startswith(str(tmp_path / "cache"))
    assert lines[2].endswith("/etl")
