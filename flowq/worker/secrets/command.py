"""Secrets that commands give: a password manager is asked where the job runs, once for each attempt.

A command works beside the worker's loop, which looks at it now and then, so that no job waits for another one's secret. It has the worker's
environment, except for flowq's own settings, no input, and a process group of its own. What it prints is in memory only. It ends with the worker,
also with one that is killed.
"""

import errno
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from flowq.worker.fork_server.children import SPARED
from flowq.worker.ipc import platform
from flowq.worker.ipc.platform import PRIVATE, describe
from flowq.worker.secrets.masking import Mask
from flowq.worker.secrets.resolve import MAX_BYTES, SecretError, problem_of_value

LIMIT: Final = 30.0  # s that commands may take

_NONE_LEFT: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM})
_SOON, _LATE = 0.005, 0.05  # s between looks, at first and at last
_LAST: Final = 1.0  # s for a killed one
_PIECE: Final = 64 * 1024  # bytes of one read
_PIECES: Final = 17  # of one look: a pipe holds up to 1 MiB, and a command that never stops to print holds up no worker
_KEPT: Final = 2 * MAX_BYTES
_SHOWN: Final = 500  # bytes of what a command has said at its end
_LONGEST: Final = 200  # characters of a command in a message


class CommandSecrets:
    """The commands of one job, all at work at once.

    Args:
        commands: programs with their arguments, by the names of the secrets.
        known: the values of the job's other secrets, which no message may have.
        directory: where they work; where it is missing, they work where the worker does.
        where: file, line and name of the job, for messages.
        limit: s that they may take.
    """

    def __init__(
        self, commands: Mapping[str, Sequence[str]], known: Mapping[str, str], directory: str, where: str, limit: float = LIMIT
    ) -> None:
        self._commands = commands
        self._known = known
        self._directory = directory if os.path.isdir(directory) else None
        self._where = where
        self._limit = limit
        self._until = 0.0
        self._pause = _SOON
        self._running: list[_Command] = []

    def look(self) -> dict[str, str] | None:
        """Start them, or look at them; return the values when all have ended, None before.

        Raises:
            SecretError: one cannot be executed, has failed, prints what can be no secret, or takes too long. None is left.
            OSError: no process or no descriptor is left, which is no fault of the job.
        """
        try:
            return self._look()
        except SecretError as error:
            self.stop()
            raise SecretError(f"{self._where}: {error}") from error
        except OSError:
            self.stop()
            raise

    def _look(self) -> dict[str, str] | None:
        if not self._until:
            self._until = time.monotonic() + self._limit
            for name, words in self._commands.items():
                self._running.append(_Command(name, words, self._directory))
        late = [command for command in self._running if not command.has_ended()]
        if not late:
            mask = Mask({**self._known, **{command.name: command.printed for command in self._running}})
            return {command.name: command.value(mask) for command in self._running}
        if time.monotonic() < self._until:
            return None
        what = f"{late[0].named} did not end within {self._limit:g} s"
        raise SecretError(f"{what}; it must answer without a question: log in beforehand")

    def alarm(self) -> float:
        """Return the monotonic time of the next look."""
        pause, self._pause = self._pause, min(self._pause * 1.5, _LATE)
        return min(self._until, time.monotonic() + pause)

    def stop(self) -> None:
        """Kill those that are still at work."""
        for command in self._running:
            command.stop()


class _Command:
    """One command at work. It has ended when its process has: what it leaves behind, as an agent, may hold its output open."""

    def __init__(self, name: str, words: Sequence[str], directory: str | None) -> None:
        self.name = name
        shown = " ".join(shlex.join(words).split())  # in one line
        self.named = f"secret {name}: the command {shown if len(shown) <= _LONGEST else shown[:_LONGEST] + '…'}"
        try:
            self._process = subprocess.Popen(
                list(words),
                cwd=directory,
                env={variable: value for variable, value in os.environ.items() if variable not in PRIVATE},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                preexec_fn=partial(platform.die_with_parent, os.getpid()),  # noqa: PLW1509 - a worker has one thread
            )
        except OSError as error:
            if error.errno in _NONE_LEFT:
                raise
            advice = (
                "install it, or name it with its path"
                if isinstance(error, FileNotFoundError)
                else "correct that for the worker's user"
            )
            raise SecretError(f"{self.named} cannot be executed here: {describe(error)}; {advice}") from error
        SPARED.add(self._process.pid)
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._printed, self._said = bytearray(), bytearray()
        self._pipes = [(self._process.stdout, self._printed), (self._process.stderr, self._said)]
        for pipe, _ in self._pipes:
            os.set_blocking(pipe.fileno(), False)

    def has_ended(self) -> bool:
        """Read what there is, and return whether the process has ended."""
        ended = self._process.poll() is not None  # before the last read: all that it has written is there then
        if ended:
            SPARED.discard(self._process.pid)
        for pipe, read in self._pipes:
            for _ in range(_PIECES if not pipe.closed else 0):
                if not (piece := _read(pipe.fileno())):
                    break
                read.extend(piece)
            if ended:
                pipe.close()
        del self._printed[_KEPT:]  # too long for a secret in any case
        del self._said[:-_KEPT]
        return ended

    @property
    def printed(self) -> str:
        """What it has printed, without one line break at its end."""
        return os.fsdecode(bytes(self._printed)).removesuffix("\n")

    def value(self, mask: Mask) -> str:
        """Return the secret that an ended command has given. `mask`: of all secrets of the job, for messages."""
        printed, code = self.printed, self._process.returncode
        if code:
            said = self._end(mask)
            ended = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            raise SecretError(f"{self.named} {ended}{said}; try it as the worker's user, in the environment of the worker")
        if problem := problem_of_value(printed, "execute the command"):
            raise SecretError(f"{self.named} prints what cannot be used: it {problem}")
        return printed

    def _end(self, mask: Mask) -> str:
        """Return the end of what it has written to stderr, without secrets, as a part of a message."""
        text = mask.text(os.fsdecode(bytes(self._said))).encode(errors="surrogateescape")
        end = text[-_SHOWN:].decode(errors="replace").strip()
        return f": {'…' if len(text) > _SHOWN else ''}{end}" if end else " and said nothing on stderr"

    def stop(self) -> None:
        """Kill it with all that it has started."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):  # one that hangs in the kernel is left to it
                self._process.wait(_LAST)
        SPARED.discard(self._process.pid)
        for pipe, _ in self._pipes:
            pipe.close()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _PIECE)
    except BlockingIOError:
        return b""
