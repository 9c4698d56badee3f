"""A real browser on a real `flowq serve`: one of each for all tests of this folder that a process executes.

Without a browser these tests are skipped, with the reason. A tab fails its test when a script fails, or when the page breaks the policy
that the server sends.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.page.served import Served
from tests.support.server import PrivateServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
"""Of browsers that can be driven."""

Login = Callable[..., "Page"]

GO = """path => {
  history.pushState({}, "", path);
  dispatchEvent(new PopStateEvent("popstate"));
  return new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
}"""
"""Goes to an address as the page itself does: without loading it, and the checker, again."""


@pytest.fixture(scope="package")
def browser() -> Iterator["Browser"]:
    """Start the browser. It ends with this folder, because what drives it occupies the process's event loop."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: `make check` installs it")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"there is no browser on PATH ({', '.join(NAMES)}); Debian: apt-get install chromium")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_api.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=path, args=arguments)
        yield opened
        opened.close()


@pytest.fixture(scope="package")
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve the flows of this folder, with two slots."""
    place = tmp_path_factory.mktemp("page")
    shutil.copytree(Path(__file__).parent / "flows", place / "shop")
    server = PrivateServer().start()
    try:
        with (
            server.limited(request.config.getoption("--server-user"), "flowq"),
            Served(place / "shop", server, log=place / "log") as running,
        ):
            yield running
    finally:
        server.stop()


@pytest.fixture
def login(browser: "Browser", served: Served) -> Iterator[Login]:
    """Return a function that opens a page as a user with a role; all contexts are closed, and their complaints judged, at the end."""
    opened: list[BrowserContext] = []
    complaints: list[str] = []

    def call(path: str = "/", role: str = "admin", **options: object) -> "Page":
        context = browser.new_context(base_url=served.url, **options)  # type: ignore[arg-type]
        context.set_default_timeout(10_000)
        opened.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
        page.on("dialog", lambda dialog: complaints.append(f"{page.url}: a dialog: {dialog.message}"))
        page.on("console", lambda message: complaints.extend(policy(message.text)))
        context.add_cookies([served.cookie(role)])  # type: ignore[list-item]
        page.goto(path)
        return page

    yield call
    for context in opened:
        context.close()
    assert not complaints


def policy(text: str) -> list[str]:
    """Return a message of the console if it says that the policy was broken."""
    return [text] if "Content Security Policy" in text or "Trusted" in text else []
