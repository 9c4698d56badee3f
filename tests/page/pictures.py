"""The generator of `docs/images`: `make pictures`.

It serves a flow, waits until its run asks for a decision, and takes pictures of its page in a browser. Times and ids differ from run to
run, so nothing compares the files with a new run.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final, Literal

from tests.page.conftest import NAMES
from tests.page.served import Served
from tests.support.server import PrivateServer
from tests.support.wait import until

FOLDER: Final = Path(__file__).parents[2] / "docs" / "images"
FLOW: Final = Path(__file__).parent / "warehouse.yaml"


def main() -> None:
    """Write the pictures."""
    from playwright.sync_api import Page, sync_playwright

    place = Path(tempfile.mkdtemp(prefix="fq-pictures-", dir="/tmp"))
    (place / "shop" / "etl").mkdir(parents=True)
    shutil.copy(FLOW, place / "shop" / "etl")
    server = PrivateServer().start()
    try:
        with Served(place / "shop", server, log=place / "log") as served, sync_playwright() as driver:
            run = served.launch("etl:warehouse", owner="ann")
            until(lambda: served.api("GET", f"/runs/{run}")["approvals"], timeout=60, message="the question")
            until(lambda: served.api("GET", f"/runs/{run}")["counts"].get("failed"), timeout=60, message="the failure")
            until(
                lambda: served.api("GET", f"/runs/{run}")["counts"]["deferred"] == 2,
                timeout=60,
                message="the end of the others",
            )
            path = next(filter(None, map(shutil.which, NAMES)))
            browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"] if os.geteuid() == 0 else [])

            def opened(path: str, theme: Literal["light", "dark"], height: int = 640) -> Page:
                context = browser.new_context(
                    base_url=served.url, color_scheme=theme, viewport={"width": 1180, "height": height}, reduced_motion="reduce"
                )
                context.add_cookies([served.cookie("admin")])  # type: ignore[list-item]
                page = context.new_page()
                page.goto(path)
                return page

            themes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
            for theme in themes:
                page = opened(f"/runs/{run}", theme)
                page.locator('[data-box="consent"].tone-wait').wait_for()
                page.locator('[data-stream="live"]').wait_for()
                page.screenshot(path=FOLDER / f"run-{theme}.png")
            page = opened(f"/runs/{run}/timeline", "dark")
            page.locator(".bar-critical").first.wait_for()
            page.screenshot(path=FOLDER / "timeline-dark.png")
            page = opened("/flows/etl:warehouse/launch", "light", 690)
            page.get_by_label("owner").fill("ann")
            page.get_by_label("limit").fill("250000")
            page.locator("#param-limit-error").wait_for()
            page.screenshot(path=FOLDER / "launch-light.png")
            browser.close()
    finally:
        server.stop()
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
