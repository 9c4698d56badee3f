"""Every route of the page: it shows what it is for, works in a narrow window and has no barriers that axe finds."""

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

from flowq.serve.http.segments import segment
from tests.page.conftest import GO, Login
from tests.page.served import Served
from tests.support.wait import until

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.slow, pytest.mark.browser]

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]

RUN = {
    "": "consent",
    "/jobs": "load[part=north]",
    "/timeline": "load[part=north]",
    "/logs": "loading south",
    "/events": "the run",
    "/yaml": "Every type of param",
    "/jobs?job=3&view=result": "rows",
    "/jobs?job=0&view=log": "loading north",
    "/jobs?job=4&view=why": "Go on with delta?",
    "/jobs?job=0&view=attempts": "Executions",
    "/jobs?job=0&view=details": "flowq logs",
    "/artifacts": "No job has left files",
}
"""What tabs of a run show."""

PAGES = {
    "/": "Waiting for a decision",
    "/runs": "shop",
    "/flows": "Every type of param",
    "/flows/shop": "Params",
    "/flows/parts:nightly?view=graph": "one",
    "/flows/shop?view=source": "depends_on: [consent]",
    "/flows/broken": "did you mean depends_on?",
    "/flows/shop/launch": "needs values",
    "/schedules?schedule=shop/parts/nightly:default": "parts/nightly.yaml",
    "/queues": "default",
    "/workers": "idle",
    "/admin": "admin",
    "/admin?view=audit": "/api/v1/flows/shop/runs",
    "/admin?view=doctor": "D201",
    "/admin?view=serves": "answers here",
    "/admin?view=settings": "FLOWQ_REDIS_URL",
    "/admin?view=gc": "Keep the latest runs",
}


FILES = {
    "/artifacts": "out-south/index.html",
    "/artifacts?job=build[part=north]&view=artifacts": "Job build[part=north]",
    "/artifacts?job=reads&view=artifacts": "Fetched before it began",
}
"""What the page of a run whose jobs have left files shows."""


@pytest.fixture(scope="module")
def asking(served: Served) -> str:
    """Return a run that waits for a decision."""
    run = served.launch("shop", owner="ann")
    until_asked(served, run)
    return run


def until_asked(served: Served, run: str) -> None:
    until(lambda: served.api("GET", f"/runs/{run}")["approvals"], message=f"run {run} to ask")


def shows(page: "Page", text: str) -> None:
    """Wait until the page has a text, also where only a drawing or a screen reader has it."""
    page.get_by_text(text).or_(
        page.locator(f'[data-box="{text}"], [title*="{text}"], [aria-label="{text}"], table:has(caption:text-is("{text}"))')
    ).first.wait_for(state="attached")


def barriers(page: "Page", rules: object = RULES) -> list[str]:
    """Return what axe finds."""
    if not page.evaluate("Boolean(window.axe)"):
        page.evaluate(AXE)
    found = page.evaluate("rules => axe.run({runOnly: rules, resultTypes: ['violations']})", rules)
    return [
        f"{item['id']}: {node['html'][:160]} {node['failureSummary'][:300]}"
        for item in found["violations"]
        for node in item["nodes"]
    ]


def test_pages_have_no_barriers_in_both_themes_and_fit_a_narrow_window(login: Login, served: Served, asking: str) -> None:
    files = served.run("files")
    page = login("/", reduced_motion="reduce")
    found: dict[str, object] = {}
    tabs = {f"/runs/{run}{tab}": text for run, shown in ((asking, RUN), (files, FILES)) for tab, text in shown.items()}
    for path, text in (PAGES | tabs).items():
        page.evaluate(GO, path)
        shows(page, text)
        found[path] = barriers(page)
        page.emulate_media(color_scheme="dark")
        found[f"{path} in the dark"] = barriers(page, {"type": "rule", "values": ["color-contrast"]})
        page.set_viewport_size({"width": 360, "height": 740})
        found[f"{path} at 360 px"] = max(0, page.evaluate("document.documentElement.scrollWidth") - 360)
        page.emulate_media(color_scheme="light")
        page.set_viewport_size({"width": 1280, "height": 800})
    assert "\n".join(f"{path}: {items}" for path, items in found.items() if items) == ""


LOADED = """() => {
  const preloaded = new Set([...document.querySelectorAll('link[rel=modulepreload], script')].map((node) => node.href || node.src));
  const loaded = performance.getEntriesByType("resource").map((entry) => entry.name);
  return {
    late: loaded.filter((name) => name.includes("/js/") && !preloaded.has(name)),
    unused: [...preloaded].filter((name) => !loaded.includes(name)),
    documents: loaded.filter((name) => name.includes("/api/v1/") && !name.includes("/events")).map((name) => name.split("/api/v1")[1]),
    left: [...globalThis.early.keys()],
  };
}"""
"""Modules that are not loaded at once, such as are named and not loaded, the documents in the order of their requests, and those that were not taken."""


def test_what_a_view_needs_is_asked_for_at_once(login: Login, asking: str) -> None:
    """Not module by module, and documents not after them: each step would cost a view a round trip and, on slow devices, more than that."""
    views = {
        "/": "Waiting for a decision",
        "/runs": "shop",
        f"/runs/{asking}": "consent",
        f"/runs/{asking}/jobs": "load[part=north]",
    }
    views |= {"/flows": "Every type of param", "/schedules": "shop/parts/nightly:default", "/workers": "idle"}
    page = login("/")
    for path, text in views.items():
        page.goto(path)
        shows(page, text)
        found = page.evaluate(LOADED)
        assert found["late"] == [], path
        assert found["unused"] == [], path
        assert found["documents"][0] == "/session"
        first = [name for name in found["documents"] if name.startswith(path.removesuffix("/jobs")) or name == "/attention"]
        if page.evaluate("performance.now()") < 4000:  # else they are asked for again
            assert found["left"] == [], path
            assert len(first) == len(set(first)) or path == "/", first


def test_the_login_page_takes_a_token_and_has_no_barriers(login: Login, served: Served) -> None:
    page = login("/runs")
    page.context.clear_cookies()
    page.reload()
    page.get_by_label("Token").fill("flowq_wrong")
    page.get_by_role("button", name="Log in").click()
    page.get_by_text("the token is unknown").wait_for()
    assert not barriers(page)
    page.get_by_label("Token").fill(served.secret("viewer"))
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="Runs").wait_for()


def test_the_printed_address_signs_in_and_leaves_no_token_behind(login: Login, served: Served) -> None:
    page = login("/")
    page.context.clear_cookies()
    page.goto("about:blank")
    page.goto(served.login_url)
    page.get_by_role("navigation", name="Pages").wait_for()
    assert "token" not in page.url


def test_signing_out_leaves_the_cookies_of_other_programs_of_the_host(login: Login, served: Served) -> None:
    """Cookies belong to all ports of a host."""
    page = login("/runs")
    page.context.add_cookies([{"name": "notebook", "value": "signed-in", "domain": "127.0.0.1", "path": "/"}])
    assert {cookie["name"] for cookie in page.context.cookies()} == {"notebook", f"flowq-{served.port}"}
    page.get_by_role("button", name="Log out").click()
    page.get_by_label("Token").wait_for()
    assert [cookie["name"] for cookie in page.context.cookies()] == ["notebook"]


def test_what_is_not_there_says_so(login: Login) -> None:
    page = login("/runs/nothere")
    shows(page, "is not here")
    page.get_by_role("link", name="The list of runs").wait_for()
    page.goto("/nothing/at/all")
    shows(page, "There is no page here")


def test_a_run_that_cannot_be_read_is_named_above_the_others(login: Login, served: Served, asking: str) -> None:
    with served.store() as store:
        key = store.session.keys("run", asking)
        right = store.client.hget(key, "created_at")
        store.client.hset(key, "created_at", "letters")
        try:
            page = login("/runs")
            shows(page, f"Run {asking} is not shown: the record of run {asking} cannot be read: ")
            assert page.locator(f"table a:has-text('{asking}')").count() == 0
        finally:
            store.client.hset(key, "created_at", right or b"")


def test_addresses_keep_the_state_and_back_returns_to_it(login: Login, asking: str) -> None:
    page = login(f"/runs/{asking}/jobs")
    page.get_by_role("button", name="load[part=south]").click()
    page.get_by_role("complementary", name="Job load[part=south]").wait_for()
    page.get_by_role("link", name="Details", exact=True).click()
    page.reload()
    page.get_by_text("flowq logs").first.wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("complementary").wait_for(state="detached")
    page.get_by_role("link", name="Timeline").click()
    page.get_by_role("region", name="Timeline of the run").wait_for()
    page.go_back()
    page.get_by_role("table", name="Jobs of the run").wait_for()
    page.go_forward()
    page.get_by_role("region", name="Timeline of the run").wait_for()


def test_a_page_can_be_used_with_keys_alone(login: Login, asking: str) -> None:
    page = login("/")
    page.get_by_text("Waiting for a decision").wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    page.keyboard.press("g")
    page.keyboard.press("r")
    page.get_by_role("heading", name="Runs").wait_for()
    page.goto(f"/runs/{asking}")
    page.locator(".graph").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.get_by_role("complementary", name="Job consent").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("complementary").wait_for(state="detached")
    page.keyboard.press("2")
    page.get_by_role("table", name="Jobs of the run").wait_for()
    page.keyboard.press("j")
    page.get_by_role("complementary", name="Job load[part=north]").wait_for()
    page.keyboard.press("t")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"


def test_the_present_tab_is_in_view_in_a_narrow_window(login: Login, asking: str) -> None:
    page = login(f"/runs/{asking}/yaml", viewport={"width": 360, "height": 740})
    for name, bar in (("YAML", "Views of the run"), ("Runs", "Pages")):
        link = page.get_by_role("navigation", name=bar).get_by_role("link", name=name)
        link.wait_for()
        box = link.bounding_box()
        assert box is not None
        assert 0 <= box["x"] <= box["x"] + box["width"] <= 360


def test_titles_of_a_card_are_beside_its_values(login: Login, asking: str) -> None:
    page = login("/queues", viewport={"width": 360, "height": 740})
    page.get_by_role("table").wait_for()
    paddings = page.evaluate(
        "[...document.querySelectorAll('td[data-label]')].map((cell) => getComputedStyle(cell).paddingLeft)"
    )
    assert set(paddings) == {"96px"}


def test_times_are_shown_in_the_chosen_zone(login: Login) -> None:
    page = login("/runs", timezone_id="Asia/Tokyo")
    time = page.locator("tbody time").first
    time.wait_for()
    iso = time.get_attribute("datetime") or ""
    local = time.inner_text()
    page.get_by_label("Zone of times").select_option("utc")
    assert time.inner_text()[-8:] == iso[11:19]
    assert local[-8:-6] == f"{(int(iso[11:13]) + 9) % 24:02d}"
    page.reload()
    time.wait_for()
    assert time.inner_text()[-8:] == iso[11:19]


def test_names_become_the_same_part_of_an_address_as_on_the_server(login: Login) -> None:
    names = ["plain", "etl/load", "shop/etl/load:default", "a:b//c", "per cent 100%", "ü/日本", "a?b#c&d", "it's (1)*!"]
    page = login("/runs")
    found = page.evaluate(
        "async names => { const api = await import(document.querySelector('[href$=\"js/api.js\"]').href); return names.map(api.segment); }",
        names,
    )
    assert [unquote(item) for item in found] == [segment(name) for name in names]
    assert not any(char in item for item in found for char in "/?#")


def test_the_place_of_a_diagnostic_is_marked_in_its_line(login: Login) -> None:
    page = login("/flows/broken")
    page.locator("mark.place").first.wait_for()
    assert page.locator("mark.place").all_inner_texts() == ["depend_on"]
