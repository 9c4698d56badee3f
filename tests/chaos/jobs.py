"""The code of the jobs. Each execution appends a line to the execution log when it begins, and one when it has ended well."""

import os
import select
import signal
import time
from pathlib import Path
from typing import NoReturn

LOG = "CHAOS_LOG"  # the variable with the path of the execution log

SCRIPT = """
say() { read -r now _ < /proc/uptime; echo "$1 $FLOWQ_JOB_ID $FLOWQ_EXECUTION $$ $now -" >> "$CHAOS_LOG"; }
say begin; sleep %s; say end
"""
"""A job in the shell that takes so many seconds and does the same. The uptime is the monotonic clock of a machine that never sleeps."""


def say(what: str) -> None:
    """Append a line to the execution log: what happens, job, number of the execution, pid, monotonic time, start of the process."""
    started = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]  # in ticks: ids are used again within minutes
    line = (
        f"{what} {os.environ['FLOWQ_JOB_ID']} {os.environ['FLOWQ_EXECUTION']} {os.getpid()} {time.monotonic():.3f} {started}\n"
    )
    log = os.open(os.environ[LOG], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(log, line.encode())
    os.close(log)


def token(*more: object) -> str:
    """Return what only this execution returns."""
    return ":".join(map(str, (os.environ["FLOWQ_JOB_ID"], os.environ["FLOWQ_EXECUTION"], *more)))


def work(seconds: float) -> str:
    """Take some time."""
    say("begin")
    select.select((), (), (), seconds)
    say("end")
    return token()


def items(count: int) -> list[str]:
    """Return a list for a foreach."""
    say("begin")
    made = [token(number) for number in range(count)]
    say("end")
    return made


def flaky(failures: int) -> str:
    """Fail in the first attempts."""
    say("begin")
    if int(os.environ["FLOWQ_ATTEMPT"]) <= failures:
        raise ConnectionError("as asked")
    say("end")
    return token()


def fail() -> NoReturn:
    """Fail."""
    say("begin")
    raise RuntimeError("as asked")


def poison(kind: str) -> str:
    """End in an unusual way; only `close descriptors` is a good execution."""
    say("begin")
    match kind:
        case "exit":
            os._exit(3)
        case "exit well":
            os._exit(0)
        case "abort":
            os.abort()
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "kill fork server":
            os.kill(os.getppid(), signal.SIGKILL)
        case "kill worker":
            status = Path(f"/proc/{os.getppid()}/stat").read_bytes()
            os.kill(int(status.rpartition(b")")[2].split()[1]), signal.SIGKILL)
    if kind != "close descriptors":
        select.select((), (), (), 60)
    say("end")
    if kind == "close descriptors":
        os.closerange(3, 1024)
    return token()
