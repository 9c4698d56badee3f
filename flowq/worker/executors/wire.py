"""The messages between driver and node, and the frames that carry them.

A frame is the length of its body, a checksum of it, and a tuple in `marshal` form. What comes before the first frame of a node is skipped up to
`PREAMBLE`: programs that run before it (a login shell, a launcher) may write to the same stream.

driver -> node                              node -> driver
    (START, token, variables)  of its place     (HELLO, version, host)              first and once
    (GRANT, token, nonce, task, secrets)        (READY, token, nonce)               may be granted
    (REFUSE, token, nonce)                      (BEGUN, token)                      a horse has the task
    (CANCEL, token)   not granted yet           (OUTPUT, token, stream, bytes)      stream: 0 stdout, 1 stderr
    (SIGNAL, token, number)                     (OUTCOME, token, outcome)           at most once
    (TAKEN, token, size)  bytes of output       (UNSTARTED, token, why)             nothing was executed; EXITED follows
    (LEASE, seconds)  renews all horses         (FENCED, token)                     the lease ran out; EXITED follows
    (BUNDLE, name, archive or None)             (EXITED, token)                     all its processes have ended; the last of a token
                                                (WANTED, name)                      of a bundle, once
                                                (ALIVE,)                            answers LEASE
A node sends at most `WINDOW` bytes of a job's output that are not `TAKEN`; then it keeps what its slot had, and
reads no more from the job, which waits in its next write. `OUTCOME` and `EXITED` come behind all output.
"""

from __future__ import annotations

import marshal
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final, TypeAlias

    Message: TypeAlias = tuple[Any, ...]

START: Final = "start"
GRANT: Final = "grant"
REFUSE: Final = "refuse"
CANCEL: Final = "cancel"
SIGNAL: Final = "signal"
TAKEN: Final = "taken"
LEASE: Final = "lease"
BUNDLE: Final = "bundle"
HELLO: Final = "hello"
READY: Final = "ready"
BEGUN: Final = "begun"
OUTPUT: Final = "output"
OUTCOME: Final = "outcome"
UNSTARTED: Final = "unstarted"
FENCED: Final = "fenced"
EXITED: Final = "exited"
WANTED: Final = "wanted"
ALIVE: Final = "alive"

PREAMBLE: Final = b"\0flowq node\n"
WINDOW: Final = 1024 * 1024  # bytes
MAX_FRAME: Final = 64 * 1024 * 1024  # bytes; the largest legal task or result is far below
_MAX_NOISE: Final = 64 * 1024  # bytes before the preamble
_SIZE: Final = 4
_HEADER: Final = 2 * _SIZE
_VERSION: Final = 4  # of marshal: every supported interpreter reads it


class WireError(Exception):
    """Bytes that are no frame. The text says what came in their place."""


def encode(message: Message) -> bytes:
    """Return the frame of a message.

    Raises:
        WireError: it is larger than `MAX_FRAME`.
    """
    body = marshal.dumps(message, _VERSION)
    if len(body) > MAX_FRAME:
        raise WireError(f"a message of {len(body)} bytes is larger than the limit of {MAX_FRAME}")
    return b"".join((len(body).to_bytes(_SIZE, "little"), zlib.crc32(body).to_bytes(_SIZE, "little"), body))


class Decoder:
    """The frames in a stream of bytes. `noisy`: other programs may have written to it before `PREAMBLE`."""

    def __init__(self, *, noisy: bool = False) -> None:
        self._data = bytearray()
        self._noisy = noisy

    @property
    def noise(self) -> str:
        """What came so far in place of a first frame."""
        return self._data.decode("utf-8", "replace").strip() if self._noisy else ""

    def feed(self, data: bytes) -> list[Message]:
        """Add bytes; return the messages that are complete.

        Raises:
            WireError: a frame is damaged, or there is none.
        """
        self._data += data
        if self._noisy and not self._found_preamble():
            return []
        messages = []
        while (message := self._next()) is not None:
            messages.append(message)
        return messages

    def _found_preamble(self) -> bool:
        _, found, rest = self._data.partition(PREAMBLE)
        if found:
            self._noisy = False
            self._data = rest
        elif len(self._data) > _MAX_NOISE:
            raise WireError(f"no node answers, but something writes: {self.noise[:200]}")
        return bool(found)

    def _next(self) -> Message | None:
        if len(self._data) < _HEADER:
            return None
        size = int.from_bytes(self._data[:_SIZE], "little")
        if size > MAX_FRAME:
            raise WireError("what arrived is not a message")
        if len(self._data) < _HEADER + size:
            return None
        body = bytes(self._data[_HEADER : _HEADER + size])
        if zlib.crc32(body) != int.from_bytes(self._data[_SIZE:_HEADER], "little"):
            raise WireError("a message was altered on its way")
        del self._data[: _HEADER + size]
        try:
            message = marshal.loads(body)
        except (ValueError, TypeError, EOFError) as error:
            raise WireError("what arrived is not a message") from error
        if not isinstance(message, tuple) or not message:
            raise WireError("what arrived is not a message")
        return message
