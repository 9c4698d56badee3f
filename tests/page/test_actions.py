"""What users do on the page: launch, approve, retry, cancel, delete, pause, make tokens. Each is checked in the store, through the API."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flowq.plan.schedule import Entry
from flowq.schedules.entries import Description
from tests.page.conftest import Login
from tests.page.served import Served
from tests.support.wait import until

if TYPE_CHECKING:
    from playwright.sync_api import Route

pytestmark = [pytest.mark.slow, pytest.mark.browser]


def test_a_form_takes_typed_params_says_what_is_wrong_at_the_field_and_launches(login: Login, served: Served) -> None:
    page = login("/flows/shop/launch")
    launch = page.get_by_role("button", name="Launch", exact=True)
    page.get_by_text("needs values").wait_for()
    page.get_by_label("owner").fill("Ann 1")
    page.locator("#param-owner-error").get_by_text("[a-z]+").wait_for()
    page.get_by_label("owner").fill("ann")
    page.locator(".side .is-good").wait_for()
    assert page.locator("#param-count").get_attribute("placeholder") == "5"
    page.locator("#param-count").fill("12")
    page.locator("#param-count-error").get_by_text("9").wait_for()
    page.locator("#param-count").fill("many")
    page.locator("#param-count-error").get_by_text("A number is needed").wait_for()
    page.locator("#param-count").fill("7")
    page.locator("#param-share").fill("0.25")
    page.locator("#param-mode").select_option("full")
    page.locator("#param-strict").select_option("true")
    page.locator("#param-day").fill("2026-02-03")
    page.locator("#param-moment").fill("2026-02-03T04:05:06")
    page.locator("#param-wait").fill("soon")
    page.locator("#param-wait-error").wait_for()
    page.locator("#param-wait").fill("90m")
    page.locator("#param-tags").fill("[1, 2")
    page.locator("#param-tags-error").get_by_text("This is not JSON").wait_for()
    page.locator("#param-tags").fill('["x", "y"]')
    page.locator("#param-more").fill("[]")
    page.locator("#param-more-error").get_by_text("A map is needed").wait_for()
    page.get_by_role("button", name="Clear more").click()
    page.locator("#param-note").fill("hello")
    page.get_by_label("Labels").fill("team=data\nticket=42")
    page.locator(".side .is-good").wait_for()
    launch.click()
    page.get_by_role("heading", name="shop", exact=True).wait_for()
    run = served.api("GET", f"/runs/{page.url.rpartition('/')[2]}")
    assert run["labels"] == {"team": "data", "ticket": "42"}
    assert {name: run["params"][name] for name in ("count", "share", "mode", "strict", "tags", "note")} == {
        "count": 7,
        "share": 0.25,
        "mode": "full",
        "strict": True,
        "tags": ["x", "y"],
        "note": "hello",
    }
    assert run["by"] == "admin"
    again = page.get_by_role("button", name="Run again …")
    again.click()
    page.get_by_role("heading", name="Launch shop").wait_for()
    assert page.locator("#param-count").input_value() == "7"


def test_an_approval_is_given_with_a_comment(login: Login, served: Served) -> None:
    run = served.launch("shop", owner="ann", mode="full")
    page = login("/", role="operator")
    page.get_by_role("row").filter(has_text=run).get_by_role("button", name="Approve").click()
    page.get_by_role("dialog").get_by_label("Comment").fill("looks right")
    page.get_by_role("dialog").get_by_role("button", name="Approve").click()
    served.wait(run, "finished")
    page.goto(f"/runs/{run}/jobs?job=4&view=details")
    page.get_by_text("operator: looks right").wait_for()


def test_a_rejection_from_the_drawer_fails_the_run(login: Login, served: Served) -> None:
    run = served.launch("shop", owner="ann")
    page = login(f"/runs/{run}?job=4")
    page.get_by_role("button", name="Reject consent").click()
    page.get_by_role("dialog").get_by_role("button", name="Reject").click()
    served.wait(run, "failed")


def test_a_retry_shows_first_what_it_does(login: Login, served: Served, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    run = served.run("fails", "failed", marker=str(marker))
    page = login("/")
    failed = page.get_by_role("table", name="Failed runs").get_by_role("row").filter(has_text=run)
    failed.get_by_text(f"marker={marker}"[:39]).wait_for()
    page.goto(f"/runs/{run}?job=1")
    page.get_by_text("exit code 3").first.wait_for()
    page.get_by_text("breaks:", exact=True).wait_for()  # the line of the flow
    page.get_by_label("Close the job").click()
    page.get_by_role("button", name="Retry failed …").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("2 jobs run again").wait_for()
    assert served.api("GET", f"/runs/{run}")["attempt"] == 1
    marker.touch()
    dialog.get_by_role("button", name="Retry").click()
    served.wait(run, "finished")
    assert served.api("GET", f"/runs/{run}")["attempt"] == 2
    page.locator(".runhead .pagehead").get_by_text("finished").wait_for()
    page.goto(f"/runs/{run}?job=2")
    page.get_by_role("link", name="Attempts").click()
    page.get_by_role("table", name="Executions").get_by_text("finished").wait_for()
    page.get_by_role("button", name="Retry this job …").click()
    page.get_by_role("dialog").get_by_text("1 job runs again").wait_for()
    page.get_by_role("dialog").get_by_role("button", name="Retry").click()
    until(lambda: served.api("GET", f"/runs/{run}")["attempt"] == 3, message="the third attempt")


def test_files_that_jobs_have_left_are_shown_and_downloaded(login: Login, served: Served) -> None:
    run = served.run("files")
    page = login(f"/runs/{run}", role="viewer")
    page.get_by_role("navigation", name="Views of the run").get_by_role("link", name="Artifacts").click()
    files = page.get_by_role("table", name="Files of artifacts")
    files.get_by_text("no files").nth(1).wait_for()
    page.get_by_role("button", name="Show out-north/index.html").click()
    content = page.get_by_role("dialog", name="out-north/index.html").get_by_label("Content")
    text = "<h1>Penguins of the north</h1><img src=x onerror=alert(15)>\n"
    assert content.inner_text() == text
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Show out-south/<b onmouseover=alert(16)>.bin").click()
    page.get_by_role("dialog").get_by_text("This is not text").wait_for()
    page.keyboard.press("Escape")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download out-north/index.html").click()
    assert download.value.suggested_filename == "out-north_index.html"
    assert Path(download.value.path()).read_text() == text
    page.get_by_role("button", name="build[part=south]").first.click()
    drawer = page.get_by_role("complementary", name="Job build[part=south]")
    drawer.get_by_text("out-south/index.html").wait_for()
    assert drawer.get_by_role("row").filter(has_text="out-north").count() == 0
    page.goto(f"/runs/{run}/artifacts?job=reads&view=artifacts")
    drawer = page.get_by_role("complementary", name="Job reads")
    drawer.get_by_text("It has left no files.").wait_for()
    fetched = drawer.get_by_role("table", name="Artifacts of other jobs").get_by_role("row").last.inner_text().split()
    assert fetched == ["site", "build", "got-${{", "run.id", "}}"]


def test_runs_are_filtered_selected_canceled_and_deleted(login: Login, served: Served, tmp_path: Path) -> None:
    runs = [served.launch("slow", marker=str(tmp_path / "never")) for _ in range(2)]
    page = login("/runs?flow=slow&status=running")
    for run in runs:
        page.get_by_label(f"Select run {run}").check()
    page.get_by_role("button", name="Cancel …").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel 2 runs").click()
    for run in runs:
        served.wait(run, "canceled")
    page.goto(f"/runs?q={runs[0]}")
    page.get_by_label(f"Select run {runs[0]}").check()
    page.get_by_role("button", name="Delete …").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete 1 run").click()
    page.get_by_text("No run fits").wait_for()
    assert not served.api("GET", f"/runs?q={runs[0]}")["items"]
    page.get_by_role("button", name="Show all").click()
    page.get_by_label("Status").select_option("canceled")
    page.get_by_role("link", name="slow").first.wait_for()
    assert "status=canceled" in page.url


def test_runs_of_a_flow_are_told_apart_by_their_params(login: Login, served: Served) -> None:
    run = served.launch("shop", owner="ann", mode="full", note="x" * 500)
    row = login("/runs").get_by_role("row").filter(has_text=run)
    row.get_by_text("mode=full").wait_for()
    shown = row.get_by_text("note=xxx").inner_text()
    assert shown.endswith("x…")
    assert len(shown) == 40


def test_a_typed_filter_adds_to_a_chosen_one(login: Login) -> None:
    page = login("/runs?q=none")
    page.get_by_role("button", name="Show all").click()
    page.get_by_label("Status").select_option("running")
    page.get_by_role("searchbox", name="Flow").fill("slo")
    page.wait_for_url("**/runs?*flow=slo*")
    assert "status=running" in page.url
    assert "q=" not in page.url


def test_a_list_stays_when_an_action_of_the_one_before_ends(login: Login, served: Served, tmp_path: Path) -> None:
    """The stream tells that a run is deleted before the request is answered; the user has chosen another filter meanwhile."""
    runs = [served.launch("slow", marker=str(tmp_path / "never")) for _ in range(2)]
    for run in runs:
        served.api("POST", f"/runs/{run}/cancel", body={})
        served.wait(run, "canceled")
    page = login(f"/runs?q={runs[0]}")
    held: list[Route] = []

    def hold(route: "Route") -> None:
        held.append(route)

    page.route(f"**/runs/{runs[0]}", hold)
    page.get_by_label(f"Select run {runs[0]}").check()
    page.get_by_role("button", name="Delete …").click()
    with page.expect_request(lambda request: request.method == "DELETE"):
        page.get_by_role("dialog").get_by_role("button", name="Delete 1 run").click()
    page.evaluate(
        "path => { history.pushState({}, '', path); dispatchEvent(new PopStateEvent('popstate')); }", f"/runs?q={runs[1]}"
    )
    page.get_by_label(f"Select run {runs[1]}").wait_for()
    with page.expect_response(lambda response: "/runs?" in response.url):
        held[0].continue_()
    page.get_by_text("1 run deleted").wait_for()
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page.get_by_label(f"Select run {runs[1]}").is_visible()


def test_a_running_job_and_its_run_are_canceled(login: Login, served: Served, tmp_path: Path) -> None:
    first, second = (served.launch("slow", marker=str(tmp_path / "never")) for _ in range(2))
    page = login(f"/runs/{first}?job=0")
    page.get_by_role("button", name="Cancel this job").click()
    served.wait(first, "canceled")
    page.goto(f"/runs/{second}")
    page.get_by_role("button", name="Cancel …").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the run").click()
    served.wait(second, "canceled")
    page.get_by_role("button", name="Commands").click()
    page.get_by_text(f"flowq retry {second} --failed").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Delete …").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete the run").click()
    page.get_by_role("heading", name="Runs").wait_for()


def test_a_schedule_is_paused_resumed_triggered_and_backfilled(login: Login, served: Served) -> None:
    name = "shop/parts/nightly:default"
    path = "/schedules/shop:parts:nightly::default"
    page = login("/schedules")
    page.get_by_role("button", name=f"Pause {name}").click()
    page.get_by_role("dialog").get_by_label("Why").fill("holidays")
    page.get_by_role("dialog").get_by_role("button", name="Pause").click()
    page.get_by_role("button", name=f"Resume {name}").wait_for()
    assert served.api("GET", path)["pause"]["note"] == "holidays"
    page.get_by_role("button", name=f"Resume {name}").click()
    page.get_by_role("button", name=f"Pause {name}").wait_for()
    served.api("POST", f"{path}/pause", {"until": "2999-01-01"})
    page.goto("/")
    page.get_by_role("table", name="Paused schedules").get_by_role("row").filter(has_text=name).get_by_text(
        "2999-01-01"
    ).wait_for()
    page.goto(f"/schedules?schedule={name}")
    page.get_by_text("until 2999-01-01").wait_for()
    page.get_by_role("button", name=f"Resume {name}").click()
    page.get_by_role("button", name=f"Trigger {name}").click()
    page.get_by_text("Started run").wait_for()
    page.get_by_role("button", name=f"Backfill {name}").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("From").fill("2024-01-01")
    dialog.get_by_label("Up to").fill("2026-02-01")
    dialog.get_by_role("button", name="Show the slots").click()
    dialog.get_by_text("3 slots would run").wait_for()
    dialog.get_by_role("button", name="Start 3 runs").click()
    page.get_by_role("table", name="Backfills").wait_for()
    until(lambda: len(served.api("GET", "/runs?cause=backfill")["items"]) == 3, timeout=30, message="three runs")
    page.goto(f"/schedules?schedule={name}")
    page.get_by_text("by a backfill").first.wait_for()


def test_a_trigger_has_no_slots_and_an_allowed_failure_is_drawn_as_one(login: Login, served: Served) -> None:
    name = "shop/allows:skips"
    page = login("/schedules")
    row = page.get_by_role("row").filter(has_text=name)
    row.get_by_text("after parts/nightly (skipped)").wait_for()
    assert [button.inner_text() for button in row.locator("td.actions").get_by_role("button").all()] == ["Pause …"]
    coming = page.get_by_role("region", name="Coming slots")
    coming.get_by_text("shop/parts/nightly:default").wait_for()
    assert coming.get_by_text(name).count() == 0
    page.goto(f"/runs/{served.run('allows')}")
    box = page.locator("[data-box=shaky]")
    box.wait_for()
    assert (box.locator("title").text_content(), box.locator(".mark").text_content()) == ("shaky: failed, allowed", "✖")


def test_a_backfill_is_paused_resumed_and_canceled(login: Login, served: Served) -> None:
    served.api("POST", "/queues/suspend", {})  # its first run stays open
    try:
        body = {"from": "2019-01-01", "to": "2023-02-01"}
        made = served.api("POST", "/schedules/shop:parts:nightly::default/backfill", body)["backfill"]
        page = login("/schedules")
        for button, then in (("Pause", "Resume"), ("Resume", "Pause")):
            page.get_by_role("button", name=f"{button} backfill {made}").click()
            page.get_by_role("button", name=f"{then} backfill {made}").wait_for()
        page.get_by_role("button", name=f"Cancel backfill {made}").click()
        page.get_by_role("row").filter(has_text=made).get_by_text("canceled").wait_for()
        (found,) = [item for item in served.api("GET", "/backfills")["items"] if item["id"] == made]
        assert found["state"] == "canceled"
    finally:
        served.api("POST", "/queues/resume", {})


def test_a_backlog_is_skipped(login: Login, served: Served) -> None:
    name, path = "shop/late:default", "/schedules/shop:late::default"
    with served.store() as store:  # known, and no scheduler fires it
        store.schedules.beat("test", [(name, "d", False)])
        flow = str(served.directory / "shop.yaml")
        described = Description(Entry(name="default", line=1, every=1000), flow, str(served.directory))
        store.schedules.describe({name: described.to_json()})
        until(lambda: served.api("GET", path)["backlog"] > 1, message="slots that are late")
        page = login("/schedules")
        page.get_by_role("button", name=f"Skip the backlog of {name}").click()
        page.get_by_role("dialog").get_by_role("button", name="Skip").click()
        page.get_by_role("dialog").wait_for(state="detached")
        assert any(
            "skip" in item["outcome"] or "left" in item["outcome"] for item in served.api("GET", f"{path}/history")["items"]
        )
        served.api("POST", f"{path}/pause", {})


def test_a_job_is_killed_and_a_worker_stopped(login: Login, served: Served, tmp_path: Path) -> None:
    run = served.launch("slow", marker=str(tmp_path / "never"))
    page = login("/workers")
    page.get_by_role("button", name=f"Kill {run}").click()
    page.get_by_role("dialog").get_by_role("button", name="Kill").click()
    served.wait(run, "canceled")
    (before,) = [item["name"] for item in served.api("GET", "/workers")["items"]]
    page.get_by_role("button", name=f"Stop worker {before}").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop", exact=True).click()
    until(
        lambda: [item["name"] for item in served.api("GET", "/workers")["items"] if item["name"] != before],
        message="another worker",
    )


def test_old_runs_are_counted_and_then_deleted(login: Login, served: Served) -> None:
    runs = [served.run("parts:nightly") for _ in range(2)]
    page = login("/admin?view=gc")
    page.get_by_label("Keep the latest runs").fill("1")
    delete = page.get_by_role("button", name="Delete", exact=True)
    assert delete.is_disabled()
    page.get_by_role("button", name="Show what goes").click()
    page.get_by_text("Would delete").wait_for()
    assert served.api("GET", f"/runs/{runs[0]}")["status"] == "finished"
    delete.click()
    page.get_by_text("Deleted: ").wait_for()
    assert not served.api("GET", f"/runs?q={runs[0]}")["items"]
    assert served.api("GET", f"/runs?q={runs[1]}")["items"]


def test_workers_are_suspended_and_resumed(login: Login, served: Served) -> None:
    page = login("/queues")
    page.get_by_role("button", name="Suspend all workers …").click()
    page.get_by_role("dialog").get_by_role("button", name="Suspend").click()
    page.get_by_role("button", name="Resume all workers").click()
    page.get_by_role("button", name="Suspend all workers …").wait_for()
    assert not served.api("GET", "/queues")["suspended"]


def test_a_token_is_shown_once_and_revoked(login: Login, served: Served) -> None:
    page = login("/admin")
    page.get_by_role("button", name="New token …").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("dashboard")
    dialog.get_by_label("Role").select_option("viewer")
    dialog.get_by_label("Flows").fill("shop/*")
    dialog.get_by_role("button", name="Create").click()
    secret = dialog.locator(".copy code").inner_text()
    dialog.get_by_role("button", name="Done").click()
    page.get_by_role("button", name="Revoke dashboard").wait_for()
    assert secret not in page.content()
    assert any(item["name"] == "dashboard" and item["flows"] == ["shop/*"] for item in served.api("GET", "/tokens")["items"])
    page.get_by_role("button", name="Revoke dashboard").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    page.get_by_role("button", name="Revoke dashboard").wait_for(state="detached")


def test_a_viewer_sees_no_button_that_changes_something(login: Login, served: Served) -> None:
    run = served.launch("shop", owner="ann")
    page = login(f"/runs/{run}?job=4", role="viewer")
    page.get_by_role("link", name="Details", exact=True).wait_for()
    names = set(page.get_by_role("button").all_inner_texts())
    assert not {name for name in names if name.startswith(("Cancel", "Retry", "Delete", "Approve", "Reject", "Run again"))}
    assert not page.get_by_role("link", name="Admin").count()
    served.api("POST", f"/runs/{run}/cancel", {})
