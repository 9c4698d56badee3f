"""A run of thousands of jobs on the page: table, graph and timeline stay usable. Of 10,000 in the sweep."""

import os
import time

import pytest

from flowq.store.schema.outcomes import Claim
from tests.page.conftest import Login
from tests.page.served import Served
from tests.support.slot_driver import Driver, execution
from tests.support.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.browser]

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


@pytest.fixture(scope="module", params=[500, pytest.param(2500, marks=pytest.mark.chaos)])
def big(served: Served, request: pytest.FixtureRequest) -> tuple[str, int]:
    """Return a run of which no job is executed, and of how many cells each of its four jobs is."""
    return served.launch("big", n=request.param), request.param


PROBE = """() => {
  const state = (window.probe = { last: performance.now(), took: [] });
  const frame = (now) => { state.took.push(now - state.last); state.last = now; requestAnimationFrame(frame); };
  requestAnimationFrame(frame);
}"""
FOUND = """() => {
  const took = window.probe.took.sort((a, b) => a - b);
  return { frames: took.length, p95: took[Math.floor(took.length * 0.95)], heap: performance.memory.usedJSHeapSize / 1e6 };
}"""


@pytest.mark.parametrize("size", [300, pytest.param(2500, marks=pytest.mark.chaos)])
def test_a_run_whose_jobs_all_change_is_drawn_live(login: Login, served: Served, size: int) -> None:
    """Each job is claimed and ended by real transitions while two tabs show the run: folded in the graph, and as a table."""
    run = served.launch("big", n=size)
    graph, table = login(f"/runs/{run}"), login(f"/runs/{run}/jobs")
    graph.locator(f'[data-box="score ×{size}"]').wait_for(timeout=30_000)
    table.get_by_text(f"{4 * size} jobs").wait_for(timeout=30_000)
    for page in (graph, table):
        page.locator('[data-stream="live"]').wait_for(timeout=30_000)
        page.evaluate(PROBE)
    with served.store() as store:
        driver, done = Driver(store, "deaf"), 0
        held: list[Claim] = []
        while done < 4 * size:
            reply = driver.step(*(execution(claim) for claim in held), claims=50)
            done += len(held)
            held = [claim for claim in reply.claims if claim is not None]
            if not held:
                driver.settle()
        driver.close()
    found = []
    for page in (graph, table):
        page.locator(".runhead").get_by_text("finished").first.wait_for(timeout=60_000)
        found.append(page.evaluate(FOUND))
    assert all(item["heap"] < 150 for item in found), found  # MB
    assert all(item["p95"] < 50 * (1 + os.getloadavg()[0]) for item in found), found  # ms
    until(lambda: f"{4 * size} finished" in table.locator(".facts").inner_text(), message="the last count")


def test_thousands_of_jobs_scroll_and_are_found(login: Login, big: tuple[str, int]) -> None:
    run, size = big
    page = login(f"/runs/{run}/jobs")
    page.get_by_text(f"{4 * size} jobs").wait_for(timeout=30_000)
    assert 0 < page.locator(".vrow").count() < 80
    assert page.evaluate("document.querySelectorAll('*').length") < 3000
    assert page.evaluate(FRAMES, ".virtual") < 200
    page.get_by_role("searchbox", name="Job").fill(f"score[i={size - 1}]")
    page.get_by_text(f"1 of {4 * size} jobs").wait_for()
    page.get_by_role("button", name=f"score[i={size - 1}]").click()
    page.get_by_role("complementary", name=f"Job score[i={size - 1}]").wait_for()


def test_thousands_of_boxes_are_a_canvas_with_a_map(login: Login, big: tuple[str, int]) -> None:
    run, size = big
    page = login(f"/runs/{run}/graph")
    page.locator(f'[data-box="score ×{size}"]').wait_for(timeout=30_000)
    page.get_by_label("every cell of a matrix").check()
    page.locator(".graph canvas.minimap").wait_for(timeout=30_000)
    page.get_by_label("Find").fill(f"i={size - 1}]")
    page.get_by_text("4 found").wait_for()
    begin = time.monotonic()
    for _ in range(10):
        page.get_by_role("button", name="Zoom in").click()
    assert time.monotonic() - begin < 10
