"""The page while things change: two browsers, output as it comes, a server that goes away and comes back, a proxy that holds back."""

from pathlib import Path

import pytest

from tests.page.buffering_proxy import BufferingProxy
from tests.page.conftest import Login
from tests.page.served import Served

pytestmark = pytest.mark.slow

POLL = 5000
"""ms between two readings of a page that has no stream."""


def test_two_browsers_see_the_same_without_a_reload(login: Login, served: Served) -> None:
    run = served.launch("shop", owner="ann")
    one, two = login(f"/runs/{run}?job=4"), login(f"/runs/{run}/jobs")
    two.get_by_role("row").filter(has_text="consent").get_by_text("approval").wait_for()
    one.get_by_role("button", name="Approve consent").click()
    one.get_by_role("dialog").get_by_role("button", name="Approve").click()
    two.locator(".runhead").get_by_text("finished").first.wait_for()
    two.get_by_role("row").filter(has_text="publish").get_by_text("finished").wait_for()


def test_output_is_followed(login: Login, served: Served, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    run = served.launch("slow", marker=str(marker))
    job, whole = login(f"/runs/{run}?job=0&view=log"), login(f"/runs/{run}/logs")
    for page in (job, whole):
        page.get_by_role("log").get_by_text("waiting").wait_for()
    marker.touch()
    for page in (job, whole):
        page.get_by_role("log").get_by_text("seen").wait_for()  # while the job runs
    marker.unlink()
    served.wait(run, "finished")
    whole.locator(".runhead .jobsbar").get_by_text("1/1").wait_for()  # the handler for a failure is no job of it


def test_new_runs_wait_behind_a_pill(login: Login, served: Served) -> None:
    served.run("parts:nightly")
    page = login("/runs")
    page.locator('[data-stream="live"]').wait_for()
    page.get_by_role("link", name="nightly").first.wait_for()
    rows = page.get_by_role("row").count()
    served.run("parts:nightly")
    page.get_by_role("button", name="1 new").wait_for()
    assert page.get_by_role("row").count() == rows
    page.get_by_role("button", name="1 new").click()
    page.wait_for_function("rows => document.querySelectorAll('[role=row], tr').length > rows", arg=rows)


def test_without_the_stream_the_page_asks_again_and_again(login: Login, served: Served) -> None:
    run = served.launch("shop", owner="ann")
    with BufferingProxy(served.port) as proxy:
        page = login("about:blank")
        page.clock.install()
        page.goto(f"{proxy.url}/runs/{run}")
        page.locator(".runhead").get_by_text("running").first.wait_for()
        page.clock.run_for(POLL)
        page.locator('[data-stream="polling"]').wait_for()
        served.api("POST", f"/runs/{run}/cancel", {})
        served.wait(run, "canceled")
        page.clock.run_for(POLL)
        page.locator(".runhead").get_by_text("canceled").first.wait_for()
        page.goto("about:blank")


def test_colours_of_a_terminal_become_classes(login: Login, served: Served) -> None:
    run = served.launch("shop", owner="ann")
    page = login(f"/runs/{run}?job=0&view=log")
    page.locator(".ansi-red", has_text="red").wait_for()
    served.api("POST", f"/runs/{run}/cancel", {})


def test_a_server_that_is_away_is_told_and_found_again(login: Login, served: Served) -> None:
    page = login("/queues")
    page.get_by_role("button", name="Suspend all workers …").wait_for()
    served.kill()
    page.get_by_text("No answer for").wait_for()
    assert page.get_by_role("button", name="Suspend all workers …").is_disabled()
    served.start()
    page.get_by_text("No answer for").wait_for(state="detached", timeout=20_000)
    page.locator('[data-stream="live"]').wait_for(timeout=20_000)
    assert page.get_by_role("button", name="Suspend all workers …").is_enabled()


def test_a_matrix_is_failing_until_its_other_cells_have_ended(login: Login, served: Served, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    run = served.launch("partly", marker=str(marker))
    page = login(f"/runs/{run}")
    box = page.locator('[data-box="cells ×2"] title')
    box.get_by_text("cells ×2: failing, 1/2").wait_for(state="attached")
    marker.touch()
    box.get_by_text("cells ×2: failed, 2/2").wait_for(state="attached")
