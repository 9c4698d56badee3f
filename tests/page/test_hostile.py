"""Texts that want to become markup, in every place that a flow or a job can write to."""

from typing import TYPE_CHECKING

import pytest

from tests.page.conftest import GO, Login
from tests.page.served import Served
from tests.support.wait import until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

FORBIDDEN = "img[src='x'], #page script, iframe, b[onmouseover], #page [onerror], #page [onload], a[href^='javascript']"


@pytest.fixture(scope="module")
def run(served: Served) -> str:
    """Return a run that has ended badly."""
    found = served.launch("hostile")
    until(lambda: served.api("GET", f"/runs/{found}")["counts"].get("failed"), timeout=30, message="a job to fail")
    return found


def visit(page: "Page", path: str, text: str) -> None:
    page.evaluate(GO, path)
    page.get_by_text(text).or_(page.locator(f'[data-box="{text}"]')).first.wait_for(state="attached")
    assert page.locator(FORBIDDEN).count() == 0, path


def test_no_text_becomes_markup(login: Login, served: Served, run: str) -> None:
    page = login("/")
    ordinals = {job[1]: job[0] for job in served.api("GET", f"/runs/{run}/jobs")["rows"]}
    first = min(ordinals.values())
    pages = {
        "/": "onerror=alert(13)",
        "/runs": "hostile <img",
        "/flows": "alert(2)",
        "/flows/hostile": "iframe src",
        "/flows/hostile?view=source": "alert(4)",
        "/flows/hostile/launch": "iframe src",
        f"/runs/{run}": "fails",
        f"/runs/{run}/jobs": "svg/onload",
        f"/runs/{run}/timeline": "svg/onload",
        f"/runs/{run}/logs": "alert(7)",
        f"/runs/{run}/events": "svg/onload",
        f"/runs/{run}/yaml": "alert(4)",
        f"/runs/{run}/jobs?job={first}&view=log": "alert(7)",
        f"/runs/{run}/jobs?job={first}&view=result": "alert(10)",
        f"/runs/{run}/jobs?job={first}&view=details": "alert(4)",
        f"/runs/{served.run('files')}/artifacts": "alert(16)",
        f"/runs/{run}/jobs?job={ordinals['fails']}&view=error": "fails",
        f"/runs/{run}/jobs?job={ordinals['asks']}&view=why": "onerror=alert(13)",
    }
    for path, text in pages.items():
        visit(page, path, text)
    page.goto(f"/runs/{run}")  # also as the first view
    visit(page, f"/runs/{run}/jobs?job={first}&view=log", "alert(7)")


def test_escapes_of_a_terminal_are_no_links_and_hidden_characters_are_shown(login: Login, served: Served, run: str) -> None:
    page = login(f"/runs/{run}/jobs?job=0&view=log")
    line = page.locator(".logline", has_text="reversed")
    line.wait_for()
    assert line.inner_text() == "link \\u{202e}reversed"
    assert not line.locator("a").count()


def test_markup_is_refused_by_the_policy_even_if_a_script_tried(browser: "Browser", served: Served) -> None:
    context = browser.new_context(base_url=served.url)
    context.add_cookies([served.cookie("viewer")])  # type: ignore[list-item]
    page = context.new_page()
    page.goto("/runs")
    page.get_by_role("heading", name="Runs").wait_for()
    attempt = "() => { try { document.body.insertAdjacentHTML('beforeend', '<p>x'); } catch (error) { return error.name; } }"
    assert page.evaluate(attempt) == "TypeError"
    context.close()
