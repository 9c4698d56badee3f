"""Tests that failed while the machine stood still are run again, once, and the end of the test run says which.

A virtual machine that is moved or saved stands still for up to half a minute while its clocks go on: leases and deadlines of all kinds have
passed when it goes on, and what fails then says nothing about flowq. A failure at any other time is a failure.
"""

import os
import struct
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

import pytest
from _pytest.runner import runtestprotocol

from tests.support.wait import until

LIMIT: Final = 2.0  # s that a process which sleeps for a tenth of a second has not been woken

_PROPERTY: Final = "the machine stood still for (s)"

_WATCH: Final = """
import os, struct, sys, time
path, pid, limit = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
file = os.open(path, os.O_RDWR)
if watcher := os.fork():
    print(watcher, flush=True)
    os._exit(0)
os.close(1)
os.setsid()
last, place = time.monotonic(), 8
while True:
    time.sleep(0.1)
    now = time.monotonic()
    if now - last > limit:
        place += os.pwrite(file, struct.pack("dd", last, now), place)
    os.pwrite(file, struct.pack("d", now), 0)
    last = now
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        break
"""
"""A process of its own, which is no child of the tests' process: the time of its last look, then the begin and end of each standstill."""


class Standstills:
    """A plugin of pytest."""

    def __init__(self) -> None:
        self._record = Path(mkdtemp(prefix="flowq-standstill-")) / "record"
        self._record.write_bytes(struct.pack("d", 0.0))
        command = [sys.executable, "-S", "-E", "-c", _WATCH, str(self._record), str(os.getpid()), str(LIMIT)]
        told = subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.watcher = int(told.stdout)  # the id of its process

    def since(self, begun: float) -> float:
        """Return for how many seconds the machine has stood still since then, on the monotonic clock."""
        now = time.monotonic()

        def looked() -> tuple[float, ...]:
            words = self._record.read_bytes()
            times = struct.unpack(f"{len(words) // 8}d", words)
            return times if times[0] > now else ()

        _, *gaps = until(looked, message="the process that watches the machine to look")
        return sum(end - begin for begin, end in zip(gaps[::2], gaps[1::2], strict=True) if end > begun)

    @pytest.hookimpl
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """Run a test, and once more if it failed while the machine stood still."""
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        begun = time.monotonic()
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        failed = [report for report in reports if report.failed]
        if failed and (seconds := self.since(begun)):
            with suppress(Exception):  # a fixture that several tests share may be what failed
                item.session._setupstate.teardown_exact(None)
            reports = runtestprotocol(item, log=False, nextitem=nextitem)
            for report in reports:
                report.user_properties.append((_PROPERTY, seconds))
                report.sections.extend(("Before, when the machine stood still", former.longreprtext) for former in failed)
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say which tests were run again; with several processes, the one that starts them says it."""
        again = {
            report.nodeid: seconds
            for reports in terminalreporter.stats.values()
            for report in reports
            for name, seconds in getattr(report, "user_properties", ())
            if name == _PROPERTY
        }
        for test, seconds in sorted(again.items()):
            terminalreporter.write_line(f"RUN AGAIN {test}: it had failed while the machine stood still for {seconds:.1f} s")

    @pytest.hookimpl
    def pytest_unconfigure(self) -> None:
        """Remove the record."""
        self._record.unlink(missing_ok=True)
        self._record.parent.rmdir()
