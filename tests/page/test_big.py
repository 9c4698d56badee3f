"""A run of 10,000 jobs on the page: table, graph and timeline stay usable."""

import time

import pytest

from tests.page.conftest import Login
from tests.page.served import Served

pytestmark = pytest.mark.slow

FRAMES = """async (selector) => {
  const node = document.querySelector(selector);
  const took = [];
  for (let step = 0; step < 30; step += 1) {
    const begin = performance.now();
    node.scrollTop += 3000;
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    took.push(performance.now() - begin);
  }
  return took.sort((a, b) => a - b)[Math.floor(took.length / 2)];
}"""
"""Scrolls, and returns the median of the ms until the rows were drawn: two frames, 33 ms, where nothing is slow."""


@pytest.fixture(scope="module")
def big(served: Served) -> str:
    """Return a run of 10,000 jobs, none of which is executed."""
    return served.launch("big")


def test_ten_thousand_jobs_scroll_and_are_found(login: Login, big: str) -> None:
    page = login(f"/runs/{big}/jobs")
    page.get_by_text("10000 jobs").wait_for(timeout=30_000)
    assert 0 < page.locator(".vrow").count() < 80
    assert page.evaluate("document.querySelectorAll('*').length") < 3000
    assert page.evaluate(FRAMES, ".virtual") < 200
    page.get_by_role("searchbox", name="Job").fill("score[i=2499]")
    page.get_by_text("1 of 10000 jobs").wait_for()
    page.get_by_role("button", name="score[i=2499]").click()
    page.get_by_role("complementary", name="Job score[i=2499]").wait_for()


def test_ten_thousand_boxes_are_a_canvas_with_a_map(login: Login, big: str) -> None:
    page = login(f"/runs/{big}/graph")
    page.locator('[data-box="score ×2500"]').wait_for(timeout=30_000)
    page.get_by_label("every cell of a matrix").check()
    page.locator(".graph canvas.minimap").wait_for(timeout=30_000)
    page.get_by_label("Find").fill("i=2499]")
    page.get_by_text("4 found").wait_for()
    begin = time.monotonic()
    for _ in range(10):
        page.get_by_role("button", name="Zoom in").click()
    assert time.monotonic() - begin < 10
