"""Runs as traces, as a collector receives them."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from flowq.compiler import compile_text
from flowq.exceptions import UsageError
from flowq.flows.actions.retry import plan_retry
from flowq.ids import span_id, trace_id
from flowq.states import RunStatus
from flowq.store import Store
from flowq.telemetry.export import ExportError, Traces
from flowq.telemetry.follow import TraceSender
from tests.support.serve import ServeProcess
from tests.support.server import PrivateServer
from tests.support.wait import until
from tests.support.workers import WorkerProcess, ended, flow, node, script, start


@dataclass
class Collector:
    """What arrived: spans by name, in the form of OTLP. `code`: the answer."""

    spans: dict[str, Any] = field(default_factory=dict)
    requests: int = 0
    code: int = 200


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    found = Collector()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.requests += 1
            if found.code == 200:
                request = ExportTraceServiceRequest.FromString(body)
                for resource in request.resource_spans:
                    for scope in resource.scope_spans:
                        found.spans |= {f"{span.name} {span.span_id.hex()}": span for span in scope.spans}
            self.send_response(found.code)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def _worker(server: PrivateServer, store: Store) -> Iterator[None]:
    with WorkerProcess(server.url, "default", namespace=store.namespace):
        yield


def send(store: Store, run: str) -> int:
    traces = Traces(store)
    try:
        return traces.send(run)
    finally:
        traces.close()


def by_name(collector: Collector) -> dict[str, Any]:
    return {span.name: span for span in collector.spans.values()}


PLAN = flow(
    node("first", script("echo $TRACEPARENT")),
    node("second", script("exit 3")),
    node("third", script("true")),
    edges={"second": {"first": "success"}, "third": {"first": "success", "second": "always"}},
    name="nightly",
)


@pytest.mark.usefixtures("_worker")
def test_a_run_is_a_trace(store: Store, collector: Collector, tmp_path: Path) -> None:
    run = start(store, PLAN, tmp_path)
    ended(store, run)
    assert send(store, run) == 4
    spans = by_name(collector)
    assert set(spans) == {"flow nightly", "job first", "job second", "job third"}
    assert {span.trace_id.hex() for span in spans.values()} == {trace_id(run)}
    root = spans["flow nightly"]
    assert root.parent_span_id == b""
    assert all(span.parent_span_id == root.span_id for name, span in spans.items() if name != "flow nightly")
    waited = {name: {link.span_id for link in span.links} for name, span in spans.items()}
    assert waited["job first"] == set()
    assert waited["job third"] == {spans["job first"].span_id, spans["job second"].span_id}
    assert (root.status.code, spans["job first"].status.code, spans["job second"].status.code) == (2, 1, 2)
    assert root.start_time_unix_nano <= spans["job first"].start_time_unix_nano <= spans["job third"].end_time_unix_nano
    assert spans["job third"].end_time_unix_nano <= root.end_time_unix_nano
    attributes = {item.key: item.value for item in spans["job second"].attributes}
    assert attributes["cicd.pipeline.task.name"].string_value == "second"
    assert attributes["flowq.status"].string_value == "failed"
    assert [event.name for event in spans["job first"].events] == ["queued"]


def test_the_spans_of_cells_have_their_queues(
    store: Store, server: PrivateServer, collector: Collector, tmp_path: Path
) -> None:
    text = 'jobs: {a: {run: "true", matrix: {os: [linux, macos]}, queue: "${{ matrix.os }}"}}'
    plan = compile_text(text).plan
    assert plan is not None
    run = start(store, plan, tmp_path)
    with WorkerProcess(server.url, "linux", "macos", namespace=store.namespace):
        ended(store, run)
    send(store, run)
    spans = [span for name, span in by_name(collector).items() if name.startswith("job ")]
    attributes = [{item.key: item.value.string_value for item in span.attributes} for span in spans]
    assert {(found["cicd.pipeline.task.name"], found["flowq.queue"]) for found in attributes} == {
        ("a[os=linux]", "linux"), ("a[os=macos]", "macos"),
    }  # fmt: skip


@pytest.mark.usefixtures("_worker")
def test_code_of_a_job_can_make_spans_below_its_own(store: Store, collector: Collector, tmp_path: Path) -> None:
    run = start(store, PLAN, tmp_path)
    ended(store, run)
    send(store, run)
    span = by_name(collector)["job first"]
    output = b"".join(entry.data for entry in store.runs.logs(run)).decode().strip()
    assert output == f"00-{trace_id(run)}-{span.span_id.hex()}-01"
    assert span.span_id.hex() == span_id(f"{run}-0", 1)


@pytest.mark.usefixtures("_worker")
def test_what_is_sent_twice_is_the_same(store: Store, collector: Collector, tmp_path: Path) -> None:
    run = start(store, PLAN, tmp_path)
    ended(store, run)
    send(store, run)
    before = dict(collector.spans)
    send(store, run)
    assert collector.spans == before


@pytest.mark.usefixtures("_worker")
def test_a_retry_adds_its_executions_to_the_trace(store: Store, collector: Collector, tmp_path: Path) -> None:
    run = start(store, PLAN, tmp_path)
    ended(store, run)
    send(store, run)
    first = dict(collector.spans)
    plan_retry(store, run).apply(store)
    until(lambda: store.runs.require(run).ended and store.runs.require(run).attempt == 2, message="the second attempt to end")
    collector.spans.clear()
    assert send(store, run) == 3
    assert set(by_name(collector)) == {"flow nightly", "job second", "job third"}
    assert not set(collector.spans) & set(first)
    assert {span.trace_id.hex() for span in collector.spans.values()} == {trace_id(run)}


@pytest.mark.usefixtures("_worker")
def test_runs_are_sent_as_they_end(store: Store, collector: Collector, tmp_path: Path) -> None:
    traces, sent = Traces(store), list[str]()
    follower = TraceSender(store, traces, lambda run, _spans: sent.append(run))
    ended(store, start(store, PLAN, tmp_path))
    follower.send_new()
    assert sent == []  # it ended before there was a follower
    run = start(store, PLAN, tmp_path)
    ended(store, run)
    collector.code = 400
    with pytest.raises(ExportError, match="did not take the trace"):
        follower.send_new()
    collector.code = 200
    TraceSender(store, traces, lambda run, _spans: sent.append(run)).send_new()
    assert sent == [run]
    follower.send_new()
    assert sent == [run]
    traces.close()


def test_a_collector_must_be_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    with pytest.raises(UsageError, match="set OTEL_EXPORTER_OTLP_ENDPOINT"):
        Traces(store)


@pytest.mark.usefixtures("collector")
def test_a_run_that_is_not_over_has_no_trace(store: Store, tmp_path: Path) -> None:
    run = start(store, PLAN, tmp_path)
    assert store.runs.require(run).status is RunStatus.RUNNING
    with pytest.raises(UsageError, match="has not ended"):
        send(store, run)


def test_serve_sends_the_runs_of_its_schedules(
    server: PrivateServer, store: Store, collector: Collector, tmp_path: Path
) -> None:
    flows = tmp_path / "flows"
    flows.mkdir()
    (flows / "often.yaml").write_text("schedule: {every: 1s}\njobs: {tick: {run: 'true'}}\n")
    env = {"FLOWQ_REDIS_URL": server.url, "FLOWQ_NAMESPACE": store.namespace}
    with ServeProcess(flows, log=tmp_path / "log", env=env) as serve:
        serve.says("started the traces")
        until(lambda: "job tick" in by_name(collector), timeout=20, message="the trace of a run to arrive")
    attributes = {item.key: item.value.string_value for item in by_name(collector)["flow often"].attributes}
    assert attributes["flowq.cause"] == "schedule"


def test_serve_without_a_collector_sends_nothing(server: PrivateServer, store: Store, tmp_path: Path) -> None:
    (tmp_path / "flow.yaml").write_text("jobs: {tick: {run: 'true'}}\n")
    env = {"FLOWQ_REDIS_URL": server.url, "FLOWQ_NAMESPACE": store.namespace}
    with ServeProcess(tmp_path, log=tmp_path / "log", env=env) as serve:
        serve.says("started the worker")
        assert serve.pids("traces") == []
