"""`flowq serve` for tests: started as by a user, and killed with all descendants at the end."""

import os
import signal
import sys
from pathlib import Path
from typing import Self

from tests.support.launcher import MARK, start
from tests.support.supervisor_stub import survivors
from tests.support.wait import until


class ServeProcess:
    """A `flowq serve`, used as a context manager.

    Args:
        directory: what is served.
        arguments: further arguments.
        env: further variables, such as the server's.
        log: the file for its output.
        page: with the page.
    """

    def __init__(
        self, directory: Path, *arguments: str, log: Path, env: dict[str, str] | None = None, page: bool = False
    ) -> None:
        arguments = arguments if page else ("--no-page", *arguments)
        self.mark = os.urandom(8).hex()
        self.log = log
        with log.open("ab") as output:
            self.process = start(
                "flowq",
                "serve",
                str(directory),
                "--log-level",
                "debug",
                *arguments,
                env={**os.environ, MARK: self.mark, **(env or {})},
                output=output.fileno(),
                errors=output.fileno(),
                session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            sys.stdout.write(self.output)
        self.process.kill()
        self.process.wait()
        until(lambda: not survivors(self.mark), timeout=10, message="all descendants of serve to end")

    @property
    def output(self) -> str:
        """What it has written so far."""
        return self.log.read_text(errors="replace")

    def says(self, text: str, timeout: float = 15.0) -> None:
        """Wait until it has written a text."""
        until(lambda: text in self.output or self.process.poll() is not None, timeout=timeout, message=f"serve to say {text!r}")
        assert text in self.output, self.output

    def pids(self, child: str) -> list[int]:
        """Return the process ids with which a child was started so far."""
        return [int(line.rpartition(" ")[2]) for line in self.output.splitlines() if f"started the {child}, pid" in line]

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Send a signal to the parent."""
        self.process.send_signal(number)

    def wait(self, timeout: float = 20.0) -> int:
        """Wait for the end and return the exit code."""
        return self.process.wait(timeout)
