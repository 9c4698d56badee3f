"""Flows of the directory over HTTP: lists, checks and launches, as the command line does them; schedules; queues and workers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flowq.plan.schedule import Entry
from flowq.schedules.entries import Description
from flowq.serve.http.segments import quoted
from flowq.store import Store
from flowq.store.schema.outcomes import Outcome
from tests.cli.process import flowq
from tests.serve.http.conftest import NAMESPACE, execute, start
from tests.support.page_server import PageServer, token_of
from tests.support.server import PrivateServer
from tests.support.slot_driver import Driver
from tests.support.wait import until

TICK = "flows/etl/tick:default"
HOUR = 3_600_000


@pytest.fixture
def operator(store: Store) -> str:
    return token_of(store, "operator", name="ann")


def test_flows_are_listed_with_what_is_wrong(page: PageServer, store: Store, flows: Path, operator: str) -> None:
    run = start(store, flows)
    items = {item["name"]: item for item in page.api("GET", "/flows", token=operator).document["items"]}
    assert set(items) == {"ask", "etl/load", "etl/tick", "hook", "wrong"}
    assert (items["wrong"]["valid"], items["wrong"]["diagnostics_count"]) == (False, 1)
    load = items["etl/load"]
    assert (load["valid"], load["description"], load["params"]) == (True, "Load a table", 3)
    assert [(item["id"], item["status"]) for item in load["last_runs"]] == [(run, "running")]


def test_a_flow_has_what_a_form_needs(page: PageServer, store: Store, operator: str) -> None:
    document = page.api("GET", "/flows/etl:load", token=operator).document
    day, rows, table = document["params"]
    assert (day["name"], day["type"], day["default"], day["required"]) == ("day", "date", "2026-01-31", False)
    assert (rows["type"], rows["min"], rows["max"], rows["default"]) == ("integer", 1, 10, 3)
    assert (table["required"], table["has_default"], table["default"]) == (True, False, None)
    assert document["diagnostics"] == []
    hook = page.api("GET", "/flows/hook", token=operator).document
    assert [(item["name"], item["kind"]) for item in hook["triggers"]] == [("pushed", "webhook"), ("plain", "webhook")]
    wrong = page.api("GET", "/flows/wrong", token=operator).document
    (problem,) = wrong["diagnostics"]
    assert (problem["severity"], problem["line"], bool(problem["text"])) == ("error", 1, True)


def test_the_graph_of_a_flow_needs_no_values(page: PageServer, store: Store, operator: str) -> None:
    """`etl/load` has a param that a run needs."""
    graph = page.api("GET", "/flows/etl:load/graph", token=operator)
    assert graph.status == 200
    assert graph.document["boxes"]
    wrong = page.api("GET", "/flows/wrong/graph", token=operator)
    assert (wrong.status, wrong.document["error"]["code"]) == (409, "no_plan")


def test_a_check_says_what_the_command_line_says_at_the_param(
    page: PageServer, store: Store, flows: Path, operator: str
) -> None:
    def check(**body: object) -> dict[str, object]:
        answer = page.api("POST", "/flows/etl:load/check", body, token=operator)
        assert answer.status == 200, answer.body
        document: dict[str, object] = answer.document
        return document

    found = check(params={"rows": "11", "day": "tomorrow", "tabel": "x"})
    assert found["valid"] is False
    command = [
        sys.executable,
        "-m",
        "flowq",
        "plan",
        str(flows / "etl" / "load.yaml"),
        "-p",
        "rows=11",
        "-p",
        "day=tomorrow",
        "-p",
        "tabel=x",
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    by_param = {item["param"]: item["message"] for item in found["diagnostics"]}  # type: ignore[attr-defined]
    assert set(by_param) == {"rows", "day", "table", "tabel"}
    for message in by_param.values():
        assert message in said
    fine = check(params={"table": "birds", "rows": "7"}, selection={"until": ["fetch"]})
    assert (fine["valid"], fine["params"]) == (True, {"day": "2026-01-31", "rows": 7, "table": "birds"})
    assert [job["name"] for job in fine["plan"]["jobs"]] == ["fetch"]  # type: ignore[index]
    assert store.runs.recent() == []
    assert (
        page.api(
            "POST", "/flows/etl:load/check", {"params": {"table": "x"}, "selection": {"jobs": ["fetsch"]}}, token=operator
        ).status
        == 404
    )


def test_a_launch_makes_a_run(page: PageServer, store: Store, flows: Path, operator: str) -> None:
    body = {
        "params": {"table": "birds"},
        "labels": {"why": "test"},
        "selection": {"jobs": ["fetch"]},
        "timeout": 60,
        "cache": False,
    }
    answer = page.api("POST", "/flows/etl:load/runs", body, token=operator)
    assert answer.status == 201, answer.body
    run = store.runs.require(answer.document["id"])
    assert answer.headers["location"] == f"/api/v1/runs/{run.id}"
    assert (run.flow, run.cause, run.by, run.directory) == ("load", "api", "ann", str(flows))
    assert json.loads(run.labels) == {"why": "test"}
    wrong = page.api("POST", "/flows/etl:load/runs", {"params": {"rows": 0}}, token=operator)
    assert (wrong.status, wrong.code) == (422, "invalid_flow")
    assert {item["code"] for item in wrong.document["error"]["details"]}
    assert page.api("POST", "/flows/wrong/runs", {}, token=operator).status == 422


def test_a_launch_that_is_repeated_is_one_run(page: PageServer, store: Store, operator: str) -> None:
    def launch(key: str, token: str, **params: object) -> tuple[int, str]:
        body = {"params": {"table": "birds", **params}}
        answer = page.api("POST", "/flows/etl:load/runs", body, token=token, headers={"Idempotency-Key": key})
        return answer.status, answer.document.get("id") or answer.code

    first = launch("a", operator)
    assert first[0] == 201
    assert launch("a", operator) == first
    assert launch("a", operator, rows=4) == (409, "wrong_state")
    assert launch("b", operator)[1] != first[1]
    assert launch("a", token_of(store, "operator", name="eve"))[1] != first[1]
    assert len(store.runs.recent()) == 3


def test_a_run_is_started_again(page: PageServer, store: Store, flows: Path, operator: str) -> None:
    run = start(store, flows)
    answer = page.api("POST", f"/runs/{run}/again", {"params": {"rows": 5}}, token=operator)
    assert answer.status == 201, answer.body
    assert json.loads(store.runs.require(answer.document["id"]).params) == {"day": "2026-01-31", "rows": 5, "table": "birds"}
    assert answer.document["dropped_params"] == []


def test_a_param_that_the_flow_has_no_longer_is_left_out_and_told(
    page: PageServer, store: Store, flows: Path, operator: str
) -> None:
    run = start(store, flows)
    given = json.loads(store.runs.require(run).params)
    store.client.hset(store.session.keys("run", run), "params", json.dumps({**given, "gone": 1}))
    answer = page.api("POST", f"/runs/{run}/again", {}, token=operator)
    assert answer.status == 201, answer.body
    assert answer.document["dropped_params"] == ["gone"]
    assert json.loads(store.runs.require(answer.document["id"]).params) == given
    assert page.api("POST", f"/runs/{run}/again", {"params": {"gone": 1}}, token=operator).status == 422


def test_a_file_that_changes_is_noticed(page: PageServer, store: Store, flows: Path, operator: str) -> None:
    admin = token_of(store, "admin")
    (flows / "new.yaml").write_text("jobs: {a: {run: 'true'}}\n")
    try:
        page.api("POST", "/catalog/reload", {}, token=admin)
        until(lambda: page.api("GET", "/flows/new", token=operator).status == 200, timeout=10)
    finally:
        (flows / "new.yaml").unlink()
    until(lambda: page.api("GET", "/flows/new", token=operator).status == 404, timeout=10)


# -- schedules


@pytest.fixture
def tick(store: Store, flows: Path) -> str:
    """A schedule as a scheduler has described it; its address."""
    entry = Entry(name="default", line=1, every=HOUR)
    store.schedules.beat("test", [(TICK, entry.series.definition(0), False)])
    store.schedules.describe({TICK: Description(entry, str(flows / "etl" / "tick.yaml"), str(flows)).to_json()})
    return f"/schedules/{quoted(TICK)}"


def test_schedules_are_those_of_the_command_line(
    page: PageServer, server: PrivateServer, store: Store, tick: str, operator: str
) -> None:
    env = {**os.environ, "FLOWQ_NAMESPACE": NAMESPACE}
    (said,) = json.loads(flowq("-u", server.url, "schedule", "list", "--json", cwd=Path.cwd(), env=env).stdout)
    assert page.api("GET", tick, token=operator).document == said
    assert page.api("GET", "/schedules", token=operator).document["items"] == [said]
    slots = page.api("GET", f"{tick}/next?n=3", token=operator).document
    assert slots["items"][0]["slot"] == said["next"]
    assert (len(slots["items"]), slots["more"]) == (3, None)
    slots = page.api("GET", f"{tick}/next?n=3&from=2999-01-01&until=2999-01-02", token=operator).document
    assert [len(slots["items"]), slots["more"]] == [3, 21]


def test_a_schedule_is_paused_and_resumed(page: PageServer, store: Store, tick: str, operator: str) -> None:
    assert page.api("POST", f"{tick}/resume", {}, token=operator).code == "wrong_state"
    assert page.api("POST", f"{tick}/pause", {"note": "migration", "until": "2999-01-01"}, token=operator).status == 200
    found = page.api("GET", tick, token=operator).document
    assert (found["pause"]["by"], found["pause"]["note"], found["pause"]["until"]) == (
        "ann",
        "migration",
        "2999-01-01T00:00:00.000Z",
    )
    assert page.api("GET", "/attention", token=operator).document["paused"] == [
        {"schedule": TICK, "note": "migration", "by": "ann", "by_file": False, "until": "2999-01-01T00:00:00.000Z"}
    ]
    assert page.api("POST", f"{tick}/pause", {"until": "2001-01-01"}, token=operator).status == 400
    assert page.api("POST", f"{tick}/pause", {"until": "soon"}, token=operator).status == 400
    assert page.api("POST", f"{tick}/resume", {"catch_up": True}, token=operator).status == 200
    assert page.api("POST", f"{tick}/skip", {}, token=operator).document == {"done": True, "left_out": 0}


def test_a_slot_runs_by_hand(page: PageServer, store: Store, tick: str, operator: str) -> None:
    answer = page.api("POST", f"{tick}/trigger", {"slot": "2026-01-31T06:00"}, token=operator)
    assert answer.status == 201, answer.body
    run = store.runs.require(answer.document["id"])
    assert (run.schedule, run.cause, run.by) == (TICK, "api", "ann")
    for slot in ("2026-01-31T06:01", "0001-01-01", "9998-01-01T00:00", "2199-01-01T00:00", "02026-01-31T06:00"):
        assert page.api("POST", f"{tick}/trigger", {"slot": slot}, token=operator).status == 400, slot
    for year in ("0001", "0001-01-01", "9999-12-31"):
        assert page.api("GET", f"{tick}/next?from={year}", token=operator).status == 400, year
    (entry,) = page.api("GET", f"{tick}/history", token=operator).document["items"]
    assert (entry["run"], entry["text"], entry["status"]) == (run.id, "started by a user", "running")


def test_a_schedule_that_is_triggered_with_a_key_has_one_run(page: PageServer, store: Store, tick: str, operator: str) -> None:
    def trigger(**headers: str) -> str:
        answer = page.api(
            "POST", f"{tick}/trigger", {}, token=operator, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )
        assert answer.status == 201, answer.body
        return str(answer.document["id"])

    first = trigger(Idempotency_Key="a")
    assert trigger(Idempotency_Key="a") == first
    assert len({first, trigger(Idempotency_Key="b"), trigger(), trigger()}) == 4
    assert {store.runs.require(run).cause for run in store.runs.recent()} == {"api"}


def test_a_backfill_is_tried_and_begun(page: PageServer, store: Store, tick: str, operator: str) -> None:
    body = {"from": "2026-01-01", "to": "2026-01-01T03:00"}
    tried = page.api("POST", f"{tick}/backfill", {**body, "dry_run": True}, token=operator).document
    assert (tried["runs"], tried["backfill"], [slot["slot"][11:16] for slot in tried["slots"]]) == (
        3,
        None,
        ["00:00", "01:00", "02:00"],
    )
    made = page.api("POST", f"{tick}/backfill", {**body, "max_open": 2}, token=operator).document["backfill"]
    (listed,) = page.api("GET", "/backfills", token=operator).document["items"]
    assert (listed["id"], listed["state"], listed["max"], listed["by"]) == (made, "running", 2, "ann")
    for verb, state in (("pause", "paused"), ("resume", "running"), ("cancel", "canceled")):
        assert page.api("POST", f"/backfills/{made}/{verb}", {}, token=operator).status == 200
        record = store.backfills.get(made)
        assert record is not None
        assert record.state == state
    assert page.api("POST", f"/backfills/{made}/resume", {}, token=operator).code == "wrong_state"
    assert page.api("POST", f"{tick}/backfill", {"from": "2026-01-02", "to": "2026-01-01"}, token=operator).status == 400


# -- queues and workers


def test_queues_and_workers(page: PageServer, store: Store, flows: Path, operator: str) -> None:
    start(store, flows)
    (queue,) = page.api("GET", "/queues", token=operator).document["items"]
    assert (queue["name"], queue["queued"], queue["workers"], queue["suspended"]) == ("default", 1, 0, False)
    assert queue["oldest_at"]
    assert page.api("GET", "/attention", token=operator).document["queues_without_workers"] == [
        {"queue": "default", "queued": 1}
    ]
    assert page.api("POST", "/queues/suspend", {"seconds": 60}, token=operator).status == 200
    assert page.api("GET", "/queues", token=operator).document["suspended"] is True
    assert page.api("POST", "/queues/resume", {}, token=operator).document == {"done": True}
    assert page.api("POST", "/queues/resume", {}, token=operator).document == {"done": False}
    assert page.api("GET", "/workers", token=operator).document["items"] == []
    assert page.api("POST", "/workers/x/stop", {}, token=operator).status == 404
    assert page.api("POST", "/workers/x/jobs/y/kill", {}, token=operator).status == 404


def test_a_job_is_killed_on_the_worker_that_executes_it(page: PageServer, store: Store, flows: Path, operator: str) -> None:
    start(store, flows)
    driver = Driver(store)
    claim = driver.take()
    driver.beat(claim)
    path = f"/workers/driver/jobs/{claim.id}/kill"
    assert page.api("POST", "/workers/driver/jobs/another/kill", {}, token=operator).status == 404
    assert page.api("POST", path, {}, token=operator).status == 200
    (verdict,) = driver.beat(claim)
    assert "cancel" in str(verdict).lower()
    driver.end(claim, "canceled")
    assert page.api("POST", path, {}, token=operator).status in {404, 409}  # until the worker's next heartbeat
    driver.close()


def test_settings_and_garbage_are_an_admins(page: PageServer, store: Store, flows: Path) -> None:
    admin = token_of(store, "admin")
    items = page.api("GET", "/settings", token=admin).document["items"]
    assert {"name": "namespace", "value": NAMESPACE, "source": "FLOWQ_NAMESPACE", "variable": "FLOWQ_NAMESPACE"} in items
    runs = [start(store, flows) for _ in range(3)]
    for run in runs:
        execute(store, run)
    wish = {"keep": 1, "flow": "load"}
    tried = page.api("POST", "/gc", {**wish, "dry_run": True}, token=admin).document
    assert (tried["dry_run"], sorted(tried["chosen_runs"])) == (True, sorted(runs[:2]))
    assert len(store.runs.recent()) == 3
    assert page.api("POST", "/gc", wish, token=admin).document["chosen_runs"] == tried["chosen_runs"]
    assert store.runs.recent() == [runs[2]]
    assert page.api("POST", "/gc", {"older_than": "soon"}, token=admin).status == 400


def test_flows_come_in_parts(page: PageServer, store: Store, operator: str) -> None:
    whole = [item["name"] for item in page.api("GET", "/flows", token=operator).document["items"]]
    assert whole == sorted(whole)
    found: list[str] = []
    cursor = ""
    while True:
        part = page.api("GET", f"/flows?limit=2{cursor}", token=operator).document
        assert len(part["items"]) <= 2
        found += [item["name"] for item in part["items"]]
        if part["next"] is None:
            break
        cursor = f"&cursor={part['next']}"
    assert found == whole
    assert page.api("GET", "/flows?limit=501", token=operator).status == 400


def test_health(page: PageServer, store: Store) -> None:
    assert page.ask("GET", "/healthz").document == {"ok": True}
    assert page.ask("GET", "/healthz", token="fqt_wrong").document == {"ok": True}  # credentials are not looked at
    answer = page.ask("GET", "/readyz")
    assert (answer.status, answer.document) == (503, {"ok": False})  # the directory has schedules, and no scheduler lives
    store.schedules.beat("test", [])
    assert page.ask("GET", "/readyz").document == {"ok": True}


def test_the_processes_that_serve_are_listed(page: PageServer, store: Store, operator: str) -> None:
    store.accesses.beat("x", json.dumps({"url": "http://x", "pid": 1}))
    items = page.api("GET", "/serves", token=operator).document["items"]
    assert ("x", "http://x", False) in [(item["name"], item["url"], item["current"]) for item in items]
    store.accesses.beat("x", "")
    assert "x" not in store.accesses.pages()


def test_grants_are_kept_once(store: Store) -> None:
    from flowq.store.page.access import AccessRecord

    record = AccessRecord("d", "token", "ann", "viewer")
    assert store.accesses.grant(record) is Outcome.DONE
    assert store.accesses.grant(record) is Outcome.DUPLICATE
    assert store.accesses.touch("d", "10.0.0.7") is Outcome.DONE
    found = store.accesses.find("d")
    assert found is not None
    assert (found.address, found.used_ms is not None) == ("10.0.0.7", True)
    assert store.accesses.revoke("d") is Outcome.DONE
    assert store.accesses.revoke("d") is Outcome.NOT_FOUND
    assert store.accesses.touch("d", "") is Outcome.NOT_FOUND


@pytest.mark.parametrize(
    "labels",
    [{"a\nb": "x"}, {"a\n": "x"}, {"a\0": "x"}, {"a=b": "x"}, {"": "x"}, {"k" * 200: "x"}, {str(n): "x" for n in range(101)}],
)
def test_labels_that_could_not_be_typed_are_refused(page: PageServer, store: Store, labels: dict[str, str]) -> None:
    answer = page.ask(
        "POST", "/api/v1/flows/etl:load/runs", {"params": {"table": "t"}, "labels": labels}, token=token_of(store, "operator")
    )
    assert answer.status == 400, answer.body
    assert store.runs.recent() == []
