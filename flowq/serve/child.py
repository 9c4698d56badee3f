"""A child of the tree: one process at a time, replaced when it dies."""

import json
import logging
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from typing import Any, Final

WORKER: Final = "worker"
"""The name of the child that executes jobs."""

_EARLY: Final = 5.0  # s; a process that ends sooner is likely to end again
_FIRST_PAUSE: Final = 0.5  # s before a process that ended early is replaced; doubled each time
_LONGEST_PAUSE: Final = 30.0
_LONGEST_REPORT: Final = 4 * 1024 * 1024  # bytes

log = logging.getLogger("flowq.serve")


class Child:
    """A program that is kept running.

    Args:
        name: for messages.
        command: the program and its options. It gets `--lifeline FD` too, and `--report FD` if it `reports`.
        operands: what follows; without any it is not started yet. None: it takes none.
        directory: where it is started; as a path, because another directory may stand there by then.
        reports: it writes JSON lines about its state.
        last: it goes on after the first stop signal, until the others have ended.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        operands: Sequence[str] | None,
        *,
        directory: str,
        reports: bool = False,
        last: bool = False,
    ) -> None:
        self.name = name
        self.operands = () if operands is None else tuple(operands)
        self._takes_operands = operands is not None
        self.reports = reports
        self.last = last
        self.report: int | None = None  # the descriptor that reports come from
        self._command = tuple(command)
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self._leaving: list[subprocess.Popen[bytes]] = []  # replaced ones that finish what they execute
        self._started = 0.0  # monotonic time
        self._pause = 0.0
        self._not_before = 0.0
        self._text = b""

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return None if self._process is None else self._process.pid

    @property
    def executes(self) -> bool:
        """Whether it executes jobs, so that its end may take a while."""
        return self.name == WORKER

    @property
    def gone(self) -> bool:
        """Whether no process is left."""
        return self._process is None and not self._leaving

    def due_in(self) -> float | None:
        """Return the seconds until it is to be started, None if it runs or has nothing to do."""
        if self._process is not None or (self._takes_operands and not self.operands):
            return None
        return max(0.0, self._not_before - time.monotonic())

    def start(self, lifeline: int) -> None:
        """Start it. `lifeline`: the end of a pipe that the program watches."""
        options, passed = [f"--lifeline={lifeline}"], [lifeline]
        writing = None
        if self.reports:
            reading, writing = os.pipe()
            os.set_blocking(reading, False)
            self._close_report()
            self.report, self._text = reading, b""
            options.append(f"--report={writing}")
            passed.append(writing)
        try:
            self._process = subprocess.Popen(
                [*self._command, *options, *(("--", *self.operands) if self.operands else ())],
                stdin=subprocess.DEVNULL,
                pass_fds=passed,
                cwd=self._directory,
                start_new_session=True,  # the terminal's Ctrl+C is for the parent, which passes it on once
            )
        except OSError as error:  # no process or memory is left, or the directory has gone
            self._process = None
            log.error("the %s cannot be started: %s", self.name, error.strerror)  # noqa: TRY400 - the sentence says it all
            self._wait_longer()
            return
        finally:
            if writing is not None:
                os.close(writing)
        self._started = time.monotonic()
        log.debug("started the %s, pid %d", self.name, self._process.pid)

    def replace(self, operands: Sequence[str]) -> None:
        """Let the next process have other operands; the present one finishes what it executes."""
        self.operands = tuple(operands)
        if self._process is not None:
            self._leaving.append(self._process)
            _send(self._process, signal.SIGTERM)
            self._process = None
        self._not_before = 0.0

    def signal(self, number: int) -> None:
        """Send a signal to its processes."""
        for process in self._all():
            _send(process, number)

    def reap(self) -> int | None:
        """Note the ends of processes; return the exit code of the one that was to stay, None if it runs."""
        self._leaving = [process for process in self._leaving if process.poll() is None]
        if self._process is None:
            return None
        code = self._process.poll()
        if code is None:
            return None
        log.log(
            logging.INFO if code == 0 else logging.WARNING,
            "the %s (pid %d) has ended: %s",
            self.name,
            self._process.pid,
            _how(code),
        )
        self._process = None
        if time.monotonic() - self._started < _EARLY:
            self._wait_longer()
        else:
            self._pause = self._not_before = 0.0
        return code

    def read_reports(self) -> list[Any]:
        """Return the reports that have come since the last call."""
        if self.report is None:
            return []
        try:
            while chunk := os.read(self.report, 65536):
                self._text += chunk
                if len(self._text) > _LONGEST_REPORT:
                    self._text = b""
            self._close_report()
        except BlockingIOError:
            pass
        *lines, self._text = self._text.split(b"\n")
        return [json.loads(line) for line in lines]

    def close(self) -> None:
        """Kill what is left."""
        for process in self._all():
            process.kill()
            process.wait()
        self._process = None
        self._leaving = []
        self._close_report()

    def _all(self) -> list[subprocess.Popen[bytes]]:
        return [*self._leaving, *([] if self._process is None else [self._process])]

    def _wait_longer(self) -> None:
        self._pause = min(max(_FIRST_PAUSE, self._pause * 2), _LONGEST_PAUSE)
        self._not_before = time.monotonic() + self._pause

    def _close_report(self) -> None:
        if self.report is not None:
            os.close(self.report)
            self.report = None


def _send(process: subprocess.Popen[bytes], number: int) -> None:
    try:
        process.send_signal(number)
    except ProcessLookupError:
        log.debug("process %d has ended already", process.pid)


def _how(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
