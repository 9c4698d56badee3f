"""The start of a fork server: by exec of an interpreter, or as a clone of this process. Both return the control channel and the pid."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from flowq.worker.fork_server import huge_pages, server
from flowq.worker.ipc.channel import Channel, PeerGoneError
from flowq.worker.ipc.platform import PACKAGE, PRIVATE
from flowq.worker.supervisor.fork_servers.interpreters import describe_end, program_of, refuse_program

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import IO

    from flowq.worker.executor_settings import ExecutorSettings
    from flowq.worker.supervisor.fork_servers.key import ForkServerKey

_STDERR = 2
_ROOT = os.path.dirname(PACKAGE)


def start_interpreter(
    place: ForkServerKey, preload: Sequence[str], warm_after: float
) -> tuple[Channel, int, Callable[[int | None], str] | None]:
    """Start a lean interpreter as a fork server that imports modules first. `warm_after`: as of `flowq.worker.horse.entry.Entrance`.

    The third item tells by its exit code why it gave no horse, where a flow is the reason.

    Raises:
        OSError: no process or no descriptor is left.
        UsageError: the flow names what is no program.
    """
    said = _file() if place.python else None
    ours, theirs = Channel.pair()
    try:
        process = subprocess.Popen(
            [*program_of(place), str(theirs.fileno()), _ROOT],
            pass_fds=(theirs.fileno(),),
            cwd=place.cwd if place.cwd and os.path.isdir(place.cwd) else None,  # if not, the horse will say so
            env={"LD_BIND_NOW": "1", **(own := _inherited(place) | dict(place.env))},
            stdin=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,  # Ctrl+C in the terminal is for the supervisor
        )
    except OSError as error:
        ours.close()
        refuse_program(place, error)
        raise
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    with suppress(PeerGoneError):  # an interpreter that ends at once; the loop will see that
        ours.send(
            {
                "path": list(place.path),
                "preload": _as_for_rq(preload),
                "unset": [] if "LD_BIND_NOW" in own else ["LD_BIND_NOW"],
                "warm_after": warm_after,
            },
            () if said is None else (_STDERR,),
        )
    process.returncode = 0  # the client reaps it; the Popen object must not
    return ours, process.pid, partial(describe_end, place, said) if place.python or place.bundle else None


def _file() -> IO[bytes]:
    from tempfile import TemporaryFile  # few flows name an interpreter

    return TemporaryFile()


def start_driver(settings: ExecutorSettings) -> tuple[Channel, int]:
    """Start the driver of an executor.

    Raises:
        OSError: no process or no descriptor is left.
    """
    from flowq.bundles.cache import BundleCache

    ours, theirs = Channel.pair()
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "flowq.worker.executors.driver", str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            env={name: value for name, value in os.environ.items() if name not in PRIVATE},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    with suppress(PeerGoneError):  # one that ends at once; the loop will see that
        ours.send({"executor": asdict(settings), "cache": BundleCache().root})
    process.returncode = 0  # the client reaps it; the Popen object must not
    return ours, process.pid


def start_clone(warm_after: float) -> tuple[Channel, int]:
    """Fork the calling process as a fork server, with all that it has imported and patched.

    Raises:
        OSError: no process or no descriptor is left.
    """
    ours, theirs = Channel.pair()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()  # or the horses would write the buffered text once more
    huge_pages.gather()  # now: what the clone gathered itself it would no longer share with this process
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            os.setsid()
            signal.set_wakeup_fd(-1)
            server.serve_clone(theirs, warm_after)
        finally:
            os._exit(1)
    theirs.close()
    return ours, pid


def _as_for_rq(preload: Sequence[str]) -> list[str]:
    """Return the modules to import, with those that let `import rq` give flowq where the environment asks for that.

    They are a layer above, so this is by their names. `rq` itself comes last: instrumentations patch it when it is imported.
    """
    return ["flowq.compat.auto", *preload, "rq"] if os.environ.get("FLOWQ_COMPAT") == "rq" else list(preload)


def _inherited(place: ForkServerKey) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in PRIVATE and name not in place.withheld}
