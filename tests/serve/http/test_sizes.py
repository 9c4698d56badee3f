"""Many flows and many runs: each answer has a part of them, is small, and takes about as long as with few."""

import json
import os
import time
from pathlib import Path

import pytest

from flowq.compiler import compile_text
from flowq.flows.actions.submit import submit
from flowq.store import Store
from tests.serve.http.conftest import NAMESPACE, write_settled
from tests.support.page_server import PageServer, token_of
from tests.support.server import PrivateServer

LARGEST = 400_000
"""Bytes of an answer."""


@pytest.mark.parametrize(("flows", "runs", "part"), [(60, 60, 25), pytest.param(1000, 5000, 200, marks=pytest.mark.chaos)])
def test_lists_are_read_in_parts(server: PrivateServer, store: Store, tmp_path: Path, flows: int, runs: int, part: int) -> None:
    root = tmp_path / "flows"
    for number in range(flows):
        path = root / f"team{number % 20:02d}" / f"flow{number:04d}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_settled(path, f"description: Number {number}\njobs: {{a: {{run: 'true'}}}}\n")
    plan = compile_text("name: flow0001\njobs: {a: {run: 'true'}}\n", file=str(root / "team01" / "flow0001.yaml")).plan
    assert plan is not None
    for _ in range(runs):
        submit(store, plan, directory=str(root), cause="cli", by="ann")
    env = {"FLOWQ_REDIS_URL": server.url, "FLOWQ_NAMESPACE": NAMESPACE}
    token = token_of(store, "viewer")
    with PageServer(str(root), log=tmp_path / "log", env=env) as page:
        for listed, wanted in (("/flows", flows), ("/runs", runs)):
            seen, sizes, took, cursor = 0, [], [], ""
            while True:
                began = time.monotonic()
                answer = page.api("GET", f"{listed}?limit={part}{cursor}", token=token)
                took.append(time.monotonic() - began)
                sizes.append(len(answer.body))
                document = json.loads(answer.body)
                seen += len(document["items"])
                if document["next"] is None:
                    break
                cursor = f"&cursor={document['next']}"
            assert seen == wanted
            assert max(sizes) < LARGEST
            assert max(took) < 2 * (1 + os.getloadavg()[0]), took  # s
