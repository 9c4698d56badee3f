"""One page for the tests of a module: on the private server, with flows, behind a proxy at 127.0.0.1 that it trusts."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowq.compiler import compile_file
from flowq.flows.actions.submit import submit
from flowq.store import Store
from tests.support.page_server import PageServer
from tests.support.run_driver import Drive
from tests.support.server import PrivateServer
from tests.support.slot_driver import Driver

NAMESPACE = "flowq-test"
LOAD = """
name: load
description: Load a table
params:
  day: {type: date, default: "2026-01-31"}
  rows: {type: integer, minimum: 1, maximum: 10, default: 3}
  table: {type: string}
jobs:
  fetch: {run: "echo ${{ params.day }} ${{ params.rows }} ${{ params.table }}"}
  store: {run: "true", depends_on: [fetch]}
"""
TICK = "schedule: {every: 1h}\njobs: {a: {run: 'true'}}\n"
ASK = "jobs: {ask: {approval: 'Really?'}, go: {run: 'true', depends_on: [ask]}}\n"
HOOK = """
triggers:
  pushed:
    webhook: {secret: {env: PAGE_HOOK}, scheme: github}
    if: event.body.ref == 'refs/heads/main'
    params: {commit: "${{ event.body.after }}"}
  plain:
    webhook: {secret: {env: PAGE_HOOK}, scheme: token}
    params: {commit: "${{ event.id }}"}
params:
  commit: {type: string, default: none}
jobs: {a: {run: 'true'}}
"""
SECRET = "canary-4b1d9e"


def write_settled(path: Path, text: str) -> None:
    """Write a file as if some time ago: a catalog takes one that was written just now for half-written."""
    path.write_text(text)
    os.utime(path, (path.stat().st_mtime - 60,) * 2)


@pytest.fixture(scope="module")
def flows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that is served."""
    root = tmp_path_factory.mktemp("served") / "flows"
    (root / "etl").mkdir(parents=True)
    for name, text in {"etl/load": LOAD, "etl/tick": TICK, "ask": ASK, "hook": HOOK, "wrong": "jobs: {a: {runs: x}}\n"}.items():
        write_settled(root / f"{name}.yaml", text)
    return root


@pytest.fixture(scope="module")
def page(server: PrivateServer, flows: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    """The page. Each test has a store that is empty, and makes its own tokens."""
    env = {"FLOWQ_REDIS_URL": server.url, "FLOWQ_NAMESPACE": NAMESPACE, "PAGE_HOOK": SECRET}
    log = tmp_path_factory.mktemp("page") / "log"
    with PageServer(str(flows), "--trust-proxy=127.0.0.1", log=log, env=env) as served:
        yield served


def start(store: Store, flows: Path, name: str = "etl/load", **params: object) -> str:
    """Submit a run of a flow of the directory."""
    given = {"table": "birds", **params} if name == "etl/load" else params
    plan = compile_file(flows / f"{name}.yaml", params=given, date="2026-01-31").plan
    assert plan is not None
    return submit(store, plan, directory=str(flows), cause="cli", by="ann")


def execute(store: Store, run: str, /, **outcomes: str) -> None:
    """Execute a run to its end; `outcomes` by job."""
    driver = Driver(store)
    try:
        Drive(store, driver, run, outcomes).to_the_end()
    finally:
        driver.close()
