"""Runs over HTTP: the documents are those of the command line, and changes do what its commands do."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from flowq.artifacts.manifest import written
from flowq.flows.documents.run_document import COLUMNS
from flowq.serve.http.segments import quoted, segment
from flowq.states import RunStatus
from flowq.store import Store
from flowq.store.schema.outcomes import LogLines
from flowq.store.schema.records import LogEntry
from tests.cli.process import flowq
from tests.serve.http.conftest import NAMESPACE, execute, start
from tests.support.page_server import PageServer, token_of
from tests.support.server import PrivateServer
from tests.support.slot_driver import Driver


@pytest.fixture
def operator(store: Store) -> str:
    return token_of(store, "operator", name="ann")


def printed(server: PrivateServer, *arguments: str) -> Any:
    """Return what a command prints as JSON."""
    done = flowq("-u", server.url, *arguments, "--json", cwd=Path.cwd(), env={**os.environ, "FLOWQ_NAMESPACE": NAMESPACE})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_documents_are_those_of_the_command_line(
    page: PageServer, server: PrivateServer, store: Store, flows: Path, operator: str
) -> None:
    run = start(store, flows)
    execute(store, run, store="failed")
    document = page.api("GET", f"/runs/{run}", token=operator).document
    status = printed(server, "status", run)
    jobs = status.pop("jobs")
    assert {name: document[name] for name in status} == status
    assert (document["size"], document["stages"]) == (2, [])
    assert [(node["name"], node["status"], node["size"]) for node in document["nodes"]] == [
        ("fetch", "finished", 1),
        ("store", "failed", 1),
    ]
    assert document["command"]["retry"] == f"flowq retry {run} --failed"
    for job in jobs:
        ordinal = job["id"].rpartition("-")[2]
        found = page.api("GET", f"/runs/{run}/jobs/{ordinal}", token=operator).document
        assert {name: found[name] for name in job} == job
        assert page.api("GET", f"/runs/{run}/jobs/{quoted(job['name'])}", token=operator).document == found
        why = page.api("GET", f"/runs/{run}/jobs/{ordinal}/why", token=operator).document
        assert why == printed(server, "why", run, job["name"])
    table = page.api("GET", f"/runs/{run}/jobs", token=operator).document
    assert table["columns"] == list(COLUMNS)
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in table["rows"]]
    assert [(row["name"], row["status"], row["reason"]) for row in rows] == [
        ("fetch", "finished", None),
        ("store", "failed", "error"),
    ]
    assert rows[1]["duration"] == jobs[1]["duration"]
    (item,) = page.api("GET", "/runs", token=operator).document["items"]
    (listed,) = printed(server, "runs")
    assert {name: item[name] for name in listed} == listed
    events = page.api("GET", f"/runs/{run}/events", token=operator).document
    assert [event["to"] for event in events["items"] if event["name"] == "store"] == ["queued", "started", "failed"]
    assert events["next"] == events["items"][-1]["seq"] == document["position"] == table["position"]
    after = page.api("GET", f"/runs/{run}/events?after={document['position']}", token=operator).document
    assert after == {"items": [], "next": None}


def test_files_of_artifacts_are_listed_and_downloaded(
    page: PageServer, server: PrivateServer, store: Store, flows: Path, operator: str
) -> None:
    run = start(store, flows)
    execute(store, run)
    job, content = f"{run}-0", b"<svg onload='alert(1)'/>"
    digest = hashlib.sha256(content).hexdigest()
    rows = [['out/a"\r\nb.svg', len(content), digest, False]]
    store.client.hset(store.session.keys("job", job), "artifacts", "1")
    store.client.hset(
        store.session.keys("artifacts", job), "pictures", b"- " + written(rows, remote=False, job=job, name="pictures").encode()
    )
    store.client.hset(store.session.keys("artifact_files", job, "pictures"), digest, content)
    document = page.api("GET", f"/runs/{run}/jobs/0", token=operator).document
    assert document["artifacts"] == {"pictures": [{"path": rows[0][0], "size": len(content), "sha256": digest}]}
    path = f"/runs/{run}/jobs/0/artifacts"
    got = page.api("GET", f"{path}/pictures/{digest}", token=operator)
    assert (got.status, got.body) == (200, content)
    assert got.headers["content-type"] == "application/octet-stream"
    assert got.headers["content-disposition"] == 'attachment; filename="out_a___b.svg"'
    assert (got.headers["content-security-policy"], got.headers["x-content-type-options"]) == ("sandbox", "nosniff")
    for wrong in (
        f"{path}/nothing/{digest}",
        f"{path}/pictures/{digest[::-1]}",
        f"/runs/{run}/jobs/1/artifacts/pictures/{digest}",
    ):
        assert page.api("GET", wrong, token=operator).status == 409
    found = page.api("GET", f"/runs/{run}/artifacts", token=operator).document
    assert found == {"items": printed(server, "artifacts", "list", run), "next": None}
    assert page.api("GET", f"/runs/{run}/artifacts?job=1", token=operator).document["items"] == []
    assert page.api("GET", f"/runs/{run}", token=operator).document["with_artifacts"] == 1
    store.client.hset(store.session.keys("artifact_files", job, "pictures"), digest, b"other")
    altered = page.api("GET", f"{path}/pictures/{digest}", token=operator)
    assert (altered.status, "was altered on the server" in altered.document["error"]["message"]) == (409, True)


def test_attempts_of_a_job_are_listed(page: PageServer, store: Store, flows: Path, operator: str) -> None:
    run = start(store, flows)
    execute(store, run, fetch="failed")
    page.api("POST", f"/runs/{run}/retry", {"failed": True}, token=operator)
    execute(store, run)
    found = page.api("GET", f"/runs/{run}/jobs/0", token=operator).document
    assert [(item["execution"], item["status"], item["reason"]) for item in found["attempts_list"]] == [
        (1, "failed", "error"),
        (2, "finished", None),
    ]


def test_a_document_that_has_not_changed_is_not_sent_again(page: PageServer, store: Store, flows: Path, operator: str) -> None:
    run = start(store, flows)
    execute(store, run)
    first = page.api("GET", f"/runs/{run}/jobs", token=operator)
    again = page.api("GET", f"/runs/{run}/jobs", token=operator, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", first.headers["etag"])
    other = page.api("GET", f"/runs/{run}", token=operator, headers={"If-None-Match": first.headers["etag"]})
    assert other.status == 200


def test_lists_are_filtered_and_paged(page: PageServer, store: Store, flows: Path, operator: str) -> None:
    runs = [start(store, flows) for _ in range(5)]
    asked = start(store, flows, "ask")
    execute(store, runs[0], fetch="failed")

    def ids(query: str) -> list[str]:
        answer = page.api("GET", f"/runs?{query}", token=operator)
        assert answer.status == 200, answer.body
        return [item["id"] for item in answer.document["items"]]

    assert ids("") == [asked, *reversed(runs)]
    assert ids("flow=ask") == [asked]
    assert sorted(ids("flow=etl/load")) == sorted(runs)
    assert ids("status=failed") == [*reversed(runs)]  # the driver claims the jobs of all
    assert ids("cause=schedule") == []
    assert ids(f"q={asked[:6]}") == [asked]
    assert ids("since=1h&until=2000-01-01") == []
    assert ids("label=a=b") == []
    got: list[str] = []
    cursor = ""
    while True:
        answer = page.api("GET", f"/runs?limit=2{cursor}", token=operator).document
        got += [item["id"] for item in answer["items"]]
        if answer["next"] is None:
            break
        cursor = f"&cursor={answer['next']}"
    assert got == [asked, *reversed(runs)]


@pytest.mark.parametrize(
    "query",
    [
        "since=soon",
        "status=green",
        "limit=0",
        "limit=201",
        "limit=x",
        "cursor=x",
        "cursor=W10%3D",
        "cursor=W3RydWUsICJ4Il0%3D",  # [true, "x"]
        "label=a",
        "q=%ff",
        "flow=a&flow=b",
        "since=9999999999d",
    ],
)
def test_wrong_parameters_are_refused(page: PageServer, store: Store, operator: str, query: str) -> None:
    assert page.api("GET", f"/runs?{query}", token=operator).status == 400


@pytest.mark.parametrize("position", ["1%0A", "1-1%0A", "%D9%A1", "%D9%A1-%D9%A2", "1-", "-1", "$", "%2B"])
def test_a_position_is_one_of_a_stream(page: PageServer, store: Store, flows: Path, position: str) -> None:
    admin, run = token_of(store, "admin"), start(store, flows)
    paths = (f"/runs/{run}/events?after=", f"/runs/{run}/log?after=", f"/runs/{run}/jobs/0/log?after=", "/audit?cursor=")
    assert [page.api("GET", path + position, token=admin).status for path in paths] == [400] * 4


@pytest.mark.parametrize("first", ["0-0", "000-00", "0-1"])
def test_nothing_is_before_the_first_position(page: PageServer, store: Store, flows: Path, first: str) -> None:
    admin, run = token_of(store, "admin"), start(store, flows)
    page.api("POST", f"/runs/{run}/cancel", {}, token=admin)
    assert page.api("GET", "/audit", token=admin).document["items"]
    assert page.api("GET", f"/audit?cursor={first}", token=admin).document["items"] == []
    assert page.api("GET", f"/runs/{run}/log?before={first}", token=admin).document["entries"] == []


def test_a_retry_runs_failed_jobs_again(page: PageServer, store: Store, flows: Path, operator: str) -> None:
    run = start(store, flows)
    assert page.api("POST", f"/runs/{run}/retry", {"failed": True}, token=operator).code == "wrong_state"
    execute(store, run, fetch="failed")
    wanted = {
        "run": run,
        "attempt": 2,
        "jobs": [{"name": "fetch", "reason": "failed"}, {"name": "store", "reason": "skipped (upstream_failed)"}],
        "skipped": [],
    }
    tried = page.api("POST", f"/runs/{run}/retry", {"failed": True, "dry_run": True}, token=operator)
    assert tried.document == wanted
    assert store.runs.require(run).attempt == 1
    assert page.api("POST", f"/runs/{run}/retry", {"failed": True}, token=operator).document == wanted
    assert store.runs.require(run).attempt == 2
    execute(store, run)
    named = page.api("POST", f"/runs/{run}/retry", {"jobs": ["fetch"], "only": True}, token=operator)
    assert [job["name"] for job in named.document["jobs"]] == ["fetch"]
    execute(store, run)
    for wrong in ({}, {"failed": True, "jobs": ["fetch"]}):
        assert page.api("POST", f"/runs/{run}/retry", wrong, token=operator).status == 400
    missing = page.api("POST", f"/runs/{run}/retry", {"jobs": ["fetsch"]}, token=operator)
    assert (missing.status, "fetch" in missing.document["error"]["message"]) == (404, True)


def test_a_run_is_canceled_and_deleted(page: PageServer, store: Store, flows: Path, operator: str) -> None:
    run, admin = start(store, flows), token_of(store, "admin")
    assert page.api("DELETE", f"/runs/{run}", token=admin).code == "wrong_state"
    assert page.api("POST", f"/runs/{run}/jobs/1/cancel", {}, token=operator).status == 200
    assert page.api("POST", f"/runs/{run}/cancel", {}, token=operator).document == {"done": True, "note": None}
    assert store.runs.require(run).status is RunStatus.CANCELED
    assert page.api("POST", f"/runs/{run}/cancel", {}, token=operator).code == "wrong_state"
    assert page.api("POST", f"/runs/{run}/jobs/1/cancel", {}, token=operator).code == "wrong_state"
    assert page.api("DELETE", f"/runs/{run}", token=admin).status == 204
    assert page.api("GET", f"/runs/{run}", token=operator).status == 404


@pytest.mark.parametrize("decision", ["approved", "rejected"])
def test_a_user_decides_in_the_name_of_the_token(
    page: PageServer, store: Store, flows: Path, operator: str, decision: str
) -> None:
    run = start(store, flows, "ask")
    driver = Driver(store)
    driver.settle()
    (item,) = page.api("GET", "/attention", token=operator).document["approvals"]
    assert (item["run"], item["job"]) == (run, "ask")
    body = {"decision": decision, "comment": "it is time"}
    assert page.api("POST", f"/runs/{run}/jobs/{item['ordinal']}/approve", body, token=operator).status == 200
    found = page.api("GET", f"/runs/{run}/jobs/ask", token=operator).document
    assert (found["approval"]["by"], found["approval"]["comment"]) == ("ann", "it is time")
    assert found["status"] == {"approved": "finished", "rejected": "failed"}[decision]
    other = {"decision": "rejected" if decision == "approved" else "approved"}
    assert page.api("POST", f"/runs/{run}/jobs/ask/approve", other, token=operator).code == "wrong_state"
    assert page.api("POST", f"/runs/{run}/jobs/go/approve", body, token=operator).code == "wrong_state"
    driver.close()


def test_output_is_read_in_parts(page: PageServer, store: Store, flows: Path, operator: str) -> None:
    run = start(store, flows)
    driver = Driver(store)
    claim = driver.take()
    lines = [f"line {number}\n".encode() for number in range(100)]
    for index, line in enumerate(lines, 1):
        driver.step(logs=(LogLines(claim.id, claim.token, index, "out", line),))
    whole, path = b"".join(lines), f"/runs/{run}/jobs/0/log"
    answer = page.api("GET", path, token=operator)
    assert (answer.body, answer.headers["content-type"]) == (whole, "text/plain; charset=utf-8")
    assert (answer.headers["flowq-log-range"], answer.headers["flowq-log-dropped"]) == (f"0-{len(whole)}/{len(whole)}", "0")
    part = page.api("GET", f"{path}?offset=7&limit=5", token=operator)
    assert (part.body, part.headers["flowq-log-range"]) == (whole[7:12], f"7-12/{len(whole)}")
    assert page.api("GET", f"{path}?tail=20", token=operator).body == whole[-20:]
    assert page.api("GET", f"{path}?stream=err", token=operator).body == b""
    assert page.api("GET", f"{path}?execution=7", token=operator).body == b""
    down = page.api("GET", f"{path}?download=true", token=operator)
    assert (down.body, down.headers["content-disposition"]) == (whole, f'attachment; filename="{run}-0.log"')
    hits = page.api("GET", f"{path}?find=LINE%2042", token=operator).document
    assert hits == {"hits": [[whole.index(b"line 42"), "line 42"]], "next": None}
    for pattern in ("line.42", "(l%2B)%2B$", "%5Bl%5Dine%2042"):  # a search is for a text, so none takes long
        assert page.api("GET", f"{path}?find={pattern}", token=operator).document == {"hits": [], "next": None}
    rows: list[list[Any]] = []
    after = "0"
    while True:
        found = page.api(
            "GET", f"{path}?after={after}&limit=30", token=operator, headers={"Accept": "application/json"}
        ).document
        rows += found["entries"]
        after = found["next"]
        if not found["more"]:
            break
    assert "".join(row[4] for row in rows).encode() == whole
    assert {(row[2], row[3]) for row in rows} == {(0, "out")}
    every = page.api("GET", f"/runs/{run}/log", token=operator).document
    assert every["entries"] == rows
    driver.close()


def test_results_graphs_and_timelines(page: PageServer, store: Store, flows: Path, operator: str) -> None:
    run = start(store, flows)
    execute(store, run)
    assert page.api("GET", f"/runs/{run}/jobs/0/result", token=operator).document == {"result": None}
    graph = page.api("GET", f"/runs/{run}/graph", token=operator).document
    assert [box["label"] for box in graph["boxes"]] == ["fetch", "store"]
    assert graph["plan"] == page.api("GET", f"/runs/{run}", token=operator).document["plan"]
    timeline = page.api("GET", f"/runs/{run}/timeline", token=operator).document
    assert [bar["name"] for bar in timeline["bars"]] == ["fetch", "store"]


def test_the_source_of_a_run_is_what_was_submitted(page: PageServer, store: Store, flows: Path, operator: str) -> None:
    run = start(store, flows)
    (file,) = page.api("GET", f"/runs/{run}/source", token=operator).document["files"]
    text = (flows / "etl" / "load.yaml").read_text()
    assert file == {"file": str(flows / "etl" / "load.yaml"), "text": text, "note": None}
    try:
        (flows / "etl" / "load.yaml").write_text(text + "# changed\n")
        (file,) = page.api("GET", f"/runs/{run}/source", token=operator).document["files"]
        assert (file["text"], "has changed" in file["note"]) == (None, True)
    finally:
        (flows / "etl" / "load.yaml").write_text(text)


def test_names_are_one_segment() -> None:
    assert segment("etl/load") == "etl:load"
    assert segment("flows/etl/load:default") == "flows:etl:load::default"
    assert quoted("a b/c%d:e") == "a%20b:c%25d::e"


def test_what_is_not_there_is_not_found(page: PageServer, store: Store, flows: Path, operator: str) -> None:
    run = start(store, flows)
    for path in ("/jobs/7", "/jobs/-1", "/jobs/nothing", "/jobs/7/log", "/jobs/7/result", "/jobs/7/why"):
        assert page.api("GET", f"/runs/{run}{path}", token=operator).status == 404, path


def test_an_entry_is_as_it_was_stored(store: Store) -> None:
    from flowq.flows.views.job_log import entry_row

    entry = LogEntry("5-1", 5, "abcdefgh-7", 1, "err", b"\xff\n")
    assert entry_row(entry) == ["5-1", "1970-01-01T00:00:00.005Z", 7, "err", "\\xff\n"]
