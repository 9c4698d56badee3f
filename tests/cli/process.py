"""`flowq` as a process, with or without a terminal, whose output is read while it runs."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import pexpect

from tests.support.wait import until

FLOWQ = (sys.executable, "-m", "flowq.cli.main")


class Process:
    """A running `flowq` without a terminal; its output is collected while it runs."""

    def __init__(self, *arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [*FLOWQ, *arguments],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._out: list[bytes] = []
        self._err: list[bytes] = []
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._readers = [
            self._read(self._process.stdout, self._out),
            self._read(self._process.stderr, self._err),
        ]

    @property
    def out(self) -> str:
        """Standard output so far."""
        return b"".join(self._out).decode()

    @property
    def err(self) -> str:
        """Standard error so far."""
        return b"".join(self._err).decode()

    @property
    def code(self) -> int | None:
        """The exit code, None while it runs."""
        return self._process.poll()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def expect(self, text: str, timeout: float = 20) -> None:
        """Wait until the text appears on standard output or error."""
        until(lambda: text in self.out or text in self.err, timeout=timeout, message=f"{text!r} in\n{self.out}\n--\n{self.err}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def wait(self, timeout: float = 30) -> int:
        """Wait for the end; return the exit code."""
        code = self._process.wait(timeout)
        for reader in self._readers:
            reader.join(timeout)
        return code

    def end(self) -> None:
        """Kill the process if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
        self.wait()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    @staticmethod
    def _read(stream: IO[bytes], into: list[bytes]) -> threading.Thread:
        def work() -> None:
            while data := os.read(stream.fileno(), 65536):
                into.append(data)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        return thread


def on_terminal(*arguments: str, cwd: Path, env: Mapping[str, str], size: tuple[int, int] = (24, 80)) -> "pexpect.spawn[str]":
    """Start `flowq` on a pseudo-terminal of this size (lines, columns)."""
    environment = {**os.environ, "TERM": "xterm-256color", **env}
    for name in ("CI", "NO_COLOR", "COLUMNS", "LINES"):
        environment.pop(name, None)
    environment.update({name: value for name, value in env.items() if name in {"CI", "NO_COLOR"}})
    return pexpect.spawn(
        FLOWQ[0], [*FLOWQ[1:], *arguments], cwd=str(cwd), env=environment, encoding="utf-8", dimensions=size, timeout=30
    )
