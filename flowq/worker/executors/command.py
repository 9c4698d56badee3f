"""A command whose stdin and stdout lead to a node: its arguments, its streams and its end."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Final

from flowq.worker.executors import wire
from flowq.worker.executors.wire import Decoder, WireError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from flowq.worker.executors.engine import Resources
    from flowq.worker.executors.wire import Message
    from flowq.worker.supervisor.event_loop import Loop

_log = logging.getLogger("flowq.worker")
_READ: Final = 256 * 1024
_LINE: Final = 2000  # characters of a line of stderr that are shown
_TERM_AFTER: Final = 10.0  # s from closing its stdin to SIGTERM; for one that is not wanted any more at once
_KILL_AFTER: Final = 10.0  # s from SIGTERM to SIGKILL
_STEP: Final = 0.01  # s between looks at commands that are about to end
_MIB: Final = 1024 * 1024


def command_of(template: Sequence[str], values: Mapping[str, str], resources: Resources) -> list[str]:
    """Return the arguments of a command. One with a placeholder for a resource that a job does not ask for is left out."""
    known = dict(values) | {name: _text(name, value) for name, value in resources.items()}
    argv = []
    for argument in template:
        names = re.findall(r"\{([a-z_]+)\}", argument)
        if all(name in known for name in names):
            argv.append(re.sub(r"\{([a-z_]+)\}", lambda match: known[match[1]], argument))
    return argv


def _text(name: str, value: float) -> str:
    """Return a resource as Slurm, Docker and Podman write it: memory and disk in MiB, time as hours:minutes:seconds."""
    if name in {"memory", "disk"}:
        return f"{-(-int(value) // _MIB)}M"
    if name == "time":
        minutes, seconds = divmod(max(1, round(value)), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
    return f"{value:g}"


class Command:
    """A running command. `on_message` and `on_end` are called by the loop; `on_end` once, with the reason, unless it was closed before."""

    def __init__(self, loop: Loop, argv: Sequence[str], environment: dict[str, str], name: str) -> None:
        self.on_message: Callable[[Message], None] = lambda _message: None
        self.on_end: Callable[[str], None] = lambda _why: None
        self._loop = loop
        self._name = name
        self._program = argv[0]
        self._decoder = Decoder(noisy=True)
        self._unsent = bytearray()
        self._last_line = ""
        self._partial = b""
        self._signal_at = 0.0  # monotonic time of the next signal to a command that should end
        self._next_signal = signal.SIGTERM
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            argv, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, start_new_session=True, bufsize=0
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._stdin, self._stdout, self._stderr = process.stdin, process.stdout, process.stderr
        for stream in (self._stdin, self._stdout, self._stderr):
            os.set_blocking(stream.fileno(), False)
        loop.watch(self._stdin.fileno(), self._refuses, self._flush)
        loop.watch(self._stdout.fileno(), self._readable)
        loop.watch(self._stderr.fileno(), self._complains)

    def write(self, message: Message) -> None:
        """Send a message to the node."""
        if self._stdin.closed:
            return
        self._unsent += wire.encode(message)
        self._flush()

    def close(self, *, now: bool) -> None:
        """Close its stdin, by which the node ends, and be silent from here on. `now`: it is told to end too."""
        self.on_message, self.on_end = lambda _message: None, lambda _why: None
        if now:
            self._unsent.clear()
        self._signal_at = time.monotonic() + (0 if now else _TERM_AFTER)
        if not self._unsent:
            self._close_stdin()

    def ended(self, now: float) -> bool:
        """Return whether a closed command has ended; send it the signals that are due."""
        if self._process.poll() is not None:
            self._release()
            return True
        if now >= self._signal_at:
            self._signal(self._next_signal)
            self._signal_at, self._next_signal = now + _KILL_AFTER, signal.SIGKILL
        return False

    def end(self, by: float) -> None:
        """Wait for the end of a closed command until a monotonic time; kill it then."""
        while self._process.poll() is None and time.monotonic() < by:
            time.sleep(_STEP)
        if self._process.poll() is None:
            self._signal(signal.SIGKILL)
            self._process.wait()
        self._release()

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self._process.pid, number)  # it leads its session and is not reaped yet
        except ProcessLookupError:
            pass

    def _readable(self) -> None:
        try:
            data = os.read(self._stdout.fileno(), _READ)
        except BlockingIOError:
            return
        if not data:
            self._tell_end()
            return
        try:
            messages = self._decoder.feed(data)
        except WireError as error:
            self._fail(str(error))
            return
        for message in messages:
            self.on_message(message)

    def _complains(self) -> None:
        """Log what the command, or the node, writes to stderr."""
        try:
            data = os.read(self._stderr.fileno(), _READ)
        except BlockingIOError:
            return
        if not data:
            self._loop.forget(self._stderr.fileno())
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            text = line.decode("utf-8", "replace").rstrip()[:_LINE]
            if text:
                self._last_line = text
                _log.warning("%s: %s", self._name, text)

    def _tell_end(self) -> None:
        """Handle the end of stdout: the command has ended, or is about to."""
        self._loop.forget(self._stdout.fileno())
        self._complains()
        try:
            code: int | None = self._process.wait(_STEP * 20)
        except subprocess.TimeoutExpired:
            code = None
        said = self._last_line or self._decoder.noise[-_LINE:]
        how = (
            "has closed its output"
            if code is None
            else f"was killed by signal {-code}"
            if code < 0
            else f"has ended with code {code}"
        )
        self._fail(f"{os.path.basename(self._program)} {how}" + (f": {said}" if said else ""))

    def _fail(self, why: str) -> None:
        self._loop.forget(self._stdout.fileno())
        self.on_end(why)

    def _refuses(self) -> None:
        """Handle that nothing reads its stdin any more; the end of its stdout tells why."""
        self._close_stdin()

    def _flush(self) -> None:
        fd = self._stdin.fileno()
        try:
            while self._unsent:
                del self._unsent[: os.write(fd, self._unsent[:_READ])]
        except BlockingIOError:
            self._loop.wants_write(fd, True)
            return
        except BrokenPipeError:
            self._close_stdin()
            return
        self._loop.wants_write(fd, False)
        if self._signal_at:
            self._close_stdin()

    def _close_stdin(self) -> None:
        self._unsent.clear()
        if not self._stdin.closed:
            self._loop.forget(self._stdin.fileno())
            self._stdin.close()

    def _release(self) -> None:
        self._close_stdin()
        for stream in (self._stdout, self._stderr):
            if not stream.closed:
                self._loop.forget(stream.fileno())
                stream.close()
