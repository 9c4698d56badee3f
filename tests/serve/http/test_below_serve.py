"""The page as a child of `flowq serve`: replaced when it dies, read-only while running jobs finish, and the last to end."""

import os
import re
import signal
from pathlib import Path

import pytest

from flowq.store import Store
from tests.serve.http.conftest import NAMESPACE, write_settled
from tests.support.page_server import PageServer, token_of
from tests.support.serve import ServeProcess
from tests.support.server import PrivateServer
from tests.support.wait import until

pytestmark = pytest.mark.slow


def test_the_page_of_serve(server: PrivateServer, store: Store, tmp_path: Path) -> None:
    flows = tmp_path / "flows"
    flows.mkdir()
    write_settled(flows / "slow.yaml", "jobs: {a: {run: 'until test -e go; do sleep 0.1; done'}}\n")
    env = {"FLOWQ_REDIS_URL": server.url, "FLOWQ_NAMESPACE": NAMESPACE}
    with ServeProcess(flows, "--port=0", log=tmp_path / "log", env=env, page=True) as serve:
        serve.says("page: http://127.0.0.1:")
        page = PageServer.__new__(PageServer)
        page.port = int(re.findall(r"page: http://127.0.0.1:(\d+)/#token=fql_", serve.output)[0])
        token = token_of(store, "admin")
        answer = page.api("POST", "/flows/slow/runs", {}, token=token)
        assert answer.status == 201, answer.body
        run = answer.document["id"]
        until(lambda: page.api("GET", f"/runs/{run}/jobs/0", token=token).document["status"] == "started", timeout=20)
        (worker,) = page.api("GET", "/workers", token=token).document["items"]
        assert [job["run"] for job in worker["jobs"]] == [run]
        serve.signal(signal.SIGTERM)
        until(lambda: page.api("GET", "/info", token=token).document["closing"], timeout=10)
        refused = page.api("POST", f"/runs/{run}/cancel", {}, token=token)
        assert (refused.status, refused.code, refused.headers["retry-after"]) == (503, "closing", "5")
        assert page.ask("GET", "/readyz").status == 503
        assert page.api("GET", f"/runs/{run}", token=token).document["status"] == "running"
        (flows / "go").touch()
        assert serve.wait() == 0
        assert store.runs.require(run).status == "finished"


def test_a_page_that_is_killed_is_replaced(server: PrivateServer, store: Store, tmp_path: Path) -> None:
    (tmp_path / "flows").mkdir()
    env = {"FLOWQ_REDIS_URL": server.url, "FLOWQ_NAMESPACE": NAMESPACE}
    with ServeProcess(tmp_path / "flows", "--port=0", "--no-workers", log=tmp_path / "log", env=env, page=True) as serve:
        serve.says("page: http://127.0.0.1:")
        os.kill(serve.pids("page")[0], signal.SIGKILL)
        until(lambda: len(serve.pids("page")) == 2, timeout=15)
        serve.signal()
        assert serve.wait() == 0
