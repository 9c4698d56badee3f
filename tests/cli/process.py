"""`flowq` as a process, with or without a terminal, whose output is read while it runs."""

import os
import signal
import subprocess
import sys
import tempfile
import termios
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pexpect.fdpexpect import fdspawn

from tests.support import launcher
from tests.support.launcher import Launched
from tests.support.wait import until

if TYPE_CHECKING:
    _Base = fdspawn[str]
else:
    _Base = fdspawn

MODULE = "flowq.cli.main"
FLOWQ = (sys.executable, "-m", MODULE)


def flowq(
    *arguments: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    text: str = "",
    timeout: float = 60,
    safe_path: bool = False,
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end, without a terminal.

    Args:
        arguments: of the command.
        cwd: its directory.
        env: all its variables; by default those of this process.
        text: its standard input.
        timeout: seconds that it may take.
        safe_path: as the installed command: without its directory on the import path.
    """
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        stdin.write(text.encode())
        stdin.seek(0)
        process = launcher.start(
            MODULE,
            *arguments,
            cwd=cwd,
            env=os.environ if env is None else env,
            stdin=stdin.fileno(),
            output=output.fileno(),
            errors=errors.fileno(),
            safe_path=safe_path,
        )
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        shown = []
        for file in (output, errors):
            file.seek(0)
            shown.append(file.read().decode().replace("\r\n", "\n").replace("\r", "\n"))
    return subprocess.CompletedProcess(arguments, code, *shown)


class Process:
    """A running `flowq` without a terminal; its output is collected while it runs."""

    def __init__(self, *arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> None:
        out, theirs_out = os.pipe()
        err, theirs_err = os.pipe()
        self._process = launcher.start(
            MODULE, *arguments, cwd=cwd, env={**os.environ, **(env or {})}, output=theirs_out, errors=theirs_err
        )
        os.close(theirs_out)
        os.close(theirs_err)
        self._streams: tuple[int, ...] = (out, err)
        self._out: list[bytes] = []
        self._err: list[bytes] = []
        self._readers = [self._read(stream, into) for stream, into in zip(self._streams, (self._out, self._err), strict=True)]

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
        until(
            lambda: text in self.out or text in self.err,
            timeout=timeout,
            message=lambda: f"{text!r} in\n{self.out}\n--\n{self.err}",
        )

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
        for stream in self._streams:
            os.close(stream)
        self._streams = ()

    @staticmethod
    def _read(stream: int, into: list[bytes]) -> threading.Thread:
        def work() -> None:
            while data := os.read(stream, 65536):
                into.append(data)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        return thread


class Terminal(_Base):
    """A running `flowq` on a pseudo-terminal, with what tests use of `pexpect.spawn`."""

    def __init__(self, process: "Launched | subprocess.Popen[bytes]", fd: int) -> None:
        super().__init__(fd, encoding="utf-8", timeout=30)
        self._process = process

    def setwinsize(self, lines: int, columns: int) -> None:
        """Change the size, as a user does who resizes the window."""
        termios.tcsetwinsize(self.child_fd, (lines, columns))

    def sendintr(self) -> None:
        """Press Ctrl+C."""
        self.send("\x03")

    def wait(self) -> int | None:
        """Wait for the end; return the exit code, None if a signal ended it."""
        code = self._process.wait(30)
        self.exitstatus, self.signalstatus = (code, None) if code >= 0 else (None, -code)
        return self.exitstatus

    def close(self) -> None:
        """Close the terminal, which ends the command if it still runs."""
        super().close()
        self.wait()


def on_terminal(*arguments: str, cwd: Path, env: Mapping[str, str], size: tuple[int, int] = (24, 80)) -> Terminal:
    """Start `flowq` on a pseudo-terminal of this size (lines, columns)."""
    environment = {**os.environ, "TERM": "xterm-256color", **env}
    for name in ("CI", "NO_COLOR", "COLUMNS", "LINES"):
        environment.pop(name, None)
    environment.update({name: value for name, value in env.items() if name in {"CI", "NO_COLOR"}})
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, size)
    process = launcher.start(
        MODULE, *arguments, cwd=cwd, env=environment, stdin=theirs, output=theirs, errors=theirs, terminal=True
    )
    os.close(theirs)
    return Terminal(process, ours)
