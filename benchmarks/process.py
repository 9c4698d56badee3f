"""Processes of a measurement: what they wrote last is the reason when they fail, and none outlives it."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, Self

from benchmarks.contestants import ROOT
from benchmarks.driver import MISSING

_POLITE: Final = 10  # s that a worker has to stop in its own way


class MeasurementError(Exception):
    """A contestant did not do its work; the message has what it wrote last."""


class NotThereError(MeasurementError):
    """The library does not have what the measurement needs, or is not there: a dash in the table, not a mishap."""


class Process:
    """A command with a session of its own, stopped when the block ends, with all that it started.

    Args:
        command: what is executed.
        environment: its variables.
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
        except ProcessLookupError:  # it took all of them along
            pass
        self._process.wait()
        self._output.close()
        self._errors.close()

    def ended(self) -> bool:
        """Whether the process has come to its end."""
        return self._process.poll() is not None

    def output(self, patience: float) -> str:
        """Wait for a good end and return what the process wrote.

        Raises:
            MeasurementError: it took too long, or the exit code is not 0.
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
        """Return an error that says what happened, with the last words of the process."""
        self._errors.seek(0)
        words = self._errors.read().decode(errors="replace").strip().splitlines()[-3:]
        if words and words[-1].startswith(MISSING):
            return NotThereError(words[-1].removeprefix(f"{MISSING}: "))
        return MeasurementError(": ".join(part for part in (self.name, what, " / ".join(words)) if part))
