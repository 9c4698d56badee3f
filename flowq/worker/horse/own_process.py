"""Code of the user's that may fork: only the process that began to execute it comes back from it.

`os.fork` in a job makes a second process with flowq's frames on its stack. When the job's function ends there, by `return`,
`sys.exit` or an exception, that process would go on with flowq's own code: report an outcome, call callbacks, claim jobs, serve forks.
"""

from __future__ import annotations

import os
import sys

from flowq.worker.ipc.platform import PACKAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType
    from typing import Any, Final, NoReturn, Self

OWN_FRAMES: Final = PACKAGE + os.sep
"""How the files of flowq's own frames begin, which are cut from tracebacks: only the user's own code is of interest."""


class OwnProcess:
    """Context manager for code of the user's: a process that was forked in its body ends where the body does.

    It ends as the main program of a script does: with 0, with the code of `sys.exit`, or with 1 after the traceback of an exception.
    As in children of `multiprocessing`, the streams are flushed, and `atexit` is left to the process that registered the handlers.
    """

    __slots__ = ("_pid",)

    def __enter__(self) -> Self:
        self._pid = os.getpid()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if os.getpid() != self._pid:
            leave(error, trace)


def run(coroutine: Coroutine[Any, Any, object]) -> object:
    """Run a coroutine to its end, and return its result. A process that it forks ends where the coroutine does: asyncio of Python 3.14 hangs in a fork."""
    import asyncio

    async def alone() -> object:
        with OwnProcess():
            return await coroutine

    return asyncio.run(alone())


def leave(error: BaseException | None, trace: TracebackType | None) -> NoReturn:
    """End a process that was forked in a body, with what the body ended with."""
    code = 1
    try:
        code = _code(error, trace)
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    finally:
        os._exit(code)


def _code(error: BaseException | None, trace: TracebackType | None) -> int:
    """Return the exit code; print the traceback of an exception."""
    if error is None:
        return 0
    if not isinstance(error, SystemExit):
        while trace is not None and trace.tb_frame.f_code.co_filename.startswith(OWN_FRAMES):
            trace = trace.tb_next
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        return 1
    if error.code is None or isinstance(error.code, int):
        return (error.code or 0) & 0xFF
    sys.stderr.write(f"{error.code}\n")
    return 1
