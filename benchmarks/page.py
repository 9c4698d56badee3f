"""How fast the page is: the first view in a browser whose processor is slowed down, and what is sent for it.

    python -m benchmarks.page [--rounds 15] [--slow 4]

A `flowq serve` of its own has runs of a flow with 20 jobs. Each view is opened in a fresh browser profile, so that nothing is cached, on a
processor that Chromium slows down (`Emulation.setCPUThrottlingRate`). Views take turns. The time of a view ends when what it is for
is drawn: rows of the table, boxes of the graph. `server` is what the server alone takes for all that the view asks for, one after
the other, on the processor as it is.
"""

import argparse
import http.client
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from flowq.page.assets import assets
from tests.page.served import Served
from tests.support.run_driver import Drive
from tests.support.server import PrivateServer
from tests.support.slot_driver import Driver

FLOW: Final = """
name: measured
defaults: {queue: measured}
jobs:
  load: {matrix: {part: [1, 2, 3, 4, 5, 6, 7, 8, 9]}, run: echo loading}
  clean: {matrix: {part: [1, 2, 3, 4, 5, 6, 7, 8, 9]}, depends_on: {load: {match: [part]}}, run: echo cleaning}
  join: {depends_on: [clean], run: echo joining}
  fails: {depends_on: [join], run: exit 1}
"""
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
RUNS: Final = 12

_SENT: Final = """() => performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation"))
  .filter((entry) => !entry.name.includes("/events"))
  .map((entry) => [new URL(entry.name).pathname + new URL(entry.name).search, entry.encodedBodySize, entry.decodedBodySize])"""
"""What was loaded so far: address, bytes as sent and as they are."""

_PAINT: Final = """() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0"""


@dataclass(slots=True)
class View:
    """One view and what was measured of it.

    Attributes:
        path: its address.
        shown: the selector of what it is for.
        took: s until that was drawn, by round.
        painted: s until anything was drawn, by round.
        busy: s of the main thread, by round, on the slow processor.
        sent: address of each file and document -> bytes as sent, bytes as they are.
    """

    path: str
    shown: str
    took: list[float] = field(default_factory=list)
    painted: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    sent: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    server: float = 0.0


@contextmanager
def serving() -> Iterator[tuple[Served, str]]:
    """Serve a flow with some runs; yield the server and a run."""
    place = Path(tempfile.mkdtemp(prefix="fq-page-", dir="/tmp"))
    (place / "flows").mkdir()
    flow = place / "flows" / "measured.yaml"
    flow.write_text(FLOW, encoding="utf-8")
    os.utime(flow, (time.time() - 10,) * 2)  # it is taken at once: a file that was just written is not
    server = PrivateServer().start()
    try:
        with Served(place / "flows", server, log=place / "log") as served:
            runs = [served.launch("measured") for _ in range(RUNS)]
            with served.store() as store:  # by transitions alone: no worker has anything to do while views are measured
                driver = Driver(store, "measured")
                for run in runs:
                    Drive(store, driver, run, {"fails": "failed"}).to_the_end()
                driver.close()
            yield served, runs[-1]
    finally:
        server.stop()
        shutil.rmtree(place, ignore_errors=True)


def measure(rounds: int, slow: float) -> list[View]:
    """Open each view so many times."""
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        raise SystemExit(f"there is no browser on PATH: {', '.join(BROWSERS)}")
    with serving() as (served, run), sync_playwright() as driver:
        views = [
            View("/", "tbody tr"),
            View("/runs", "tbody tr"),
            View(f"/runs/{run}", '[data-box="join"]'),
            View(f"/runs/{run}/jobs", ".vrow"),
            View("/flows", "tbody tr"),
        ]
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        for number in range(rounds + 1):  # the first one warms the server up
            for view in views:
                _open(browser, served, view, slow, count=number > 0)
        browser.close()
        for view in views:
            view.server = statistics.median(_alone(served, list(view.sent)) for _ in range(rounds))
    return views


def _open(browser: Any, served: Served, view: View, slow: float, *, count: bool) -> None:
    context = browser.new_context(base_url=served.url)
    context.add_cookies([served.cookie("admin")])
    page = context.new_page()
    session = context.new_cdp_session(page)
    context.set_default_timeout(120_000)  # ms: a slow processor on a busy machine
    session.send("Performance.enable")
    session.send("Emulation.setCPUThrottlingRate", {"rate": slow})
    begun = time.perf_counter()
    page.goto(view.path, wait_until="commit")
    page.locator(view.shown).first.wait_for(state="attached")
    took = time.perf_counter() - begun
    if count:
        metrics = {item["name"]: item["value"] for item in session.send("Performance.getMetrics")["metrics"]}
        view.took.append(took)
        view.painted.append(page.evaluate(_PAINT) / 1000)
        view.busy.append(metrics["TaskDuration"])
        view.sent = {name: (sent, size) for name, sent, size in page.evaluate(_SENT)}
    context.close()


def _alone(served: Served, paths: Sequence[str]) -> float:
    """Return what the server takes for these, in s, on one connection."""
    cookie = served.cookie("admin")
    headers = {"Cookie": f"{cookie['name']}={cookie['value']}", "Accept": "*/*", "Accept-Encoding": "gzip"}
    connection = http.client.HTTPConnection("127.0.0.1", served.port)
    begun = time.perf_counter()
    for path in paths:
        connection.request("GET", path, headers=headers)
        connection.getresponse().read()
    took = time.perf_counter() - begun
    connection.close()
    return took


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Measure the first view of the page in Chromium.")
    parser.add_argument("--rounds", type=int, default=15, help="openings of each view (15)")
    parser.add_argument("--slow", type=float, default=4, help="how much slower the processor of the browser is made (4)")
    options = parser.parse_args()
    views = measure(options.rounds, options.slow)
    print(f"medians of {options.rounds}; processor slowed {options.slow:g} times; load {os.getloadavg()[0]:.1f}\n")
    print(f"{'view':<16}{'shown':>9}{'p90':>9}{'painted':>9}{'busy':>9}{'server':>9}{'files':>7}{'sent':>10}{'JavaScript':>12}")
    for view in views:
        name = "/".join("RUN" if len(part) == 8 else part for part in view.path.split("/"))
        seconds = [statistics.median(view.took), sorted(view.took)[int(len(view.took) * 0.9)]]
        seconds += [statistics.median(view.painted), statistics.median(view.busy), view.server]
        sent = sum(size for size, _ in view.sent.values())
        scripts = sum(size for path, (_, size) in view.sent.items() if path.endswith(("js", ".mjs")))
        columns = "".join(f"{item * 1000:>6.0f} ms" for item in seconds)
        print(f"{name:<16}{columns}{len(view.sent):>7}{sent / 1000:>7.1f} kB{scripts / 1000:>9.1f} kB")
    total = sum(len(item.content) for item in assets().values() if item.path.endswith(("js", ".mjs")))
    print(f"\nJavaScript of all views: {total / 1000:.1f} kB")


if __name__ == "__main__":
    main()
