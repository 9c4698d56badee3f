"""Metrics over HTTP: who may read them, and what a process tells of itself."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from flowq.store import Store
from flowq.telemetry.metrics.families import FAMILIES
from tests.serve.http.conftest import NAMESPACE, execute, start
from tests.support.page_server import PageServer, token_of
from tests.support.ports import free_ports
from tests.support.server import PrivateServer

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def read(text: str) -> dict[str, Metric]:
    return {metric.name + "_total" * (metric.type == "counter"): metric for metric in text_string_to_metric_families(text)}


def value(metric: Metric, **labels: str) -> float:
    return sum(item.value for item in metric.samples if labels.items() <= item.labels.items())


def test_a_viewer_reads_them(page: PageServer, store: Store, flows: Path) -> None:
    run = start(store, flows)
    execute(store, run)
    token = token_of(store, "viewer")
    first = page.ask("GET", "/metrics", token=token)
    assert (first.status, first.headers["content-type"]) == (200, MEDIA_TYPE)
    assert list(read(first.body.decode())) == [family.name for family in FAMILIES]
    page.ask("GET", "/metrics", token="wrong")
    page.ask("BREW", "/metrics", token=token)
    page.ask("GET", "/a/page/of/its/own", token=token)
    again = read(page.ask("GET", "/metrics", token=token).body.decode())
    requests = again["flowq_http_requests_total"]
    assert value(requests, route="/metrics", method="GET", code="401") >= 1
    assert value(requests, route="/metrics", method="other", code="405") == 1
    assert value(requests, route="other", method="GET") >= 1
    assert value(again["flowq_runs_total"], flow="load", status="finished", cause="cli") == 1
    assert value(again["flowq_flows"], state="invalid") == 1
    assert value(again["flowq_flows"], state="valid") == 4
    assert value(again["flowq_live_clients"]) == 0
    seconds = {item.name: item.value for item in again["flowq_store_seconds"].samples}
    assert seconds["flowq_store_seconds_count"] >= 2
    routes = {item.labels["route"] for item in requests.samples}
    assert not [route for route in routes if run in route or "own" in route]


@pytest.mark.parametrize(("limited", "status"), [(True, 403), (False, 401)])
def test_who_may_not(page: PageServer, store: Store, status: int, *, limited: bool) -> None:
    token = token_of(store, "admin", "flows/etl/*") if limited else None
    answer = page.ask("GET", "/metrics", token=token)
    assert answer.status == status
    assert "flowq_" not in answer.body.decode()


def test_a_port_of_their_own_is_open(server: PrivateServer, store: Store, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    env = {"FLOWQ_REDIS_URL": server.url, "FLOWQ_NAMESPACE": NAMESPACE}
    with PageServer(f"--metrics-open={port}", log=tmp_path / "log", env=env) as page:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            assert (answer.status, answer.headers["content-type"]) == (200, MEDIA_TYPE)
            assert list(read(answer.read().decode())) == [family.name for family in FAMILIES]
        for path in ("/", "/api/v1/runs", "/healthz", "/metrics/x"):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10)
            assert refused.value.code == 404
        assert page.ask("GET", "/metrics").status == 401, "the port of the page is as closed as before"
        for place, told in (
            (str(port), f"127.0.0.1:{port} cannot be used: Address already in use; --metrics-open takes another one"),
            ("localhost", "--metrics-open takes a port or HOST:PORT, such as 9464 or 10.0.0.5:9464, found 'localhost'"),
        ):
            command = [sys.executable, "-m", "flowq", "ui", "--port=0", f"--metrics-open={place}"]
            done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, check=False, timeout=30)
            assert (done.returncode, told in done.stderr) == (2, True), done.stderr
        assert page.stop() == 0
