"""Much output on the page: its first lines and its end at once, any place in it, texts that the server finds."""

import os
import time
from pathlib import Path

import pytest

from tests.page.conftest import Login
from tests.page.served import Served
from tests.support.wait import until

LINE = 101
"""Bytes of a line of the flow `noisy`."""

SHOWS = "line => Number(document.querySelector('.logline').textContent.slice(5, 14)) >= line"
"""Whether the lines in view have come to one."""


def memory(served: Served) -> int:
    """Return the largest memory of the process of the page so far, in MB."""
    (pid,) = [item["pid"] for item in served.api("GET", "/serves")["items"] if item["current"]]
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) // 1024


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("lines", [50_000, pytest.param(1_000_000, marks=pytest.mark.chaos)])
def test_any_place_of_much_output_is_near(login: Login, served: Served, lines: int) -> None:
    run = served.launch("noisy", lines=lines)
    served.wait(run, "finished", timeout=120)
    size = lines * LINE / 1024 / 1024
    before = memory(served)
    page = login("/runs")
    began = time.monotonic()
    page.goto(f"/runs/{run}?job=0&view=log")
    log = page.get_by_role("log")
    log.get_by_text(f"line {lines:09d}").wait_for()
    opened = time.monotonic() - began
    page.get_by_text(f"{size:.1f} MB", exact=True).wait_for()
    began = time.monotonic()
    page.get_by_role("button", name="First lines").click()
    log.get_by_text("line 000000001 ").wait_for()
    first = time.monotonic() - began
    place = lines - lines // 10  # is kept of any output
    began = time.monotonic()
    page.get_by_role("searchbox", name="Text", exact=True).fill(f"LINE {place:09d}")
    page.get_by_role("button", name="Find", exact=True).click()
    page.locator(".logline.hit", has_text=f"line {place:09d}").wait_for()
    found = time.monotonic() - began
    page.get_by_text("1 of 1").wait_for()
    began = time.monotonic()
    page.get_by_role("slider", name="Place in the output").fill(str((place + 1000) * LINE))
    log.get_by_text(f"line {place + 1001:09d}").wait_for()
    moved = time.monotonic() - began
    log.hover()
    for _ in range(30):  # past the end of what was read there
        page.mouse.wheel(0, 2000)
    until(lambda: page.evaluate(SHOWS, place + 2000), message="lines that were not read before")
    page.get_by_role("button", name="Last lines").click()
    log.get_by_text(f"line {lines:09d}").wait_for()
    grown = memory(served) - before
    took = {"open": opened, "first lines": first, "find": found, "move": moved}
    assert max(took.values()) < 3 * (1 + os.getloadavg()[0] / 2), took  # s
    assert grown < 100
    if lines > 200_000:
        page.get_by_role("button", name="First lines").click()
        log.get_by_text("line 000000001 ").wait_for()
        log.hover()
        gap = page.get_by_text("MB were not kept")

        def reached() -> bool:  # lines that are out of view are no part of the document
            page.mouse.wheel(0, 400)
            return gap.count() > 0

        until(reached, message="the place behind the first lines")
