"""Exit codes and signals of programs in words."""

from __future__ import annotations

import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

_KILLED: Final = 128  # a shell adds the number of the signal that killed its command
_MEANINGS: Final[Mapping[int, str]] = {
    signal.SIGABRT: "aborted itself",
    signal.SIGBUS: "crashed: invalid memory access",
    signal.SIGFPE: "crashed: arithmetic error",
    signal.SIGILL: "crashed: invalid instruction",
    signal.SIGINT: "was interrupted",
    signal.SIGKILL: "was killed, often because memory ran out",
    signal.SIGPIPE: "wrote to a pipe whose reader had ended, as in `… | head`",
    signal.SIGSEGV: "crashed: invalid memory access",
    signal.SIGTERM: "was terminated",
    signal.SIGXCPU: "exceeded its limit of processor time",
    signal.SIGXFSZ: "exceeded its limit of file size",
}
# Of these the name says as much, or the supervisor knows more.
_PLAIN: Final[frozenset[int]] = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT})
_CODES: Final = {126: "a command is not executable", 127: "a command was not found"}


def signal_name(number: int) -> str:
    """Return `SIGKILL` and the like; real-time signals have only numbers."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def killed_text(number: int) -> str:
    """Return `killed by SIGSEGV (crashed: invalid memory access)`: the signal that ended a process."""
    meaning = "" if number in _PLAIN else _MEANINGS.get(number, "")
    return f"killed by {signal_name(number)}" + (f" ({meaning})" if meaning else "")


def exit_text(code: int) -> str:
    """Return `exit code 127 (usually: a command was not found)`: the code, and what a shell means by it."""
    if code in _CODES:
        return f"exit code {code} (usually: {_CODES[code]})"
    if code - _KILLED in _MEANINGS:
        return f"exit code {code} (usually {signal_name(code - _KILLED)}: a command {_MEANINGS[code - _KILLED]})"
    return f"exit code {code}"
