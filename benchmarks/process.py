"""Processes of a measurement. Their last output explains a failure, and none outlives the measurement."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, Self

from benchmarks.contestants import ROOT
from benchmarks.driver import MISSING

_POLITE: Final = 10  # s that a worker has to stop after SIGTERM


class MeasurementError(Exception):
    """A contestant failed; the message has its last output."""


class NotThereError(MeasurementError):
    """The library lacks a feature or is not installed: a dash in the table, not a failure."""


class Process:
    """A command in its own session; the end of the block stops it and its child processes.

    Args:
        command: program and arguments.
        environment: its environment variables.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = " ".join(os.path.relpath(word, ROOT) if word.startswith(str(ROOT)) else word for word in command)
        self._output, self._errors = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        self._process = subprocess.Popen(
            command,
            env=environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._errors,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_POLITE)
        except subprocess.TimeoutExpired:
            self._process.kill()
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:  # all of its child processes have ended
            pass
        self._process.wait()
        self._output.close()
        self._errors.close()

    def ended(self) -> bool:
        """Return whether the process has ended."""
        return self._process.poll() is not None

    def output(self, patience: float) -> str:
        """Wait for the process to succeed and return its output.

        Raises:
            MeasurementError: the process took too long, or its exit code is not 0.
        """
        try:
            code = self._process.wait(patience)
        except subprocess.TimeoutExpired as error:
            raise MeasurementError(f"{self.name}: not done after {patience:g} s") from error
        if code != 0:
            raise self.failure(f"exit code {code}")
        self._output.seek(0)
        return self._output.read().decode(errors="replace")

    def failure(self, what: str) -> MeasurementError:
        """Return an error with the given text and the last output of the process."""
        self._errors.seek(0)
        words = self._errors.read().decode(errors="replace").strip().splitlines()[-3:]
        if words and words[-1].startswith(MISSING):
            return NotThereError(words[-1].removeprefix(f"{MISSING}: "))
        return MeasurementError(": ".join(part for part in (self.name, what, " / ".join(words)) if part))
